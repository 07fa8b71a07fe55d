"""What protects Rondo and its backends: rates, networks, connections, slow clients, and what backends are told of a
client's TLS."""
import hashlib
import re
import signal
import socket
import ssl
import struct
import threading
import time
import urllib.request
from pathlib import Path

import harness
from certificates import Authority, secure
from harness import DEADLINE, EndToEnd, eventually, one_route


class Protection(EndToEnd):
    def metric(self, rondo, name, **labels):
        """The value of one series; 0 where it is not there."""
        text = urllib.request.urlopen(f"http://{rondo.admin()}/metrics", timeout=DEADLINE).read().decode()
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for found in re.finditer(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE):
            if wanted <= set((found[1] or "").split(",")):
                return float(found[2])
        return 0

    def get_from(self, rondo, address, target="/"):
        """A GET over a connection of its own from one of this machine's addresses."""
        client = self.client(rondo, source=address)
        response = client.get(target)
        client.close()
        return response

    def closed_without_a_byte(self, rondo, source=None):
        client = self.client(rondo, source=source)
        try:
            client.request()
            return client.rest() == b""
        except (ConnectionError, OSError):
            return True

    # -- who it is --

    def test_a_client_that_resets_at_once_is_nobody_and_gets_nowhere(self):
        # The kernel still hands over what such a client has sent, but no longer says who it was.
        backend = self.backend()
        rondo = self.rondo(one_route(backend.address, listener="deny: [127.0.0.1]"), workers=2)
        host, port = rondo.address().rsplit(":", 1)
        for _ in range(100):
            client = socket.create_connection((host, int(port)))
            client.sendall(b"GET /reset HTTP/1.1\r\nHost: x\r\n\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        self.assertEqual(self.get_from(rondo, "127.0.0.2", "/told").status, 200)
        eventually(lambda: self.metric(rondo, "rondo_connections", listener="web") == 0, "all connections are over")
        self.assertEqual([request.target for request in backend.requests], ["/told"])

    # -- rate_limit --

    def test_a_rate_is_one_for_all_workers_and_says_when_to_come_back(self):
        rondo = self.rondo(one_route(self.backend().address, route="rate_limit: {rate: 6/m, burst: 5}"),
                           workers=4)
        answers = [self.get(rondo) for _ in range(20)]
        self.assertEqual([answer.status for answer in answers], [200] * 5 + [429] * 15)
        refused = answers[-1]
        self.assertEqual(refused.reason(), "rate_limited")
        self.assertTrue(8 <= int(refused.get("Retry-After")) <= 10, refused.get("Retry-After"))
        # Another client has a bucket of its own.
        self.assertEqual(self.get_from(rondo, "127.0.0.2").status, 200)
        self.assertEqual(self.metric(rondo, "rondo_rate_limited_total", listener="web", route="0", dry_run="false"), 15)
        self.assertEqual(self.metric(rondo, "rondo_rejected_total", listener="web", reason="rate_limited"), 15)

    def test_under_load_a_rate_is_kept_over_workers(self):
        rondo = self.rondo(one_route(self.backend().address, route="rate_limit: {rate: 100/s, burst: 50}"),
                           workers=4)
        passed = [0] * 4
        begin = time.monotonic()

        def ask(index):
            client = self.client(rondo)
            while time.monotonic() < begin + 2:
                if client.get().status == 200:
                    passed[index] += 1
        threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        passed_in_all = sum(passed)
        self.assertLessEqual(passed_in_all, 50 + (time.monotonic() - begin) * 100 + 1)
        # As much as that, where the machine had time for it.
        self.assertGreaterEqual(passed_in_all, 100)

    def test_a_dry_run_only_counts(self):
        rondo = self.rondo(one_route(self.backend().address,
                                     route="rate_limit: {rate: 1/h, burst: 2, dry_run: true}"))
        self.assertEqual([self.get(rondo).status for _ in range(5)], [200] * 5)
        self.assertEqual(self.metric(rondo, "rondo_rate_limited_total", listener="web", route="0", dry_run="true"), 3)

    def test_a_key_may_be_a_header_or_a_cookie(self):
        for key, name in (("header:X-Api-Key", "X-Api-Key"), ("cookie:user", "Cookie")):
            rondo = self.rondo(one_route(self.backend().address,
                                         route=f'rate_limit: {{rate: 1/h, burst: 1, key: "{key}"}}'))

            def ask(user):
                value = user if name != "Cookie" else f"a=b; user={user}"
                client = self.client(rondo)
                return client.get(headers={name: value} if user else {}).status
            self.assertEqual([ask("alice"), ask("alice"), ask("bob"), ask(""), ask("")], [200, 429, 200, 200, 429])

    def test_buckets_survive_a_reload(self):
        backend = self.backend()
        config = one_route(backend.address, route="rate_limit: {rate: 1/h, burst: 2}")
        rondo = self.rondo(config)
        self.assertEqual([self.get(rondo).status for _ in range(3)], [200, 200, 429])
        text = rondo.config.read_text()
        rondo.config.write_text(text.replace("    routes:", "    via: rondo\n    routes:"))
        rondo.signal(signal.SIGHUP)
        rondo.wait_line("reloaded")
        self.assertEqual(self.get(rondo).status, 429)

    # -- networks --

    def test_a_denied_client_is_sent_away_without_a_byte(self):
        rondo = self.rondo(one_route(self.backend().address, listener="deny: [127.0.0.2]"))
        self.assertTrue(self.closed_without_a_byte(rondo, "127.0.0.2"))
        self.assertEqual(self.get_from(rondo, "127.0.0.3").status, 200)
        self.assertEqual(self.metric(rondo, "rondo_rejected_total", listener="web", reason="denied"), 1)

    def test_who_comes_by_a_trusted_proxy_is_judged_by_request(self):
        rondo = self.rondo(one_route(self.backend().address,
                                     listener="trusted_proxies: [127.0.0.1]\nallow: [10.0.0.0/8]\ndeny: [10.6.6.6]"))
        client = self.client(rondo)
        answers = [client.get(headers={"X-Forwarded-For": address})
                   for address in ("10.1.1.1", "10.6.6.6", "11.1.1.1", "10.1.1.2")]
        self.assertEqual([answer.status for answer in answers], [200, 403, 403, 200])
        self.assertEqual(answers[1].reason(), "denied")

    def test_a_route_may_be_for_some_clients_alone(self):
        backend = self.backend()
        rondo = self.rondo(f"""
listeners:
  web:
    listen: ["127.0.0.1:0"]
    routes:
      - match: {{path_prefix: /admin}}
        allow: [127.0.0.8/29]
        upstream: app
      - upstream: app
upstreams:
  app: {{backends: ["{backend.address}"]}}
""")
        self.assertEqual(self.get_from(rondo, "127.0.0.9", "/admin").status, 200)
        self.assertEqual(self.get_from(rondo, "127.0.0.1", "/admin").status, 403)
        self.assertEqual(self.get_from(rondo, "127.0.0.1", "//%61dmin/./x").status, 403)
        self.assertEqual(self.get_from(rondo, "127.0.0.1", "/other").status, 200)

    # -- connections --

    def test_a_listener_has_so_many_connections_over_all_workers(self):
        rondo = self.rondo(one_route(self.backend().address, listener="connections: {total: 3}"), workers=4)
        clients = [self.client(rondo) for _ in range(3)]
        for client in clients:
            self.assertEqual(client.get().status, 200)
        for _ in range(3):
            self.assertTrue(self.closed_without_a_byte(rondo))
        clients[0].close()
        eventually(lambda: not self.closed_without_a_byte_or_get(rondo), "a place for another")
        self.assertGreaterEqual(
            self.metric(rondo, "rondo_rejected_total", listener="web", reason="connection_limit"), 3)

    def closed_without_a_byte_or_get(self, rondo):
        """Whether a connection is still sent away; one that is let in stays until the test ends."""
        try:
            return self.client(rondo).get().status != 200
        except (AssertionError, ConnectionError, EOFError, OSError):
            return True

    def test_an_address_has_so_many_connections(self):
        rondo = self.rondo(one_route(self.backend().address, listener="connections: {per_address: 2}"),
                           workers=2)
        clients = [self.client(rondo, source="127.0.0.2") for _ in range(2)]
        for client in clients:
            self.assertEqual(client.get().status, 200)
        self.assertTrue(self.closed_without_a_byte(rondo, "127.0.0.2"))
        self.assertEqual(self.get_from(rondo, "127.0.0.3").status, 200)
        self.assertEqual(
            self.metric(rondo, "rondo_rejected_total", listener="web", reason="address_connection_limit"), 1)

    def test_a_long_target_is_a_414(self):
        rondo = self.rondo(one_route(self.backend().address, route="uri_bytes: 1KiB"))
        self.assertEqual(self.get(rondo, "/" + "x" * 1023).status, 200)
        response = self.get(rondo, "/" + "x" * 1024)
        self.assertEqual((response.status, response.reason()), (414, "uri_too_long"))

    # -- min_rate --

    def test_a_slow_sender_is_a_408_and_a_slow_backend_is_not(self):
        release = threading.Event()

        def serve(connection):
            request = connection.request()
            if request.target == "/slow":
                release.wait(DEADLINE)
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.rest()
        rondo = self.rondo(one_route(self.backend(serve).address, listener="min_rate: {request: 1KiB, response: 1KiB}",
                                     top="timeouts: {request_body: 60s}"))
        patient = self.client(rondo)
        patient.request(target="/slow")
        slow = self.client(rondo)
        slow.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        done = threading.Event()

        def drip():
            try:
                while not done.wait(0.2):
                    slow.sock.send(b"x" * 100)
            except OSError:
                pass
        dripping = threading.Thread(target=drip)
        dripping.start()
        begin = time.monotonic()
        try:
            response = slow.response()
        finally:
            done.set()
            dripping.join()
        self.assertEqual((response.status, response.reason()), (408, "request_too_slow"))
        self.assertGreaterEqual(time.monotonic() - begin, 9.9)
        release.set()
        self.assertEqual(patient.response().status, 200)

    def read_at(self, rondo, rate, seconds):
        """Reads a long answer at so many bytes a second; returns when it was reset, or None."""
        client = self.client(rondo)
        client.request(target="/bytes/500000000")
        begin, got = time.monotonic(), 0
        try:
            while time.monotonic() - begin < seconds:
                data = client.sock.recv(rate // 20)
                self.assertNotEqual(data, b"", "an orderly end of a cut answer")
                got += len(data)
                time.sleep(max(0, begin + got / rate - time.monotonic()))
        except ConnectionResetError:
            return time.monotonic() - begin
        return None

    def test_a_slow_reader_is_reset_and_a_steady_one_is_not(self):
        # The system's buffers take some megabytes at once, so that little of a client's pace is to be seen in what a
        # send takes: it is what arrives that counts.
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(self.echo().address, listener="min_rate: {response: 100000}"), access=log)
        ended = {}
        readers = [threading.Thread(target=lambda rate=rate: ended.update({rate: self.read_at(rondo, rate, 23)}))
                   for rate in (40_000, 300_000)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        self.assertIsNone(ended[300_000])
        self.assertTrue(10 <= ended[40_000] <= 16, ended)
        self.assertEqual(self.access_lines(log, 1)[0]["reason"], "client_too_slow")
        self.check_alive(rondo)

    # -- what an edge adds --

    def test_a_redirect_takes_the_host_and_the_target_along(self):
        rondo = self.rondo("""
listeners:
  web:
    listen: ["127.0.0.1:0"]
    routes:
      - redirect: {to: "https://{host}{uri}", status: 308}
upstreams: {}
""")
        client = self.client(rondo)
        response = client.get("/a%20b?c={host}", host="Example.com:8080")
        self.assertEqual((response.status, response.get("Location")), (308, "https://Example.com/a%20b?c={host}"))
        self.assertEqual(client.get("//evil.example/x", host="example.com").get("Location"),
                         "https://example.com//evil.example/x")
        client.send("GET /x HTTP/1.0\r\n\r\n")
        self.assertEqual(client.response().reason(), "missing_host")


class Encrypted(EndToEnd):
    def secured(self, rondo, certificate=None):
        shown = certificate and (f"{self.folder}/{certificate}.pem", f"{self.folder}/{certificate}.key")
        client = secure(rondo.address(), self.authority.context(client=shown))
        self._clients.append(client)
        return client

    def start(self, tls):
        seen = []

        def serve(connection):
            while True:
                request = connection.request()
                seen.append(request)
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nStrict-Transport-Security: max-age=1\r\n\r\nok")
        self.authority = Authority(self.folder)
        self.authority.leaf("server")
        self.authority.leaf("alice", (), subject="/CN=alice/O=Example, Inc.")
        rondo = self.rondo(f"""
listeners:
  web:
    listen: ["127.0.0.1:0"]
    tls:
      certificates: [{{cert: "{self.folder}/server.pem", key: "{self.folder}/server.key"}}]
      {tls}
    routes:
      - match: {{path: /ping}}
        respond: {{status: 200, body: pong}}
      - match: {{path_prefix: /a}}
        upstream: app
upstreams:
  app: {{backends: ["{self.backend(serve).address}"]}}
""")
        return rondo, seen

    def test_hsts_stands_once_in_every_answer_and_backends_know_the_scheme(self):
        rondo, seen = self.start("hsts: 365d")
        client = self.secured(rondo)
        for target in ("/a", "/ping", "/nowhere"):
            self.assertEqual(client.get(target).all("Strict-Transport-Security"), ["max-age=31536000"], target)
        self.assertEqual(seen[0].all("X-Forwarded-Proto"), ["https"])

    def test_a_backend_is_told_of_the_certificate_and_of_nothing_that_a_client_claims(self):
        rondo, seen = self.start(f'client_ca: "{self.folder}/ca.pem"\n      client_auth: optional')
        forged = {"X-Client-Verified": "SUCCESS", "X-Client-Subject": "CN=root", "X_Client_Subject": "CN=root",
                  "x-client_fingerprint": "00", "X-Client-Serial": "1"}
        self.assertEqual(self.secured(rondo).get("/a", headers=forged).status, 200)
        self.assertEqual(self.secured(rondo, "alice").get("/a", headers=forged).status, 200)
        names = [[name.lower() for name, _ in request.headers if "client" in name.lower()] for request in seen]
        self.assertEqual(names[0], ["x-client-verified"])
        self.assertEqual(seen[0].get("X-Client-Verified"), "NONE")
        self.assertEqual(sorted(names[1]), ["x-client-fingerprint", "x-client-issuer", "x-client-serial",
                                            "x-client-subject", "x-client-verified"])
        self.assertEqual(seen[1].get("X-Client-Verified"), "SUCCESS")
        self.assertIn("CN=alice", seen[1].get("X-Client-Subject"))
        self.assertEqual(seen[1].get("X-Client-Issuer"), "CN=Test authority ca")
        der = ssl.PEM_cert_to_DER_cert(Path(f"{self.folder}/alice.pem").read_text())
        self.assertEqual(seen[1].get("X-Client-Fingerprint"), hashlib.sha256(der).hexdigest())


if __name__ == "__main__":
    harness.main()
