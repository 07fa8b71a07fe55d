"""Requests that could be read in two ways, or that are too large: refused with a reason, and never forwarded."""
import harness
from harness import EndToEnd, one_route

HOST = "Host: x\r\n"
# What is sent, the status, the reason.
REFUSED = [
    ("GET / HTTP/1.1\r\n\r\n", 400, "missing_host"),
    (f"GET / HTTP/1.1\r\n{HOST}Host: y\r\n\r\n", 400, "several_hosts"),
    (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
     "content_length_and_transfer_encoding"),
    (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "several_content_lengths"),
    (f"POST / HTTP/1.1\r\n{HOST}Content-Length: +3\r\n\r\nabc", 400, "bad_content_length"),
    (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 0x3\r\n\r\nabc", 400, "bad_content_length"),
    (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 99999999999999999999\r\n\r\n", 400, "content_length_overflow"),
    (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501), "bad_transfer_encoding"),
    (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", (400, 501), None),
    (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
     "several_transfer_encodings"),
    ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "transfer_encoding_in_http_1_0"),
    (f"GET / HTTP/1.1\r\n{HOST}A : b\r\n\r\n", 400, "space_before_colon"),
    (f"GET / HTTP/1.1\r\n{HOST}A: b\r\n c\r\n\r\n", 400, "folded_header"),
    (f"GET / HTTP/1.1\r\n{HOST}A: b\rc\r\n\r\n", 400, "bare_cr"),
    (f"GET / HTTP/1.1\n{HOST}\r\n", 400, "bare_lf"),
    (f"GET / HTTP/1.1\r\n{HOST}A: b\nC: d\r\n\r\n", 400, "bare_lf"),
    (f"GET / HTTP/1.1\r\n{HOST}A: b\0c\r\n\r\n", 400, "nul_byte"),
    (f"GET / HTTP/1.1\r\n{HOST}no colon\r\n\r\n", 400, None),
    (f"GET / HTTP/1.1\r\n{HOST}: empty\r\n\r\n", 400, "empty_header_name"),
    (f"GET /a b HTTP/1.1\r\n{HOST}\r\n", 400, None),
    (f"G@T / HTTP/1.1\r\n{HOST}\r\n", 400, "bad_method"),
    (f"GET / HTTP/2.0\r\n{HOST}\r\n", (400, 505), None),
    (f"GET /a#b HTTP/1.1\r\n{HOST}\r\n", 400, None),
    ("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400, "tls_on_plain_listener"),
    (f"GET /{'a' * 40000} HTTP/1.1\r\n{HOST}\r\n", 414, None),
    (f"GET / HTTP/1.1\r\n{HOST}A: {'b' * 40000}\r\n\r\n", 431, "headers_too_large"),
    (f"GET / HTTP/1.1\r\n{HOST}" + "A: b\r\n" * 101 + "\r\n", 431, "too_many_headers"),
]
# Clear as messages, refused for where they point: the connection may go on.
REFUSED_PATHS = [("/%00", "path_nul"), ("/a\\b", "path_backslash"), ("/../a", "path_above_root"),
                 ("/%2e%2e/a", "path_above_root"), ("/%zz", "path_bad_escape")]
REFUSED_CHUNKS = [
    ("x\r\n", "bad_chunk_size"), ("-1\r\n", "bad_chunk_size"), ("0x1\r\na\r\n0\r\n\r\n", "bad_chunk_size"),
    ("1\ra\r\n", None), ("1\na\n0\n\n", None), ("1\r\nab\r\n0\r\n\r\n", "chunk_longer_than_its_size"),
    ("fffffffffffffffff\r\n", "chunk_size_overflow"),
]


class Refusals(EndToEnd):
    def test_each_is_refused_with_its_reason_and_the_connection_closes(self):
        backend = self.backend()
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(backend.address), access=log)
        for number, (request, status, reason) in enumerate(REFUSED):
            with self.subTest(request=request[:80]):
                response, client = self.raw(rondo, request)
                self.assertIn(response.status, status if isinstance(status, tuple) else (status,), response)
                if reason:
                    self.assertEqual(response.reason(), reason)
                self.assertEqual(response.get("Connection"), "close")
                self.assertTrue(client.ended())
                record = self.access_lines(log, number + 1)[number]
                self.assertEqual((record["status"], record["reason"]), (response.status, response.reason()))
        self.assertEqual(backend.requests, [])
        self.check_alive(rondo)

    def test_paths_that_could_lead_around_a_rule_are_refused(self):
        backend = self.backend()
        rondo = self.rondo(one_route(backend.address))
        for path, reason in REFUSED_PATHS:
            with self.subTest(path=path):
                response = self.get(rondo, path)
                self.assertEqual((response.status, response.reason()), (400, reason))
        self.assertEqual(backend.requests, [])

    def test_broken_chunks_are_refused_and_never_completed_towards_the_backend(self):
        backend = self.backend()
        rondo = self.rondo(one_route(backend.address))
        for chunks, reason in REFUSED_CHUNKS:
            with self.subTest(chunks=chunks):
                response, client = self.raw(
                    rondo, f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{chunks}")
                self.assertEqual(response.status, 400, response)
                if reason:
                    self.assertEqual(response.reason(), reason)
                self.assertTrue(client.ended())
        # Whatever reached the backend never ended there as a whole request.
        self.assertFalse(any(r.body for r in backend.requests))

    def test_a_pipelined_bad_request_is_answered_after_the_good_one(self):
        client = self.client(self.rondo(one_route(self.backend().address)))
        client.send(f"GET /good HTTP/1.1\r\n{HOST}\r\nGET /bad HTTP/1.1\r\n\r\n")
        self.assertEqual(client.response().text(), "/good")
        self.assertEqual(client.response().status, 400)
        self.assertTrue(client.ended())

    def test_limits_are_as_configured(self):
        rondo = self.rondo(one_route(self.backend().address, top="limits: {header_bytes: 1KiB, header_count: 5}"))
        client = self.client(rondo)
        self.assertEqual(client.get(headers=[("A", "b")] * 4).status, 200)
        self.assertEqual(client.get(headers=[("A", "b")] * 5).status, 431)
        self.assertEqual(self.get(rondo, headers={"A": "b" * 900}).status, 200)
        self.assertEqual(self.get(rondo, headers={"A": "b" * 1100}).status, 431)

    def test_the_same_content_length_in_two_headers_is_refused_too_or_forwarded_once(self):
        backend = self.backend()
        response, _ = self.raw(self.rondo(one_route(backend.address)),
                               f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab")
        self.assertIn(response.status, (200, 400))
        for request in backend.requests:
            self.assertEqual(request.all("Content-Length"), ["2"])


if __name__ == "__main__":
    harness.main()
