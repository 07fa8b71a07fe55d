"""HTTP/2 towards backends: nghttpd, and servers on python3-h2 that go away, refuse, limit, break off and stall."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import harness
from certificates import Authority, certificates
from harness import eventually, one_route
from http2 import Error, Http2Test, Setting

NGHTTPD = shutil.which("nghttpd", path=os.environ.get("PATH", "") + ":/usr/sbin")


class BackendTest(Http2Test):
    def start(self, *backends, upstream="", **options):
        options.setdefault("workers", 1)
        workers = options.pop("workers")
        return self.rondo(one_route(*(getattr(b, "address", b) for b in backends),
                                    upstream=f"{'' if 'protocol:' in upstream else 'protocol: h2c'}\n{upstream}", **options),
                          workers=workers)

    def admin(self, rondo, method, target, body=None):
        connection = http.client.HTTPConnection(rondo.admin(), timeout=harness.DEADLINE)
        connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        self.assertLess(response.status, 300, text)
        return text

    def metric(self, rondo, name):
        text = self.admin(rondo, "GET", "/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}\{{", line))


class Servers(BackendTest):
    def nghttpd(self, *arguments):
        """A running nghttpd with a file of 300,000 bytes; its address. It says nothing of its port, so that it must be given one."""
        folder = Path(self.folder)
        (folder / "file").write_bytes(harness.pattern(300_000))
        self.assertIsNotNone(NGHTTPD, "nghttpd is not installed")
        for _ in range(5):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            process = subprocess.Popen([NGHTTPD, "-a", "127.0.0.1", "-d", folder, *arguments[:1], str(port), *arguments[1:]],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

            def stop(process=process):
                process.kill()
                process.wait()
            self.addCleanup(stop)
            if eventually(lambda: process.poll() is not None or self.listens(port), "nghttpd listens") is True \
                    and process.poll() is None:
                return f"127.0.0.1:{port}"
        raise AssertionError("nghttpd found no port")

    @staticmethod
    def listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def check_files(self, rondo):
        client, second = self.client(rondo), self.http2(rondo)
        for _ in range(3):
            self.assertEqual(client.get("/file").body, harness.pattern(300_000))
        streams = [second.request(target="/file") for _ in range(20)]
        for stream in streams:
            self.assertEqual(second.answer(stream).body, harness.pattern(300_000))
        self.assertEqual(client.get("/missing").status, 404)
        # nghttpd answers a POST with the file, behind all of its body.
        self.assertEqual(client.request("POST", "/file", body=bytes(500_000)).response().status, 200)

    def test_nghttpd_without_tls(self):
        self.check_files(self.start(self.nghttpd("--no-tls")))

    def test_nghttpd_over_tls(self):
        authority = Authority(self.folder)
        cert, key = authority.leaf("inner")
        address = self.nghttpd("-v", str(key), str(cert))
        self.check_files(self.start(address, upstream=f"protocol: h2\ntls: {{ca: \"{authority.file}\", sni: localhost}}"))

    def test_a_backend_that_speaks_http1_alone_over_tls_is_no_backend(self):
        authority = Authority(self.folder)
        inner = self.rondo(one_route(self.backend().address, listener=(
            f"tls: {{certificates: {certificates(authority.leaf('inner'))}, alpn: [http/1.1]}}")))
        rondo = self.start(inner.address(), upstream=f"protocol: h2\ntls: {{ca: \"{authority.file}\", sni: localhost}}")
        response = self.get(rondo)
        self.assertEqual((response.status, response.reason()), (502, "tls_failed"))

    def test_a_chain_of_two_rondos(self):
        inner = self.rondo(one_route(self.echo().address), workers=2)
        rondo = self.start(inner.address(), workers=2)
        client = self.http2(rondo)
        self.assertIn('"body_bytes":1000000', client.answer(client.request("POST", "/", body=bytes(1_000_000))).text())
        self.assertEqual(client.get("/bytes/1000000").body, harness.pattern(1_000_000))
        self.assertEqual(self.client(rondo).get("/chunked/100000").body, harness.pattern(100_000))


class Requests(BackendTest):
    def test_what_the_backend_is_sent(self):
        backend = self.http2_backend()
        rondo = self.start(backend)
        self.assertEqual(self.client(rondo).get("/a?b=c", headers={
            "Connection": "X-Mine, keep-alive", "X-Mine": "1", "Keep-Alive": "5", "X-Mixed": "Case",
            "Cookie": "a=1; b=2"}, host="e2e.test:81").text(), "/a?b=c")
        request = backend.requests[0]  # python3-h2 has looked at its form
        self.assertEqual(request.pseudo, {":method": "GET", ":scheme": "http", ":path": "/a?b=c", ":authority": "e2e.test:81"})
        self.assertEqual(request.get("x-mixed"), "Case")
        for gone in ("connection", "keep-alive", "x-mine", "host", "transfer-encoding"):
            self.assertIsNone(request.get(gone), gone)
        self.assertEqual("; ".join(request.all("cookie")), "a=1; b=2")

    def test_one_connection_carries_many_requests_at_once(self):
        def serve(connection):
            together = [connection.request() for _ in range(20)]
            for request in reversed(together):
                connection.answer(request, body=request.target)
            connection.wait_end()
        backend = self.http2_backend(serve)
        rondo = self.start(backend)
        clients = [self.client(rondo) for _ in range(20)]
        for number, client in enumerate(clients):
            client.request(target=f"/{number}")
        for number, client in enumerate(clients):
            self.assertEqual(client.response().text(), f"/{number}")
        self.assertEqual(backend.connections, 1)
        self.assertEqual((self.metric(rondo, "rondo_pool_opened_total"), self.metric(rondo, "rondo_pool_reused_total")), (1, 19))

    def test_bodies_and_trailers_both_ways(self):
        def answer(request):
            return {"body": bytes(reversed(request.body)), "trailers": [("x-sum", str(len(request.trailers)))]}
        backend = self.http2_backend(answer=answer)
        client = self.client(self.start(backend))
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Up: 1\r\n\r\n")
        response = client.response()
        self.assertEqual((response.body, [(n.lower(), v) for n, v in response.trailers]), (b"gfedcba", [("x-sum", "1")]))
        self.assertEqual(backend.requests[0].trailers, [("x-up", "1")])
        self.assertEqual(client.request("POST", "/", body=harness.pattern(400_000)).response().body,
                         bytes(reversed(harness.pattern(400_000))))

    def test_head_204_304_and_interim_answers(self):
        def serve(connection):
            while True:
                request = connection.request()
                if request.method == "HEAD":
                    connection.answer(request, 200, [("content-length", "1234")])
                elif request.target == "/early":
                    connection.h2.send_headers(request.stream, [(":status", "103"), ("link", "</a.css>")])
                    connection.answer(request, body="late")
                else:
                    connection.answer(request, int(request.target[1:]))
        client = self.client(self.start(self.http2_backend(serve)))
        head = client.request("HEAD").response("HEAD")
        self.assertEqual((head.status, head.get("content-length")), (200, "1234"))
        for status in (204, 304):
            self.assertEqual(client.get(f"/{status}").status, status)
        early = client.get("/early")
        self.assertEqual(([i.status for i in early.interim], early.text()), ([103], "late"))

    def test_expect_100_continue(self):
        def serve(connection):
            request = connection.head()
            self.assertFalse(request.whole)
            connection.h2.send_headers(request.stream, [(":status", "100")])
            connection.flush()
            connection.answer(connection.request(), body="got it")
            connection.wait_end()
        client = self.client(self.start(self.http2_backend(serve)))
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.take_until(b"\r\n\r\n").split(b" ")[1], b"100")
        client.send("body")
        self.assertEqual(client.response().text(), "got it")

    def test_a_client_that_goes_away_resets_its_stream_alone(self):
        backend = self.http2_backend(lambda c: (c.head(), c.answer(c.request(), body="other"), c.wait_end()))
        rondo = self.start(backend)
        gone = self.client(rondo)
        gone.send("POST /gone HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        backend.wait_requests(1)
        other = self.client(rondo).request(target="/other")
        self.assertEqual(other.response().text(), "other")
        gone.reset()
        eventually(lambda: backend.requests[0].reset, "its stream is reset")
        self.assertEqual((backend.requests[0].reset, backend.connections), (Error.CANCEL, 1))


class Leaving(BackendTest):
    """Whatever a backend did nothing with is asked again elsewhere, for every method; nothing else is."""

    def post(self, rondo, count=1, method="POST"):
        return [self.client(rondo).request(method, "/", body=b"once").response() for _ in range(count)]

    def test_a_refused_stream_is_asked_again(self):
        def refuse(connection):
            while True:
                connection.reset(connection.head(), Error.REFUSED_STREAM)
        refusing, good = self.http2_backend(refuse), self.http2_backend(answer=lambda r: {"body": "good"})
        rondo = self.start(refusing, good)
        self.assertEqual([r.text() for r in self.post(rondo, 6)], ["good"] * 6)
        self.assertTrue(refusing.requests)
        self.assertEqual([r.body for r in good.requests], [b"once"] * 6)

    def test_a_goaway_that_leaves_a_stream_out_asks_again(self):
        def leave(connection):
            connection.head()
            connection.go_away(0)
            connection.wait_end()
        leaving, good = self.http2_backend(leave), self.http2_backend(answer=lambda r: {"body": "good"})
        self.assertEqual([r.text() for r in self.post(self.start(leaving, good), 6)], ["good"] * 6)
        self.assertTrue(leaving.requests)

    def test_a_goaway_lets_the_streams_it_names_end_and_takes_no_more(self):
        def serve(connection):
            request = connection.request()
            if request.target == "/first":
                connection.go_away(request.stream)
                went.set()
                answer.wait(harness.DEADLINE)
            connection.answer(request, body=request.target)
            connection.wait_end()
        went, answer = threading.Event(), threading.Event()
        self.addCleanup(answer.set)
        backend = self.http2_backend(serve)
        rondo = self.start(backend)
        first = self.client(rondo).request("POST", "/first", body=b"x")
        self.assertTrue(went.wait(harness.DEADLINE))
        second = self.client(rondo).request("POST", "/second", body=b"x")
        self.assertEqual(second.response().text(), "/second")  # over a connection of its own
        answer.set()
        self.assertEqual(first.response().text(), "/first")
        self.assertEqual(backend.connections, 2)

    def test_a_goaway_of_two_steps_loses_nothing(self):
        def serve(connection):
            connection.answer(connection.request(), body="one")
            connection.go_away((1 << 31) - 1)
            request = connection.request() if not stop.is_set() else None
            if request:
                connection.go_away(request.stream)
                connection.answer(request, body="two")
            connection.wait_end()
        stop = threading.Event()
        rondo = self.start(self.http2_backend(serve), workers=1)
        for _ in range(10):
            client = self.client(rondo)
            self.assertEqual(client.request("POST", "/", body=b"x").response().status, 200)
            client.close()
        stop.set()

    def test_a_stream_reset_after_the_request_is_asked_again_only_where_that_is_safe(self):
        def break_off(connection):
            while True:
                connection.reset(connection.request(), Error.INTERNAL_ERROR)
        broken, good = self.http2_backend(break_off), self.http2_backend(answer=lambda r: {"body": "good"})
        rondo = self.start(broken, good, upstream="passive_health: {max_fails: 0}")
        statuses = [r.status for r in self.post(rondo, 6)]
        self.assertEqual(set(statuses), {200, 502})
        self.assertEqual(len(broken.requests) + len(good.requests), 6)
        client = self.client(rondo)
        self.assertEqual([client.get().text() for _ in range(4)], ["good"] * 4)

    def test_an_answer_that_is_reset_in_the_middle_is_cut(self):
        def serve(connection):
            while True:
                request = connection.request()
                connection.answer(request, headers=[("content-length", "100")] if request.target == "/length" else (),
                                  body="not all", end=False)
                connection.reset(request, Error.INTERNAL_ERROR)
        rondo = self.start(self.http2_backend(serve))
        client = self.client(rondo)
        client.request(target="/length")
        with self.assertRaises(EOFError):
            client.response()
        client = self.client(rondo)
        client.request(target="/chunked")
        with self.assertRaises(EOFError):
            client.response()
        second = self.http2(rondo)
        for target in ("/length", "/chunked"):
            answer = second.get(target)
            self.assertEqual((answer.ended, answer.reset), (False, Error.INTERNAL_ERROR), answer)

    def test_the_streams_of_one_connection_that_breaks_are_all_told(self):
        def serve(connection):
            for _ in range(5):
                connection.head()
            connection.wire.reset()
        rondo = self.start(self.http2_backend(serve), upstream="retries: {attempts: 0}")
        clients = [self.client(rondo).request("POST", "/", body=b"x") for _ in range(5)]
        self.assertEqual([(c.response().status) for c in clients], [502] * 5)

    def test_a_backend_that_is_removed_finishes_its_streams_and_is_left(self):
        def serve(connection):
            try:
                while True:
                    connection.answer(connection.request(), body="leaving")
            finally:
                ended.set()
        ended = threading.Event()
        leaving, staying = self.http2_backend(serve), self.http2_backend(answer=lambda r: {"body": "staying"})
        rondo = self.start(leaving)
        client = self.client(rondo)
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf,")
        leaving.wait_requests(1)
        self.admin(rondo, "POST", "/v1/upstreams/app/backends", json.dumps({"address": staying.address}))
        self.admin(rondo, "DELETE", f"/v1/upstreams/app/backends/{leaving.address}")
        eventually(lambda: self.get(rondo).text() == "staying", "the change is in force")
        self.assertEqual([self.get(rondo).text() for _ in range(3)], ["staying"] * 3)
        self.assertFalse(ended.is_set())
        client.send("whole")
        self.assertEqual(client.response().text(), "leaving")
        self.assertTrue(ended.wait(harness.DEADLINE), "its connection is closed")
        self.assertEqual(leaving.requests[0].body, b"half,whole")


class Limits(BackendTest):
    LIMITED = {Setting.MAX_CONCURRENT_STREAMS: 3}

    def test_more_requests_than_a_connection_has_streams_open_another(self):
        def serve(connection):
            connection.until(lambda: connection.settings_acks == 2)
            numbers.append(len(numbers))
            if numbers[-1] == 0:
                together = [connection.head() for _ in range(3)]
                full.set()
                release.wait(harness.DEADLINE)
                for request in together:
                    connection.answer(request, body=request.target)
            while True:
                request = connection.head()
                connection.answer(request, body=f"{request.target} elsewhere")
        numbers, full, release = [], threading.Event(), threading.Event()
        self.addCleanup(release.set)
        rondo = self.start(self.http2_backend(serve, values=self.LIMITED))
        first = [self.client(rondo).request(target=f"/{n}") for n in range(3)]
        self.assertTrue(full.wait(harness.DEADLINE))
        self.assertEqual([self.get(rondo, f"/{n}").text() for n in (3, 4)], ["/3 elsewhere", "/4 elsewhere"])
        release.set()
        self.assertEqual([c.response().text() for c in first], ["/0", "/1", "/2"])

    def test_requests_beyond_a_limit_that_was_not_known_yet_are_asked_again(self):
        def serve(connection):
            # It takes three at once and refuses the others, as a server does whose settings are on their way.
            taken, refused = [], []
            while len(connection.backend.requests) < 9:
                request = connection.head()
                if len(taken) < 3:
                    taken.append(request)
                else:
                    refused.append(request)  # its body may be on its way
                    connection.reset(request, Error.REFUSED_STREAM)
            for request in taken:
                connection.answer(connection.until(lambda: request.whole) or request, body=request.target)  # pylint: disable=cell-var-from-loop
            while True:
                request = connection.request()
                if request not in taken + refused:
                    connection.answer(request, body=request.target)
        # Without a limit that is said: else some would have connections of their own by then.
        rondo = self.start(self.http2_backend(serve))
        clients = [self.client(rondo).request("POST", f"/{n}", body=b"once") for n in range(9)]
        self.assertEqual([c.response().text() for c in clients], [f"/{n}" for n in range(9)])

    def test_the_backend_s_max_connections_counts_requests(self):
        def serve(connection):
            while True:
                requests = [connection.head(), connection.head()]
                for request in requests:
                    connection.answer(request, body=request.target)
        backend = self.http2_backend(serve)
        rondo = self.start(f"{{address: \"{backend.address}\", max_connections: 2}}", upstream="queue: {size: 10, timeout: 10s}")
        clients = [self.client(rondo).request(target=f"/{n}") for n in range(8)]
        self.assertEqual([c.response().text() for c in clients], [f"/{n}" for n in range(8)])

    def test_a_window_that_stays_shut_holds_its_own_stream_alone(self):
        def serve(connection):
            connection.open_windows = False
            stuck = connection.head()
            for _ in range(5):
                connection.answer(connection.head(), body="free")
            connection.h2.increment_flow_control_window(1 << 20, stuck.stream)
            connection.h2.increment_flow_control_window(1 << 20)
            connection.flush()
            connection.until(lambda: stuck.whole)
            connection.answer(stuck, body=str(len(stuck.body)))
            connection.wait_end()
        backend = self.http2_backend(serve, values={Setting.INITIAL_WINDOW_SIZE: 1000})
        rondo = self.start(backend)
        stuck = self.client(rondo).request("POST", "/stuck", body=bytes(200_000))
        backend.wait_requests(1)
        self.assertEqual([self.get(rondo).text() for _ in range(5)], ["free"] * 5)
        self.assertEqual(stuck.response().text(), "200000")

    def test_a_slow_client_holds_up_its_own_answer_alone_in_bounded_memory(self):
        big = 30_000_000

        def serve(connection):
            while True:
                request = connection.head()
                if request.target == "/big":
                    connection.h2.send_headers(request.stream, [(":status", "200")])
                    left.append([request, big])
                else:
                    connection.answer(request, body="small")
                feed(connection)

        def feed(connection):
            # As much as the windows let through; no more comes while nobody reads.
            for entry in left:
                request, size = entry
                while size and connection.h2.local_flow_control_window(request.stream) > 0:
                    piece = min(size, connection.h2.local_flow_control_window(request.stream), 16384)
                    connection.h2.send_data(request.stream, bytes(piece))
                    entry[1] = size = size - piece
            connection.flush()
        left = []
        rondo = self.start(self.http2_backend(serve))
        self.assertEqual(self.get(rondo).text(), "small")
        before = rondo.rss_bytes()
        slow = self.http2(rondo, open_windows=False)
        streams = [slow.request(target="/big") for _ in range(5)]
        for stream in streams:
            slow.head(stream)
        other = self.client(rondo)
        self.assertEqual([other.get().text() for _ in range(50)], ["small"] * 50)
        self.assertLess(rondo.rss_bytes() - before, harness.MEMORY_ROOM)
        self.assertTrue(all(entry[1] > big / 2 for entry in left), left)


class Tunnels(BackendTest):
    def test_a_backend_that_takes_no_extended_connect_gets_no_websocket(self):
        backend = self.http2_backend()
        client = self.client(self.start(backend, route="upgrades: [websocket]"))
        client.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        response = client.response()
        self.assertEqual((response.status, response.reason()), (502, "upgrade_not_supported"))
        self.assertEqual(backend.requests, [])


if __name__ == "__main__":
    harness.main()
