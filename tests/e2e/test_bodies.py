"""Bodies in both directions: framing, trailers, 100-continue, early answers, size and back-pressure."""
import os
import threading
import time

import harness
from harness import EndToEnd, fnv64, ok, one_route, pattern

SLOW_READER_BYTES = int(os.environ.get("RONDO_E2E_TRANSFER_MB", "200")) << 20


class Framing(EndToEnd):
    def test_a_length_stays_a_length_and_chunks_stay_chunks(self):
        backend = self.backend(answer=lambda r: ok(r.body))
        client = self.client(self.rondo(one_route(backend.address)))
        self.assertEqual(client.request("POST", "/", body=b"sized").response().body, b"sized")
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nchun\r\n3;a=b\r\nked\r\n0\r\n\r\n")
        self.assertEqual(client.response().body, b"chunked")
        sized, chunked = backend.requests
        self.assertEqual((sized.get("Content-Length"), sized.get("Transfer-Encoding")), ("5", None))
        self.assertEqual((chunked.get("Content-Length"), chunked.get("Transfer-Encoding")), (None, "chunked"))

    def test_a_chunked_response_arrives_whole_with_its_trailers(self):
        def serve(connection):
            while True:
                connection.request()
                connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                                "5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n")
        backend = self.backend(serve)
        client = self.client(self.rondo(one_route(backend.address)))
        for _ in range(2):
            response = client.get(headers={"TE": "trailers"})
            self.assertEqual(response.text(), "hello world")
            self.assertEqual(response.trailers, [("X-Sum", "42")])
        self.assertEqual(backend.connections, 1)

    def test_request_trailers_reach_the_backend(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address)))
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                    "2\r\nab\r\n0\r\nX-Sum: 7\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(backend.requests[0].body, b"ab")
        self.assertEqual(backend.requests[0].trailers, [("X-Sum", "7")])

    def test_a_route_that_removes_or_sets_a_field_takes_it_from_trailers_too(self):
        backend = self.backend()
        rondo = self.rondo(
            "listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n    routes:\n      - upstream: app\n"
            "        set_request_headers: {X-Env: prod}\n        remove_request_headers: [X-Inner]\n"
            f"upstreams: {{app: {{backends: [\"{backend.address}\"]}}}}\n")
        client = self.client(rondo)
        for pause in (False, True):
            client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
            if pause:
                time.sleep(0.1)
            client.send("0\r\nx-env: test\r\nX-Sum: 7\r\nX-INNER: 1\r\n\r\n")
            self.assertEqual(client.response().status, 200)
            self.assertEqual(backend.requests[-1].trailers, [("X-Sum", "7")])

    def test_trailers_that_would_change_the_framing_do_not_pass(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address)))
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nab\r\n0\r\nContent-Length: 7\r\n\r\n")
        response = client.response()
        self.assertIn(response.status, (200, 400))
        for request in backend.requests:
            self.assertEqual(request.trailers, [])

    def test_a_close_delimited_response_is_passed_on_whole(self):
        def serve(connection):
            connection.request()
            connection.send("HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n" + "x" * 100000)
        rondo = self.rondo(one_route(self.backend(serve).address))
        self.assertEqual(self.get(rondo).body, b"x" * 100000)
        # A 1.0 client knows no chunks: for it the end of the connection is the end of the body.
        response, client = self.raw(rondo, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        self.assertIsNone(response.get("Transfer-Encoding"))
        self.assertEqual(response.body, b"x" * 100000)

    def test_a_chunked_response_is_unwrapped_for_a_1_0_client(self):
        def serve(connection):
            connection.request()
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        rondo = self.rondo(one_route(self.backend(serve).address))
        response, client = self.raw(rondo, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        self.assertIsNone(response.get("Transfer-Encoding"))
        self.assertEqual(response.body, b"hello")

    def test_a_response_that_breaks_off_is_not_passed_on_as_whole(self):
        cases = {"length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                 "chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"}
        for name, answer in cases.items():
            with self.subTest(name):
                def serve(connection, answer=answer):
                    connection.request()
                    connection.send(answer)
                client = self.client(self.rondo(one_route(self.backend(serve).address)))
                client.request()
                data = client.rest()
                self.assertTrue(data.startswith(b"HTTP/1.1 200"), data)
                self.assertFalse(data.endswith(b"0\r\n\r\n"), data)


class Continue(EndToEnd):
    HEAD = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

    def test_the_backends_100_reaches_the_client_before_its_body(self):
        def serve(connection):
            request = connection.head()
            self.assertEqual(request.get("Expect"), "100-continue")
            connection.send("HTTP/1.1 100 Continue\r\n\r\n")
            connection.send(ok(connection.body(request).body))
        client = self.client(self.rondo(one_route(self.backend(serve).address)))
        client.send(self.HEAD)
        self.assertEqual(client.take_until(b"\r\n\r\n").split(b" ")[1], b"100")
        client.send("hello")
        self.assertEqual(client.response().text(), "hello")

    def test_a_final_answer_instead_of_100_is_passed_on(self):
        def serve(connection):
            connection.head()
            connection.send(ok("no", "Connection: close\r\n", "403 Forbidden"))
        client = self.client(self.rondo(one_route(self.backend(serve).address)))
        client.send(self.HEAD)
        response = client.response()
        self.assertEqual((response.status, response.text()), (403, "no"))

    def test_other_interim_answers_pass_but_not_to_a_1_0_client(self):
        def serve(connection):
            while True:
                connection.request()
                connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
                connection.send(ok("done"))
        rondo = self.rondo(one_route(self.backend(serve).address))
        response = self.get(rondo)
        self.assertEqual([(i.status, i.get("Link")) for i in response.interim], [(103, "</a>")])
        self.assertEqual(response.text(), "done")
        response, _ = self.raw(rondo, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        self.assertEqual((response.interim, response.text()), ([], "done"))


class EarlyAnswers(EndToEnd):
    def test_an_answer_while_the_body_still_comes_reaches_the_client(self):
        def serve(connection):
            connection.head()
            connection.take(10)
            connection.send(ok("too much", "Connection: close\r\n", "413 Content Too Large"))
        rondo = self.rondo(one_route(self.backend(serve).address))
        client = self.client(rondo)
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + "x" * 100)
        response = client.response()
        self.assertEqual((response.status, response.text()), (413, "too much"))

    def test_an_answer_that_streams_while_the_body_still_comes_flows_both_ways(self):
        def serve(connection):
            connection.head()
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(5):
                piece = connection.take(4)
                connection.send(b"4\r\n" + piece + b"\r\n")
            connection.send("0\r\n\r\n")
        client = self.client(self.rondo(one_route(self.backend(serve).address)))
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n")
        client.take_until(b"\r\n\r\n")
        for i in range(5):
            piece = f"pc{i:02}".encode()
            client.send(piece)
            self.assertEqual(client.take(9), b"4\r\n" + piece + b"\r\n")
        self.assertEqual(client.take(5), b"0\r\n\r\n")


class Size(EndToEnd):
    def test_large_bodies_arrive_unchanged_both_ways(self):
        echo = self.echo()
        rondo = self.rondo(one_route(echo.address))
        client = self.client(rondo)
        for size in (0, 1, 4095, 4096, 65535, 65536, 65537, 3_000_001):
            self.assertEqual(client.get(f"/bytes/{size}").body, pattern(size), size)
            self.assertEqual(client.get(f"/chunked/{size}").body, pattern(size), size)
        body = pattern(1_000_003)
        response = client.request("POST", "/upload", body=body).response()
        self.assertIn(f"\"bytes\":{len(body)},\"fnv64\":\"{fnv64(body)}\"", response.text())

    def test_a_body_over_the_limit_is_413_and_the_connection_closes(self):
        rondo = self.rondo(one_route(self.backend().address, top="limits: {body_bytes: 1KiB}"))
        response, client = self.raw(rondo, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n")
        self.assertEqual((response.status, response.reason()), (413, "body_too_large"))
        self.assertTrue(client.ended())
        client = self.client(rondo)
        self.assertEqual(client.request("POST", "/", body=b"x" * 1024).response().status, 200)
        client = self.client(rondo)
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n" + "x" * 1025 + "\r\n0\r\n\r\n")
        self.assertEqual(client.response().status, 413)

    def test_a_slow_reader_of_a_large_body_does_not_grow_the_process(self):
        echo = self.echo()
        rondo = self.rondo(one_route(echo.address, upstream="timeouts: {idle: 60s}"))
        before = self._steady_rss(rondo)
        client = self.client(rondo)
        client.request("GET", f"/bytes/{SLOW_READER_BYTES}")
        client.take_until(b"\r\n\r\n")
        # Until the kernel's buffers are full nothing is read; then in pieces, with Rondo never far ahead.
        self.assertTrue(self._stalled(echo))
        peak, left = rondo.rss_bytes(), SLOW_READER_BYTES - len(client.buffer)
        client.buffer = b""
        while left > 0:
            size = len(client.sock.recv(min(left, 1 << 16)))
            self.assertGreater(size, 0)
            left -= size
            if left % (1 << 22) < (1 << 16):
                peak = max(peak, rondo.rss_bytes())
        self.assertLess(peak - before, harness.MEMORY_ROOM)

    def test_a_slow_backend_holds_a_large_upload_back(self):
        release = threading.Event()

        def serve(connection):
            connection.head()
            release.wait(harness.DEADLINE)
            left = SLOW_READER_BYTES
            connection.buffer, left = b"", left - len(connection.buffer)
            while left > 0:
                left -= len(connection.sock.recv(1 << 20))
            connection.send(ok("all of it"))
        rondo = self.rondo(one_route(self.backend(serve).address))
        before = self._steady_rss(rondo, None)
        client = self.client(rondo)
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {SLOW_READER_BYTES}\r\n\r\n")
        sent, piece = 0, b"x" * (1 << 16)
        client.sock.settimeout(0.5)
        try:
            while sent < SLOW_READER_BYTES:
                sent += client.sock.send(piece[:SLOW_READER_BYTES - sent])
        except TimeoutError:
            pass
        self.assertLess(sent, SLOW_READER_BYTES, "a stalled backend must stop the client")
        self.assertLess(rondo.rss_bytes() - before, harness.MEMORY_ROOM)
        client.sock.settimeout(harness.DEADLINE)
        release.set()
        while sent < SLOW_READER_BYTES:
            sent += client.sock.send(piece[:SLOW_READER_BYTES - sent])
        self.assertEqual(client.response().text(), "all of it")

    def _steady_rss(self, rondo, target="/bytes/1000000"):
        if target:
            for _ in range(3):
                self.get(rondo, target)
        return rondo.rss_bytes()

    @staticmethod
    def _stalled(echo):
        """Waits until the origin's CPU time stands still: it cannot send any more."""
        def ticks():
            with open(f"/proc/{echo.pid}/stat", encoding="ascii") as stat:
                return stat.read().rsplit(")", 1)[1].split()[11:13]
        last = [ticks()]

        def stands():
            now = ticks()
            before, last[0] = last[0], now
            return now == before
        count = [0]

        def stood():
            count[0] = count[0] + 1 if stands() else 0
            return count[0] >= 10
        return harness.eventually(stood, "the origin has stopped sending")


if __name__ == "__main__":
    harness.main()
