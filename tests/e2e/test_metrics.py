"""The numbers of /metrics and /v1/status after traffic that is known."""
import http.client
import json
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest

import harness
from harness import EndToEnd, eventually, ok, refused_address

CONFIG = """
listeners:
  web:
    listen: ["127.0.0.1:0"]
    routes:
      - match: {path: /ping}
        respond: {status: 200, body: "pong"}
      - match: {path_prefix: /app}
        upstream: app
        upgrades: [websocket]
%s
upstreams:
  app:
    passive_health: {max_fails: 0}
%s
    backends: [%s]
"""

SAMPLE = re.compile(r'(\w+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def config(*backends, routes="", upstream=""):
    listed = ", ".join(f'"{address}"' for address in backends)
    return CONFIG % (harness.indent(routes, 6), harness.indent(upstream, 4), listed)


class Page:
    """A metrics page: values by name and labels."""

    def __init__(self, text):
        self.text = text
        self.samples = []
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = SAMPLE.fullmatch(line).groups()
                self.samples.append((name, dict(LABEL.findall(labels or "")), float(value)))

    def all(self, name, *labels, **only):
        """{values of `labels`: number} of the samples that have the labels `only`."""
        found = {}
        for sample, own, value in self.samples:
            if sample == name and only.items() <= own.items():
                key = tuple(own[label] for label in labels)
                found[key[0] if len(key) == 1 else key] = value
        return found

    def one(self, name, **only):
        values = list(self.all(name, **only).values())
        return values[0] if values else None


class MetricsTest(EndToEnd):
    def call(self, rondo, method, target, body=None):
        connection = http.client.HTTPConnection(rondo.admin(), timeout=harness.DEADLINE)
        try:
            fields = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, target, None if body is None else json.dumps(body), fields)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        self.assertLess(response.status, 300, text)
        return response, text

    def page(self, rondo):
        response, text = self.call(rondo, "GET", "/metrics")
        self.assertTrue(response.getheader("Content-Type").startswith("text/plain; version=0.0.4"))
        return Page(text)

    def page_with(self, rondo, condition, what):
        """The first page on which it holds: a client may have its answer before it is counted."""
        def look():
            page = self.page(rondo)
            return page if condition(page) else None
        try:
            return eventually(look, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.page(rondo).text}") from None

    def expect(self, rondo, name, labels, wanted, **only):
        wanted = {key: float(value) for key, value in wanted.items()}
        return self.page_with(rondo, lambda page: page.all(name, *labels, **only) == wanted, f"{name} is {wanted}")

    def gated(self):
        """A backend that answers once the event is set."""
        release = threading.Event()
        self.addCleanup(release.set)
        return self.backend(answer=lambda r: release.wait(harness.DEADLINE) and ok()), release

    def test_requests_are_counted_exactly(self):
        def answer(request):
            return ok("x" * 100, status="503 Not Now" if request.target == "/app/503" else "200 OK")
        backend = self.backend(answer=answer)
        rondo = self.rondo(config(backend.address), workers=2)
        client = self.client(rondo)
        for _ in range(10):
            self.assertEqual(client.get("/app").status, 200)
        for _ in range(3):
            client.request("POST", "/app", body=b"12345").response()
        client.get("/app/503")
        client.get("/nowhere")
        client.get("/ping")
        client.request("BREW", "/app").response()
        client.request("HEAD", "/app").response("HEAD")
        client.close()
        page = self.expect(rondo, "http_requests_total", ("upstream", "method", "code"), {
            ("app", "GET", "200"): 10, ("app", "POST", "200"): 3, ("app", "GET", "503"): 1,
            ("app", "other", "200"): 1, ("app", "HEAD", "200"): 1, ("", "GET", "404"): 1, ("", "GET", "200"): 1},
            listener="web")
        self.assertEqual(page.all("http_request_duration_seconds_count", "upstream"), {"app": 16, "": 2})
        self.assertEqual(page.all("http_request_duration_seconds_bucket", "upstream", le="+Inf"), {"app": 16, "": 2})
        self.assertEqual(page.all("http_request_duration_seconds_bucket", "upstream", le="60"), {"app": 16, "": 2})
        self.assertEqual(page.all("rondo_rejected_total", "listener", "reason"), {("web", "no_route"): 1})
        self.assertEqual(page.one("rondo_received_bytes_total", upstream="app"), 15)
        self.assertGreater(page.one("rondo_sent_bytes_total", upstream="app"), 15 * 100)
        self.assertEqual(page.all("rondo_backend_requests_total", "backend", "code"),
                         {(backend.address, "200"): 15, (backend.address, "503"): 1})
        opened = page.one("rondo_pool_opened_total")
        self.assertEqual(opened, backend.connections)
        self.assertEqual(opened + page.one("rondo_pool_reused_total"), 16)
        self.assertEqual(page.one("rondo_backend_connect_seconds_count"), opened)
        self.assertEqual(page.one("rondo_backend_in_flight"), 0)
        self.assertEqual(page.all("rondo_backend_state", "state"), {"up": 1})
        self.expect(rondo, "rondo_connections", ("listener",), {"web": 0})

    def test_connections_and_what_is_in_flight_are_seen_while_they_last(self):
        backend, release = self.gated()
        rondo = self.rondo(config(backend.address))
        waiting, idle = self.client(rondo), self.client(rondo)
        waiting.request("GET", "/app")
        backend.wait_requests(1)
        self.assertEqual(idle.get("/ping").status, 200)
        page = self.expect(rondo, "rondo_connections", ("listener",), {"web": 2})
        self.assertEqual((page.one("rondo_backend_in_flight"), page.one("rondo_pool_active")), (1, 1))
        release.set()
        self.assertEqual(waiting.response().status, 200)
        page = self.expect(rondo, "rondo_backend_in_flight", ("upstream",), {"app": 0})
        self.assertEqual((page.one("rondo_pool_active"), page.one("rondo_pool_idle")), (0, 1))

    def test_failures_retries_and_own_answers_have_their_reasons(self):
        good, refused = self.backend(), refused_address()
        rondo = self.rondo(config(refused, good.address))
        client = self.client(rondo)
        for _ in range(6):
            self.assertEqual(client.get("/app").status, 200)
        self.raw(rondo, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
        page = self.page_with(rondo, lambda page: page.one("rondo_rejected_total"), "the bad request")
        failures = page.all("rondo_backend_failures_total", "backend", "reason")
        self.assertEqual(list(failures), [(refused, "connect_refused")])
        self.assertEqual(page.all("rondo_retries_total", "upstream", "reason"),
                         {("app", "connect_refused"): failures[(refused, "connect_refused")]})
        self.assertEqual(page.all("rondo_rejected_total", "reason"), {"content_length_and_transfer_encoding": 1})
        self.assertEqual(page.all("http_requests_total", "upstream", "method", "code"),
                         {("app", "GET", "200"): 6, ("", "other", "400"): 1})
        good.stop()
        self.assertEqual(self.get(rondo, "/app").status, 503)
        page = self.page_with(rondo, lambda page: page.one("rondo_rejected_total", reason="connect_refused"),
                              "the request that nobody took")
        self.assertEqual(page.one("http_requests_total", code="503"), 1)

    def test_the_queue_is_seen_while_somebody_waits_and_after(self):
        backend, release = self.gated()
        rondo = self.rondo(config(upstream="queue: {size: 1, timeout: 30s}").replace(
            "backends: []", f'backends: [{{address: "{backend.address}", max_connections: 1}}]'))
        first, second = self.client(rondo), self.client(rondo)
        first.request("GET", "/app")
        backend.wait_requests(1)
        second.request("GET", "/app")
        self.expect(rondo, "rondo_queue_depth", ("upstream",), {"app": 1})
        self.assertEqual(self.get(rondo, "/app").reason(), "queue_full")
        release.set()
        self.assertEqual((first.response().status, second.response().status), (200, 200))
        page = self.page_with(rondo, lambda page: page.one("rondo_queue_depth") == 0, "nobody waits")
        self.assertEqual(page.one("rondo_queue_wait_seconds_count"), 1)
        self.assertEqual(page.one("rondo_rejected_total", reason="queue_full"), 1)

    def test_tunnels_are_counted_while_they_last(self):
        echo = self.echo()
        rondo = self.rondo(config(echo.address))
        client = self.client(rondo)
        client.send("GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.assertEqual(client.response().status, 101)
        client.send(b"\x81\x85\0\0\0\0hello")
        self.assertEqual(client.take(7), b"\x81\x05hello")
        page = self.expect(rondo, "rondo_tunnels", ("upstream",), {"app": 1})
        self.assertEqual(page.one("rondo_connections"), 1)
        self.assertEqual(page.one("rondo_backend_in_flight"), 1)
        self.assertEqual(page.one("rondo_received_bytes_total", upstream="app"), 11)
        self.assertEqual(page.all("http_requests_total", "upstream", "code"), {("app", "101"): 1})
        client.close()
        page = self.expect(rondo, "rondo_tunnels", ("upstream",), {"app": 0})
        self.expect(rondo, "rondo_connections", ("listener",), {"web": 0})

    def test_what_clients_invent_makes_no_series(self):
        backend = self.backend(answer=lambda r: ok(status=f"{r.target[5:]} Odd"))
        rondo = self.rondo(config(backend.address))
        client = self.client(rondo)
        for i in range(60):
            client.request(f"M{i}", f"/app/{200 + i % 3}", headers={"X-Any": str(i)}, host=f"h{i}").response()
        self.expect(rondo, "http_requests_total", ("method", "code"),
                    {("other", "200"): 20, ("other", "201"): 20, ("other", "202"): 20})

    def test_the_series_of_what_is_removed_go_and_others_stay(self):
        first, second = self.backend(), self.backend()
        rondo = self.rondo(config(first.address, second.address))
        client = self.client(rondo)
        for _ in range(4):
            client.get("/app")
        both = {first.address: 2, second.address: 2}
        self.expect(rondo, "rondo_backend_requests_total", ("backend",), both)
        self.call(rondo, "DELETE", f"/v1/upstreams/app/backends/{first.address}?wait=true")
        self.assertNotIn(first.address, self.page(rondo).text)
        self.call(rondo, "PUT", "/v1/upstreams/extra", {"backends": [{"address": second.address}]})
        self.assertIn('upstream="extra"', self.page(rondo).text)
        self.call(rondo, "DELETE", "/v1/upstreams/extra")
        self.page_with(rondo, lambda page: 'upstream="extra"' not in page.text, "the upstream is gone")
        # Its counts go on over all of that, and over a reload.
        for _ in range(2):
            client.get("/app")
        self.expect(rondo, "http_requests_total", ("upstream", "code"), {("app", "200"): 6})
        revision = self.page(rondo).one("rondo_config_revision")
        rondo.config.write_text(rondo.config.read_text() + "\nx-note: touched\n")
        rondo.signal(signal.SIGHUP)
        page = self.expect(rondo, "rondo_reloads_total", ("result",), {"ok": 1, "failed": 0})
        self.assertGreaterEqual(page.one("rondo_config_revision"), revision)
        self.assertEqual(page.one("http_requests_total", upstream="app"), 6)
        rondo.config.write_text("nonsense")
        rondo.signal(signal.SIGHUP)
        self.expect(rondo, "rondo_reloads_total", ("result",), {"ok": 1, "failed": 1})

    def test_checks_are_counted_by_result(self):
        good = self.backend()
        rondo = self.rondo(config(good.address, refused_address(), upstream="health_check: {interval: 1s}"))
        page = self.page_with(rondo, lambda page: len(page.all("rondo_health_checks_total", "backend")) == 2,
                              "both were checked")
        self.assertGreaterEqual(page.one("rondo_health_checks_total", backend=good.address, result="passed"), 1)
        self.assertGreaterEqual(page.one("rondo_health_checks_total", result="connect_refused"), 1)

    def test_the_last_minute_is_told_in_rates_and_percentiles(self):
        backend = self.backend(answer=lambda r: ok(status="500 No" if r.target == "/app/500" else "200 OK"))
        rondo = self.rondo(config(backend.address), workers=2)
        client = self.client(rondo)
        for _ in range(15):
            client.get("/app")
        for _ in range(5):
            client.get("/app/500")
        def status():
            answer = json.loads(self.call(rondo, "GET", "/v1/status")[1])
            return answer if answer["requests"] == 20 else None
        answer = eventually(status, "20 requests in the status")
        self.assertEqual(answer["error_rate"], 0.25)
        self.assertGreater(answer["requests_per_second"], 0)
        latency = answer["latency"]
        self.assertTrue(0 < latency["p50"] <= latency["p95"] <= latency["p99"], latency)
        one = json.loads(self.call(rondo, "GET", f"/v1/upstreams/app/backends/{backend.address}")[1])
        self.assertEqual((one["requests"], one["failures"]), (20, 0))
        self.assertTrue(0 < one["latency"]["p50"] <= one["latency"]["p99"], one)

    def test_the_process_tells_of_itself(self):
        rondo = self.rondo(config(refused_address()), workers=2)
        page = self.page(rondo)
        self.assertEqual(set(page.all("rondo_worker_busy_ratio", "worker")), {"0", "1"})
        self.assertEqual(list(page.all("rondo_engine_info", "engine")), [harness.ENGINE])
        self.assertLess(abs(page.one("process_open_fds") - rondo.descriptors()), 4)
        self.assertLess(abs(page.one("process_start_time_seconds") - time.time()), 60)
        self.assertGreater(page.one("process_resident_memory_bytes"), 1 << 20)
        self.assertEqual(len(page.all("rondo_build_info", "version")), 1)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is in the Debian package prometheus")
    def test_promtool_finds_nothing_to_say(self):
        backend = self.backend()
        rondo = self.rondo(config(refused_address(), backend.address, upstream="health_check: {interval: 1s}"))
        for target in ("/app", "/ping", "/none"):
            self.get(rondo, target)
        page = self.page_with(rondo, lambda page: page.all("rondo_health_checks_total"), "a check")
        result = subprocess.run(["promtool", "check", "metrics"], input=page.text, text=True, timeout=60,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_a_thousand_backends_fit_on_a_page(self):
        # Somewhere in 127.0.0.0/8, where nobody listens; the one that answers is among them.
        backend = self.backend()
        addresses = [f"127.1.{i // 250}.{1 + i % 250}:{backend.port}" for i in range(999)] + [backend.address]
        rondo = self.rondo(config(*addresses))
        for _ in range(3):
            self.assertEqual(self.get(rondo, "/app").status, 200)
        began = time.monotonic()
        page = self.page(rondo)
        took = time.monotonic() - began
        self.assertEqual(len(page.all("rondo_backend_state", "backend")), 1000)
        self.assertEqual(len(page.all("rondo_backend_in_flight", "backend")), 1000)
        self.assertLess(len(page.text), 4 << 20)
        self.assertLess(took, 5)


if __name__ == "__main__":
    harness.main()
