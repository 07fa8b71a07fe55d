"""HTTPS as clients meet it: Python's ssl, curl, openssl s_client and wrk, through both engines; and clients that
break off, dawdle or send nonsense in their handshakes."""
import hashlib
import os
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path

import harness
from certificates import Authority, certificates, secure
from harness import EndToEnd, eventually, ok, pattern
from test_upgrade import HANDSHAKE, frame

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class TlsTest(EndToEnd):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.pair = self.authority.leaf("web")

    def start(self, *backends, tls="", listener="", route="", workers=2, top="", **options):
        listed = ", ".join(f'"{getattr(backend, "address", backend)}"' for backend in backends)
        return self.rondo(
            f"{top}\nlisteners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n{harness.indent(listener, 4)}"
            f"    tls:\n{'' if 'certificates:' in tls else f'      certificates: {certificates(self.pair)}'}\n"
            f"{harness.indent(tls, 6)}"
            f"    routes:\n      - upstream: app\n        upgrades: [websocket]\n{harness.indent(route, 8)}"
            f"upstreams:\n  app:\n    backends: [{listed}]\n", workers=workers, **options)

    def secure(self, rondo, context=None, **options):
        client = secure(rondo.address(), context or self.authority.context(), **options)
        self.addCleanup(client.close)
        return client

    def curl(self, rondo, path, *arguments):
        return subprocess.run(
            ["curl", "-sS", "--http1.1", "--cacert", str(self.authority.file), *arguments,
             f"https://localhost:{rondo.port()}{path}"], capture_output=True, timeout=harness.DEADLINE * 4, check=False)

    def alive(self, rondo):
        """Others are served."""
        client = secure(rondo.address(), self.authority.context())
        self.assertEqual(client.get("/").status, 200)
        client.close()

    def metric(self, rondo, pattern_):
        """The sum of the samples that match."""
        host, port = rondo.admin().rsplit(":", 1)
        client = harness.Client(socket.create_connection((host, int(port)), harness.DEADLINE))
        text = client.get("/metrics", host="localhost").text()
        client.close()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(pattern_, line))


