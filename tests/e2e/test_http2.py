"""HTTP/2 as clients meet it: curl, nghttp, h2load and python3-h2, over TLS and by prior knowledge, through both engines;
connections that drain, age and idle; WebSockets by RFC 8441; failures as gRPC understands them."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import http2
import harness
from certificates import Authority, certificates
from harness import eventually, fnv64, ok, one_route, pattern
from http2 import Error, Http2Test, Setting, request_fields
from test_upgrade import HANDSHAKE, frame

WHOLE = b"0123456789abcdef" * 5


class Http2Edge(Http2Test):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.pair = self.authority.leaf("web")

    def start(self, *backends, listener="", route="", top="", upstream="", workers=2, **options):
        """Listeners `web` (TLS) and `plain` with the same route."""
        listed = ", ".join(f'"{getattr(backend, "address", backend)}"' for backend in backends)
        inside = (f"{harness.indent(listener, 4)}    routes:\n      - upstream: app\n        upgrades: [websocket]\n"
                  f"{harness.indent(route, 8)}")
        return self.rondo(
            f"{top}\nlisteners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n"
            f"    tls: {{certificates: {certificates(self.pair)}, hsts: 365d}}\n{inside}"
            f"  plain:\n    listen: [\"127.0.0.1:0\"]\n{inside}"
            f"upstreams:\n  app:\n    backends: [{listed}]\n{harness.indent(upstream, 4)}", workers=workers,
            listeners=2, **options)

    def secure(self, rondo, **options):
        return self.http2(rondo, context=self.authority.context(), **options)

    def plain(self, rondo, **options):
        return self.http2(rondo, listener="plain", **options)

    def metric(self, rondo, pattern_):
        """The sum of the samples that match."""
        text = self.admin_get(rondo, "/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(pattern_, line))

    def admin_get(self, rondo, target):
        host, port = rondo.admin().rsplit(":", 1)
        client = harness.Client(socket.create_connection((host, int(port)), harness.DEADLINE))
        text = client.get(target, host="localhost").text()
        client.close()
        return text

    def run_program(self, *arguments):
        done = subprocess.run(list(map(str, arguments)), capture_output=True, timeout=harness.DEADLINE * 4, check=False)
        self.assertEqual(done.returncode, 0, (arguments, done.stderr, done.stdout[-2000:]))
        return done.stdout

    def ways(self, rondo):
        """What curl takes for each way of speaking HTTP/2, and where."""
        return ((["--http2", "--cacert", self.authority.file], f"https://localhost:{rondo.port()}"),
                (["--http2-prior-knowledge"], f"http://127.0.0.1:{rondo.port('plain')}"))


class Programs(Http2Edge):
    def test_curl_moves_megabytes_both_ways(self):
        rondo = self.start(self.echo())
        body = os.urandom(3_000_001)
        (Path(self.folder) / "up.bin").write_bytes(body)
        for options, base in self.ways(rondo):
            version = self.run_program("curl", "-sS", *options, "-o", "/dev/null", "-w", "%{http_version}", f"{base}/")
            self.assertEqual(version, b"2")
            for path in ("/bytes/3000001", "/chunked/3000001"):
                self.assertEqual(self.run_program("curl", "-sS", *options, f"{base}{path}"), pattern(3000001))
            for how in ([], ["-H", "Transfer-Encoding: chunked"]):
                answer = self.run_program("curl", "-sS", *options, *how, "-H", "Expect:", "--data-binary",
                                          f"@{self.folder}/up.bin", f"{base}/upload")
                self.assertIn(f'"bytes":3000001,"fnv64":"{fnv64(body)}"'.encode(), answer)

    def test_curl_waits_for_100_and_asks_for_heads(self):
        rondo = self.start(self.echo())
        (Path(self.folder) / "up.bin").write_bytes(bytes(100_000))
        for options, base in self.ways(rondo):
            answer = self.run_program("curl", "-sS", *options, "-H", "Expect: 100-continue", "--data-binary",
                                      f"@{self.folder}/up.bin", f"{base}/upload")
            self.assertIn(b'"bytes":100000', answer)
            head = self.run_program("curl", "-sSI", *options, f"{base}/bytes/77")
            self.assertIn(b"HTTP/2 200", head)
            self.assertIn(b"content-length: 77", head)

    def test_nghttp_fetches_many_at_once(self):
        rondo = self.start(self.echo())
        for base in (f"https://localhost:{rondo.port()}", f"http://127.0.0.1:{rondo.port('plain')}"):
            out = self.run_program("nghttp", "-n", "-s", "-m", 50, f"{base}/bytes/20000")
            self.assertEqual(len(re.findall(rb"\b200\b +\d+K? +/bytes/20000", out)), 50, out)

    def test_h2load_loses_nothing(self):
        rondo = self.start(self.echo(), self.echo())
        for base in (f"https://localhost:{rondo.port()}", f"http://127.0.0.1:{rondo.port('plain')}"):
            for path, count in (("/", 4000), ("/bytes/70000", 400)):
                out = self.run_program("h2load", "-n", count, "-c", 8, "-m", 16, f"{base}{path}").decode()
                self.assertIn(f"{count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout", out)
        self.assertEqual(self.metric(rondo, r"rondo_http2_streams"), 0)


class Streams(Http2Edge):
    def test_many_streams_at_once_do_not_mix(self):
        rondo = self.start(self.echo())
        for client in (self.secure(rondo), self.plain(rondo)):
            streams = {client.request("GET", f"/bytes/{10_000 + number}"): 10_000 + number for number in range(100)}
            for stream, size in streams.items():
                answer = client.answer(stream)
                self.assertTrue(answer.ended, answer)
                self.assertEqual(answer.body, pattern(size))

    def test_uploads_and_downloads_beside_each_other(self):
        rondo = self.start(self.echo())
        client = self.secure(rondo)
        down = client.request("GET", "/bytes/2000000")
        bodies = [os.urandom(300_000 + number) for number in range(5)]
        streams = [client.request("POST", "/upload", body=body) for body in bodies]
        for stream, body in zip(streams, bodies):
            self.assertIn(fnv64(body), client.answer(stream).text())
        self.assertEqual(client.answer(down).body, pattern(2000000))

    def test_the_backend_hears_of_its_client_and_the_client_of_hsts(self):
        backend = self.backend()
        rondo = self.start(backend)
        answer = self.secure(rondo).get("/x")
        self.assertEqual(answer.get("strict-transport-security"), "max-age=31536000")
        self.assertIsNone(answer.get("connection"))
        request = backend.requests[-1]
        self.assertEqual((request.get("X-Forwarded-Proto"), request.get("X-Forwarded-For"), request.get("X-Real-IP")),
                         ("https", "127.0.0.1", "127.0.0.1"))
        self.assertIsNone(self.plain(rondo).get("/x").get("strict-transport-security"))
        self.assertEqual(backend.requests[-1].get("X-Forwarded-Proto"), "http")

    def test_the_log_and_the_metrics_tell(self):
        log = Path(self.folder) / "access.log"
        rondo = self.start(self.echo(), access=str(log))
        client = self.secure(rondo)
        client.get("/one")
        client.get("/two", headers={"user-agent": "me"})
        lines = self.access_lines(log, 2)
        self.assertEqual([(line["protocol"], line["target"], line["status"]) for line in lines],
                         [("HTTP/2.0", "/one", 200), ("HTTP/2.0", "/two", 200)])
        self.assertEqual((lines[1]["tls"]["alpn"], lines[1]["user_agent"]), ("h2", "me"))
        self.assertEqual(self.metric(rondo, r'rondo_http2_connections\{listener="web"'), 1)
        self.assertEqual(self.metric(rondo, r'rondo_connections\{listener="web"'), 1)
        client.close()
        eventually(lambda: self.metric(rondo, r"rondo_http2_connections") == 0, "the connection is counted no more")
        self.assertEqual(self.metric(rondo, r'http_requests_total.*code="200"'), 2)

    def test_a_client_that_gives_up_frees_the_backend_at_once(self):
        def serve(connection):
            connection.request()
            self.assertTrue(connection.ended())
        backend = self.backend(serve)
        client = self.plain(self.start(backend))
        for body in (None, b"whole"):
            stream = client.request("POST", "/slow", body=body)
            backend.wait_requests(1)
            client.write(http2.reset(stream))
            backend.wait_for(lambda: backend.closed >= 1, "the request is given up there too")
            backend.requests.clear()
            backend.closed = 0

    def test_a_slow_reader_is_not_cut_while_it_reads(self):
        rondo = self.start(self.echo(), upstream="timeouts: {idle: 1s}", top="timeouts: {request_body: 1s}")
        client = self.secure(rondo, open_windows=False)
        stream = client.request("GET", "/bytes/200000")
        client.head(stream)
        while not client.streams[stream].over:
            client.pump()
            time.sleep(0.3)
            client.write(http2.window_update(0, 20_000) + http2.window_update(stream, 20_000))
        self.assertEqual(client.streams[stream].body, pattern(200000))

    def test_a_reader_that_stops_is_cut_and_holds_up_nobody(self):
        rondo = self.start(self.echo(), upstream="timeouts: {idle: 500ms}")
        client = self.secure(rondo, open_windows=False)
        stream = client.request("GET", "/bytes/200000")
        client.head(stream)
        self.assertEqual(client.get("/status/201").status, 201)
        self.assertEqual(client.answer(stream).reset, Error.INTERNAL_ERROR)
        self.assertEqual(client.get("/status/201").status, 201)

    def test_who_sends_its_body_too_slowly_is_told(self):
        rondo = self.start(self.echo(), top="timeouts: {request_body: 300ms}")
        client = self.secure(rondo)
        stream = client.open(request_fields("POST", "/"), end=False)
        client.data(stream, b"some")
        answer = client.answer(stream)
        self.assertEqual((answer.status, answer.reason(), answer.ended), (408, "request_body_timeout", True))
        self.assertEqual(client.get("/").status, 200)


class Preface(Http2Edge):
    def test_it_may_come_in_pieces(self):
        rondo = self.start(self.echo())
        # Each piece, alone for certain, comes in tests/proxy/http2_client_test.cc.
        sock = harness.connect(rondo.address("plain")).sock
        self.addCleanup(sock.close)
        sock.sendall(http2.PREFACE[:3])
        client = http2.Client(sock, begin=False)
        client.write(http2.PREFACE[3:] + http2.settings())
        self.assertEqual(client.get("/").status, 200)

    def test_what_only_begins_like_it_is_a_request(self):
        rondo = self.start(self.echo())
        for method in ("P", "PR", "PRI", "PRINT", "PUT"):
            client = self.client(rondo, listener="plain")
            request = f"{method} /x HTTP/1.1\r\nHost: x\r\n\r\n"
            client.send(request[:1])
            client.send(request[1:])
            self.assertIn(f'"method":"{method}"', client.response().text())

    def test_behind_a_request_it_is_none(self):
        client = self.client(self.start(self.echo()), listener="plain")
        self.assertEqual(client.get("/").status, 200)
        client.send(http2.PREFACE + http2.settings())
        self.assertEqual(client.response().status, 505)

    def test_a_client_that_stops_in_the_middle_is_not_waited_for(self):
        rondo = self.start(self.echo(), top="timeouts: {request_header: 300ms}")
        client = self.client(rondo, listener="plain")
        client.send(http2.PREFACE[:10])
        self.assertEqual(client.response().status, 408)
        client = self.client(rondo, listener="plain")
        client.send(http2.PREFACE)  # and no settings
        client.rest()


class Ends(Http2Edge):
    def held(self):
        """A backend that answers to /held when it is let go, and how."""
        def serve(connection):
            while True:
                request = connection.request()
                if request.target.startswith("/held"):
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n" + WHOLE[:40])
                    self.assertTrue(released.wait(harness.DEADLINE))
                    connection.send(WHOLE[40:])
                else:
                    connection.send(ok(b"quick"))
        released = threading.Event()
        self.addCleanup(released.set)
        return self.backend(serve), released.set

    def test_sigterm_finishes_the_streams_in_flight(self):
        backend, release = self.held()
        log = Path(self.folder) / "access.log"
        rondo = self.start(backend, access=str(log))
        clients = [self.secure(rondo), self.plain(rondo)]
        streams = [[client.request("GET", f"/held/{number}") for number in range(5)] for client in clients]
        for client, ids in zip(clients, streams):
            for stream in ids:
                client.head(stream)
        rondo.signal(signal.SIGTERM)
        for client in clients:
            client.until(lambda: client.goaways, "GOAWAY")
            self.assertEqual(client.goaways[0], (2**31 - 1, Error.NO_ERROR))
        release()
        for client, ids in zip(clients, streams):
            for stream in ids:
                answer = client.answer(stream)
                self.assertTrue(answer.ended, answer)
                self.assertEqual(answer.body, WHOLE)
            self.assertEqual(client.end_code(), Error.NO_ERROR)
            self.assertEqual(client.goaways[-1][0], ids[-1])
        self.assertEqual(rondo.wait(), 0)
        self.assertEqual(len(self.access_lines(log, 10)), 10)

    def test_a_request_on_its_way_at_sigterm_is_served(self):
        backend, release = self.held()
        rondo = self.start(backend)
        client = self.plain(rondo)
        held = client.request("GET", "/held")
        client.head(held)
        idle = self.plain(rondo)
        idle.until(lambda: idle.settings_acks, "the settings")
        fresh = self.plain(rondo)
        fresh.until(lambda: fresh.settings_acks, "the settings")
        rondo.signal(signal.SIGTERM)
        client.until(lambda: client.goaways, "GOAWAY")
        self.assertEqual(fresh.get("/quick").text(), "quick")
        self.assertEqual(fresh.end_code(), Error.NO_ERROR)
        release()
        self.assertEqual(client.answer(held).body, WHOLE)
        self.assertEqual(rondo.wait(), 0)

    def test_streams_beyond_the_grace_are_cut(self):
        backend, release = self.held()
        rondo = self.start(backend, process="shutdown_grace: 500ms")
        client = self.plain(rondo)
        stream = client.request("GET", "/held")
        client.head(stream)
        rondo.signal(signal.SIGTERM)
        answer = client.answer(stream)
        self.assertFalse(answer.ended)
        self.assertEqual(rondo.wait(), 0)
        release()

    def test_a_listener_that_goes_takes_leave(self):
        backend, release = self.held()
        rondo = self.rondo(one_route(backend.address), workers=2)
        client = self.http2(rondo)
        stream = client.request("GET", "/held")
        client.head(stream)
        text = rondo.config.read_text()
        rondo.config.write_text(text.replace("  web:", "  other:"))
        rondo.signal(signal.SIGHUP)
        client.until(lambda: client.goaways, "GOAWAY")
        release()
        self.assertEqual(client.answer(stream).body, WHOLE)
        self.assertEqual(client.end_code(), Error.NO_ERROR)

    def test_a_reload_loses_no_stream(self):
        backend, release = self.held()
        rondo = self.rondo(one_route(backend.address), workers=2)
        client = self.http2(rondo)
        streams = [client.request("GET", f"/held/{number}") for number in range(10)]
        for stream in streams:
            client.head(stream)
        for path in ("/old", "/older"):
            rondo.config.write_text(rondo.config.read_text().replace(
                "    routes:\n", f"    routes:\n      - {{match: {{path: {path}}}, respond: {{status: 200}}}}\n"))
            rondo.signal(signal.SIGHUP)
            eventually(lambda: client.get(path).text() == "", "the reload is done")
        release()
        for stream in streams:
            self.assertEqual(client.answer(stream).body, WHOLE)
        self.assertEqual(client.goaways, [])

    def test_idle_and_old_connections_are_closed_properly(self):
        idle = self.start(self.echo(), top="timeouts: {keepalive: 300ms}")
        old = self.start(self.echo(), listener="http2: {max_age: 300ms}")
        for rondo in (idle, old):
            client = self.secure(rondo)
            self.assertEqual(client.get("/").status, 200)
            self.assertEqual(client.end_code(), Error.NO_ERROR)
            self.assertEqual(client.goaways[-1][0], 1)


class WebSockets(Http2Edge):
    def open(self, client, target="/ws", protocol="websocket"):
        stream = client.open([(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":path", target),
                              (":authority", "e2e.test"), ("sec-websocket-version", "13")], end=False)
        return stream, client.head(stream)

    def read_frame(self, client, stream):
        answer = client.streams[stream]
        client.until(lambda: len(answer.body) >= 2 or answer.over, "a frame")
        size, at = answer.body[1], 2
        if size == 126:
            client.until(lambda: len(answer.body) >= 4, "its size")
            size, at = int.from_bytes(answer.body[2:4], "big"), 4
        elif size == 127:
            client.until(lambda: len(answer.body) >= 10, "its size")
            size, at = int.from_bytes(answer.body[2:10], "big"), 10
        client.until(lambda: len(answer.body) >= at + size, "the frame")
        opcode, payload = answer.body[0] & 15, answer.body[at:at + size]
        answer.body = answer.body[at + size:]
        return opcode, payload

    def test_frames_travel_both_ways_until_the_close(self):
        rondo = self.start(self.echo())
        for client in (self.secure(rondo), self.plain(rondo)):
            client.until(lambda: client.settings, "the settings")
            self.assertEqual(client.settings[Setting.ENABLE_CONNECT_PROTOCOL], 1)
            stream, head = self.open(client)
            self.assertEqual((head.status, head.get("sec-websocket-accept"), head.get("upgrade")), (200, None, None))
            for size in (0, 1, 126, 65535, 65536, 300000):
                payload = os.urandom(size)
                client.body(stream, frame(2, payload), end=False)
                self.assertEqual(self.read_frame(client, stream), (2, payload))
            self.assertEqual(client.get("/").status, 200)
            self.assertEqual(self.metric(rondo, r"rondo_tunnels"), 1)
            client.body(stream, frame(8, b"\x03\xe8"), end=False)
            self.assertEqual(self.read_frame(client, stream), (8, b"\x03\xe8"))
            answer = client.answer(stream)
            self.assertTrue(answer.ended, answer)
            client.data(stream, b"", end=True)
            eventually(lambda: self.metric(rondo, r"rondo_http2_streams") == 0, "the stream is over")
            self.assertEqual(client.get("/").status, 200)

    def test_those_on_streams_are_no_connections(self):
        rondo = self.start(self.echo())
        def counted():
            status = json.loads(self.admin_get(rondo, "/v1/status"))
            return [self.metric(rondo, "rondo_connections"), status["connections"], self.metric(rondo, "rondo_tunnels")]
        client = self.plain(rondo)
        for _ in range(5):
            self.assertEqual(self.open(client)[1].status, 200)
        alone = self.client(rondo, listener="plain")
        alone.send(HANDSHAKE)
        self.assertEqual(alone.response().status, 101)
        self.assertEqual(counted(), [2, 2, 6])
        rondo.config.write_text(rondo.config.read_text() + "\nx-note: touched\n")
        rondo.signal(signal.SIGHUP)
        eventually(lambda: self.metric(rondo, r'rondo_reloads_total\{result="ok"') == 1, "the reload")
        self.assertEqual(counted(), [2, 2, 6])
        client.close()
        eventually(lambda: counted() == [1, 1, 1], "the connection with all of its streams is gone")
        alone.close()
        eventually(lambda: counted() == [0, 0, 0], "nothing is left")

    def test_a_client_that_resets_ends_its_backend(self):
        rondo = self.start(self.echo())
        client = self.plain(rondo)
        stream, _ = self.open(client)
        client.write(http2.reset(stream))
        eventually(lambda: self.metric(rondo, r"rondo_tunnels") == 0, "the tunnel ends")
        self.assertEqual(client.get("/").status, 200)

    def test_what_leads_to_no_websocket_is_refused(self):
        backend = self.backend()
        rondo = self.rondo(one_route(backend.address))
        client = self.http2(rondo)
        for protocol, reason in (("websocket", "upgrade_not_allowed"), ("connect-udp", "connect_protocol")):
            stream, _ = self.open(client, protocol=protocol)
            answer = client.answer(stream)
            self.assertEqual((answer.status, answer.reason()), (501, reason))
        self.assertEqual(backend.requests, [])
        self.assertEqual(client.get("/").status, 200)

    def test_sigterm_says_1001_and_ends_the_stream(self):
        rondo = self.start(self.echo(), process="shutdown_grace: 3s")
        client = self.secure(rondo)
        stream, _ = self.open(client)
        rondo.signal(signal.SIGTERM)
        opcode, payload = self.read_frame(client, stream)
        self.assertEqual((opcode, payload[:2]), (8, (1001).to_bytes(2, "big")))
        client.body(stream, frame(8, payload[:2]), end=False)
        answer = client.answer(stream)
        self.assertTrue(answer.ended, answer)
        self.assertEqual(rondo.wait(), 0)


class Grpc(Http2Edge):
    CALL = {"content-type": "application/grpc", "te": "trailers"}

    def test_failures_are_answers_of_grpc(self):
        log = Path(self.folder) / "access.log"
        rondo = self.start(harness.refused_address(), access=str(log))
        client = self.secure(rondo)
        answer = client.answer(client.request("POST", "/pkg.Service/Call", self.CALL, body=b"\0\0\0\0\0"))
        self.assertEqual((answer.status, answer.get("content-type"), answer.get("grpc-status"), answer.body),
                         (200, "application/grpc", "14", b""))
        self.assertTrue(answer.ended)
        self.assertTrue(answer.get("grpc-message").startswith("connect_refused: "), answer)
        line = self.access_lines(log, 1)[0]
        self.assertEqual((line["status"], line["reason"]), (503, "connect_refused"))
        self.assertEqual(self.metric(rondo, r'http_requests_total.*method="POST".*code="503"'), 1)
        # The same over HTTP/1.1.
        http1 = self.client(rondo, listener="plain")
        response = http1.request("POST", "/pkg.Service/Call", self.CALL, b"12345").response()
        self.assertEqual((response.status, response.get("grpc-status"), response.body), (200, "14", b""))

    def test_a_call_is_bounded_by_its_own_timeout(self):
        def serve(connection):
            connection.request()
            self.assertTrue(connection.ended())
        rondo = self.start(self.backend(serve))
        began = time.monotonic()
        client = self.secure(rondo)
        answer = client.answer(client.request("POST", "/pkg.Service/Call", {**self.CALL, "grpc-timeout": "300m"},
                                              body=b"\0\0\0\0\0"))
        self.assertEqual((answer.status, answer.get("grpc-status")), (200, "4"))
        self.assertTrue(answer.get("grpc-message").startswith("grpc_timeout: "), answer)
        self.assertLess(time.monotonic() - began, 10)


if __name__ == "__main__":
    harness.main()