class Clients(TlsTest):
    def test_every_cipher_and_version_carries_every_byte(self):
        rondo = self.start(self.echo())
        ciphers = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
        runs = [("--tls-max", "1.2", "--ciphers", cipher) for cipher in ciphers]
        runs += [("--tlsv1.3", "--tls13-ciphers", cipher)
                 for cipher in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")]
        up = Path(self.folder) / "up.bin"
        up.write_bytes(os.urandom(3_000_001))
        for run in runs:
            done = self.curl(rondo, "/bytes/3000001", *run)
            self.assertEqual((done.returncode, done.stdout == pattern(3000001)), (0, True), (run, done.stderr))
            done = self.curl(rondo, "/", "--data-binary", f"@{up}", "-H", "Expect:", *run)
            self.assertEqual(done.returncode, 0, (run, done.stderr))
            self.assertIn(b'"body_bytes":3000001', done.stdout, run)

    def test_the_backend_hears_that_it_was_https(self):
        backend = self.backend()
        rondo = self.start(backend, tls="hsts: 365d")
        response = self.secure(rondo).get("/")
        self.assertEqual(response.get("Strict-Transport-Security"), "max-age=31536000")
        self.assertEqual(backend.requests[0].get("X-Forwarded-Proto"), "https")

    def test_many_requests_and_pipelines_on_one_connection(self):
        for version in VERSIONS:
            rondo = self.start(self.backend())
            client = self.secure(rondo, self.authority.context(version))
            for number in range(300):
                self.assertEqual(client.get(f"/{number}").text(), f"/{number}")
            client.send("".join(f"GET /p{i} HTTP/1.1\r\nHost: x\r\n\r\n" for i in range(50)))
            for number in range(50):
                self.assertEqual(client.response().text(), f"/p{number}")

    def test_a_large_body_in_tiny_records_and_writes(self):
        rondo = self.start(self.echo())
        client = self.secure(rondo)
        body = pattern(20000)
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n")
        for at in range(0, len(body), 7):  # a record each
            client.send(body[at:at + 7])
        self.assertIn('"body_bytes":20000', client.response().text())

    def test_websockets_both_ways(self):
        for version in VERSIONS:
            rondo = self.start(self.echo())
            client = self.secure(rondo, self.authority.context(version))
            client.send(HANDSHAKE)
            self.assertEqual(client.response().status, 101)
            for size in (0, 1, 125, 65535, 300000):
                payload = os.urandom(size)
                client.send(frame(2, payload))
                first, length = client.take(2)
                length = int.from_bytes(client.take({126: 2, 127: 8}[length]), "big") if length > 125 else length
                self.assertEqual((first & 15, hashlib.sha256(client.take(length)).digest()),
                                 (2, hashlib.sha256(payload).digest()))

    def test_close_notify_ends_an_answer_and_may_end_a_request(self):
        rondo = self.start(self.backend())
        client = self.secure(rondo)
        response = client.get("/", headers={"Connection": "close"})
        self.assertEqual(response.status, 200)
        # Python says "EOF occurred in violation of protocol" where there is no close_notify.
        self.assertEqual(client.sock.recv(10), b"")

    def test_wrk_has_no_complaint(self):
        rondo = self.start(self.echo())
        done = subprocess.run(["wrk", "-t1", "-c50", "-d2s", f"https://127.0.0.1:{rondo.port()}/bytes/2000"],
                              capture_output=True, text=True, timeout=60, check=True)
        self.assertNotIn("errors", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)
        self.assertGreater(int(re.search(r"(\d+) requests in", done.stdout)[1]), 100)


class Sessions(TlsTest):
    def test_returning_clients_resume_on_any_worker(self):
        rondo = self.start(self.backend(), workers=4)
        for version in VERSIONS:
            context = self.authority.context(version)
            session, resumed, rounds = None, 0, 150
            for _ in range(rounds):
                client = secure(rondo.address(), context, session=session)
                self.assertEqual(client.get("/").status, 200)
                resumed += client.sock.session_reused
                session = client.sock.session
                client.close()
            self.assertGreaterEqual(resumed, rounds - 1, version)
        self.assertGreaterEqual(self.metric(rondo, r'rondo_tls_handshakes_total\{.*resumed="true"'), 298)

    def test_a_ticket_file_carries_sessions_over_machines(self):
        keys = Path(self.folder) / "tickets.key"
        keys.write_bytes(os.urandom(80))
        tls = f"ticket_keys: \"{keys}\""
        first, second = self.start(self.backend(), tls=tls), self.start(self.backend(), tls=tls)
        context = self.authority.context()
        client = self.secure(first, context)
        self.assertEqual(client.get("/").status, 200)
        other = self.secure(second, context, session=client.sock.session)
        self.assertEqual(other.get("/").status, 200)
        self.assertTrue(other.sock.session_reused)

    def test_names_choose_certificates(self):
        pairs = {name: self.authority.leaf(name, (host,)) for name, host in
                 (("one", "one.test"), ("wild", "*.many.test"))}
        rsa = self.authority.leaf("rsa", ("one.test",), kind="rsa")
        rondo = self.start(self.backend(), tls=f"certificates: {certificates(self.pair, *pairs.values(), rsa)}")
        context = self.authority.context()
        for name in ("localhost", "one.test", "a.many.test"):
            client = self.secure(rondo, context, name=name)  # verified by Python
            self.assertEqual(client.get("/").status, 200)
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "a.b.many.test"):
            self.secure(rondo, context, name="a.b.many.test")
        for algorithms, kind in (("RSA-PSS+SHA256", b"RSA-PSS"), ("ECDSA+SHA256", b"ECDSA")):
            done = self.s_client(rondo, "-servername", "one.test", "-sigalgs", algorithms)
            self.assertIn(b"Peer signature type: " + kind, done.stdout + done.stderr)

    def s_client(self, rondo, *arguments):
        return subprocess.run(["openssl", "s_client", "-connect", rondo.address(), "-CAfile", self.authority.file,
                               *arguments], input=b"", capture_output=True, timeout=30, check=False)

    def test_old_versions_and_ciphers_are_refused(self):
        rondo = self.start(self.backend())
        for arguments in (("-tls1",), ("-tls1_1",), ("-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"),
                          ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")):
            if arguments[0] in ("-tls1", "-tls1_1"):
                arguments = (*arguments, "-cipher", "ALL:@SECLEVEL=0")
            done = self.s_client(rondo, *arguments)
            self.assertNotEqual(done.returncode, 0, arguments)
            self.assertRegex(done.stderr, rb"alert (protocol version|handshake failure)", arguments)
        done = self.s_client(rondo, "-tls1_2")
        self.assertIn(b"Secure Renegotiation IS supported", done.stdout)
        self.assertIn(b"Compression: NONE", done.stdout)
        self.alive(rondo)


class ClientCertificates(TlsTest):
    def test_backends_learn_whom_the_certificate_names(self):
        own = self.authority.leaf("somebody", ("somebody.test",))
        backend = self.backend()
        rondo = self.start(backend, tls=f"client_ca: \"{self.authority.file}\"\nclient_auth: optional")
        client = self.secure(rondo, self.authority.context(client=own))
        self.assertEqual(client.get("/", headers={"X-Client-Subject": "CN=forged"}).status, 200)
        self.assertEqual(backend.requests[0].all("X-Client-Verified"), ["SUCCESS"])
        self.assertEqual(backend.requests[0].all("X-Client-Subject"), ["CN=somebody.test"])
        # A ticket holds what was verified: the same on a resumed connection.
        again = self.secure(rondo, self.authority.context(client=own))
        self.assertEqual(again.get("/").status, 200)
        client = self.secure(rondo)
        self.assertEqual(client.get("/", headers={"X-Client-Subject": "CN=forged"}).status, 200)
        self.assertEqual(backend.requests[-1].all("X-Client-Verified"), ["NONE"])
        self.assertEqual(backend.requests[-1].all("X-Client-Subject"), [])

    def test_trailers_cannot_name_somebody_either(self):
        backend = self.backend()
        rondo = self.start(backend, tls=f"client_ca: \"{self.authority.file}\"\nclient_auth: optional")
        client = self.secure(rondo)
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
                    "0\r\nX-Client-Verified: SUCCESS\r\nx_client_subject: CN=forged\r\nX-Sum: 7\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(backend.requests[-1].trailers, [("X-Sum", "7")])

    def test_where_one_is_required_nobody_comes_in_without(self):
        stranger = Authority(self.folder, "other").leaf("stranger")
        rondo = self.start(self.backend(), tls=f"client_ca: \"{self.authority.file}\"")
        own = self.authority.leaf("somebody", ("somebody.test",))
        self.assertEqual(self.secure(rondo, self.authority.context(client=own)).get("/").status, 200)
        for context in (self.authority.context(), self.authority.context(client=stranger)):
            with self.assertRaises((ssl.SSLError, OSError, EOFError)):
                self.secure(rondo, context).get("/")


class BadClients(TlsTest):
    def hello(self):
        """A ClientHello as Python sends it."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.authority.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def raw(self, rondo):
        return self.client(rondo)

    def test_handshakes_that_break_off_anywhere(self):
        rondo = self.start(self.backend(), workers=1)
        hello = self.hello()
        self.alive(rondo)  # a connection to the backend is kept from here on
        before = rondo.descriptors()
        for size in range(0, len(hello), 3):
            client = self.raw(rondo)
            client.send(hello[:size])
            if size % 2:
                client.reset()
            else:
                client.close()
        self.alive(rondo)
        eventually(lambda: rondo.descriptors() <= before, "what they had open is closed")

    def test_slow_handshakes_end_at_their_time_and_hold_up_nobody(self):
        rondo = self.start(self.backend(), workers=1, top="timeouts: {handshake: 1s}")
        hello = self.hello()
        slow = [self.raw(rondo) for _ in range(200)]
        began = time.monotonic()
        for number, client in enumerate(slow):
            client.send(hello[:number])
        self.alive(rondo)
        self.assertLess(time.monotonic() - began, 1.0 if not os.environ.get("RONDO_SANITIZE") else 30)
        for client in slow:
            client.rest()
        self.assertLess(time.monotonic() - began, harness.DEADLINE)
        eventually(lambda: self.metric(rondo, r'rondo_tls_handshakes_total\{.*result="handshake_timeout"') >= 199,
                   "they are counted")

    def test_what_is_no_tls_gets_an_alert_or_nothing(self):
        rondo = self.start(self.backend())
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(2000), b"\x16\x03\x01\xff\xff" + bytes(70000),
                     b"\x16\x03\x01\x00\x00" * 5000, b"\x80\x2e\x01\x03\x01" + bytes(60)):
            client = self.raw(rondo)
            try:
                client.send(data)
            except OSError:
                pass  # it was refused before it had all gone
            self.assertLess(len(client.rest()), 100)
        self.alive(rondo)

    def test_forged_records_end_their_own_connection_alone(self):
        rondo = self.start(self.backend())
        for junk in (b"\x17\x03\x03\x00\x40" + bytes(64), b"\x17\x03\x03\xff\xff", b"\x15\x03\x03\x00\x02\x01\x00",
                     b"\x16\x03\x03\x00\x04\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n\r\n"):
            client = self.secure(rondo)
            self.assertEqual(client.get("/").status, 200)
            plain = socket.socket(fileno=os.dup(client.sock.fileno()))
            plain.settimeout(harness.DEADLINE)
            plain.sendall(junk)
            with self.assertRaises((ssl.SSLError, OSError, EOFError)):
                client.get("/")
            plain.close()
        self.alive(rondo)

    def test_a_flood_of_handshakes_is_bounded(self):
        rondo = self.start(self.backend(), top="limits: {handshakes: 50}")
        # Those that say nothing take nobody's place.
        silent = [self.raw(rondo) for _ in range(150)]
        self.alive(rondo)
        self.assertEqual(self.metric(rondo, r'rondo_tls_handshakes_in_progress\{'), 0)
        flood = [self.raw(rondo) for _ in range(150)]
        beginning = self.hello()[:20]
        for client in flood:
            client.send(beginning)
        # Those beyond the limit are closed at once; the rest waits for the rest of its hello.
        eventually(lambda: self.metric(rondo, r'rondo_rejected_total\{.*reason="handshake_limit"') >= 100,
                   "those beyond the limit are refused")
        for client in flood + silent:
            client.close()
        eventually(lambda: self.served(rondo), "places are free again")

    def served(self, rondo):
        try:
            self.alive(rondo)
            return True
        except (OSError, EOFError):
            return False


if __name__ == "__main__":
    harness.main()
