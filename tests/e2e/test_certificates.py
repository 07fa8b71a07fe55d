"""Certificates as files: checked, reloaded, watched; the admin API over TLS; backends over TLS made by the API;
and the user that the process becomes."""
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import harness
from certificates import Authority, secure
from harness import BINARY, EndToEnd, Wire, eventually, ok


class TlsBackend:
    """Answers every request over TLS; counts connections."""

    def __init__(self, cert, key):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as secured:
                wire = Wire(secured)
                while True:
                    wire.take_until(b"\r\n\r\n")
                    wire.send(ok("secret"))
        except (OSError, EOFError):
            plain.close()

    def stop(self):
        self.listener.close()


class CertificatesTest(EndToEnd):
    def setUp(self):
        super().setUp()
        self.files = Authority(self.folder)

    def check(self, text):
        path = Path(self.folder) / "checked.yaml"
        path.write_text(text)
        done = subprocess.run([BINARY, "check", str(path)], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def tls(self, cert, key, more=""):
        return (f"listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n    tls: {{certificates: [{{cert: {cert}, key: {key}}}]{more}}}\n"
                "    routes: [{respond: {status: 200, body: hello}}]\n")

    def secure(self, address, cert=None):
        return secure(address, self.files.context(client=cert))

    def shown(self, rondo, listener="web"):
        client = self.secure(rondo.address(listener))
        name = self.files.common_name(client.sock.getpeercert(binary_form=True))
        self.assertEqual(client.get().text(), "hello")
        client.close()
        return name


class CheckTest(CertificatesTest):
    def test_a_good_pair_is_accepted(self):
        status, said = self.check(self.tls(*self.files.leaf("web")))
        self.assertEqual((status, said.endswith("ok\n")), (0, True), said)

    def test_what_is_wrong_is_said_by_place_and_file(self):
        web, other = self.files.leaf("web"), self.files.leaf("other")
        status, said = self.check(self.tls(web[0], other[1]))
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"checked\.yaml:4:\d+: listeners\.web\.tls: .*web\.pem with key .*other\.key: ")
        status, said = self.check(self.tls(web[0], f"{self.folder}/none.key"))
        self.assertEqual(status, 1)
        self.assertRegex(said, r"none\.key: No such file or directory")
        broken = Path(self.folder) / "broken.pem"
        broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        status, said = self.check(self.tls(broken, web[1]))
        self.assertEqual(status, 1)
        self.assertIn("broken.pem", said)

    def test_a_start_says_the_same(self):
        web, other = self.files.leaf("web"), self.files.leaf("other")
        path = Path(self.folder) / "run.yaml"
        path.write_text('admin: {listen: "127.0.0.1:0"}\n' + self.tls(web[0], other[1]))
        done = subprocess.run([BINARY, "run", "-c", str(path)], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"run\.yaml:5:\d+: listeners\.web\.tls: .*other\.key")


class ReloadTest(CertificatesTest):
    def test_sighup_takes_the_new_pair_and_open_connections_live_on(self):
        cert, key = self.files.leaf("web", subject="/CN=first")
        rondo = self.rondo(self.tls(cert, key))
        old = self.secure(rondo.address())
        self.assertEqual(old.get().text(), "hello")
        self.assertEqual(self.shown(rondo), "first")
        self.files.leaf("web", subject="/CN=second")
        rondo.signal(signal.SIGHUP)
        rondo.wait_line("reloaded")
        # The last worker may take it a moment later.
        eventually(lambda: self.shown(rondo) == "second", "the renewed certificate")
        self.assertEqual(old.get().text(), "hello")
        old.close()

    def test_a_changed_file_is_used_by_itself_and_a_broken_one_is_not(self):
        cert, key = self.files.leaf("web", subject="/CN=first")
        rondo = self.rondo(self.tls(cert, key))
        old = self.secure(rondo.address())
        self.files.leaf("web", subject="/CN=second")
        eventually(lambda: self.shown(rondo) == "second", "the changed certificate")
        good = cert.read_bytes()
        cert.write_text("rubbish")
        rondo.wait_line("certificates and keys stay as they were: .*web.pem")
        self.assertEqual(self.shown(rondo), "second")
        cert.write_bytes(good)
        self.files.leaf("web", subject="/CN=third")
        eventually(lambda: self.shown(rondo) == "third", "the third certificate")
        self.assertEqual(old.get().text(), "hello")
        old.close()

    def test_a_reload_with_a_broken_key_changes_nothing(self):
        cert, key = self.files.leaf("web", subject="/CN=first")
        rondo = self.rondo(self.tls(cert, key))
        rondo.config.write_text(rondo.config.read_text().replace("hello", "changed").replace(str(key), str(cert)))
        rondo.signal(signal.SIGHUP)
        rondo.wait_line("reload failed, all stays as it was: .*listeners.web.tls")
        self.assertEqual(self.shown(rondo), "first")

    def test_metrics_tell_of_handshakes_and_of_the_end(self):
        cert, key = self.files.leaf("web")
        rondo = self.rondo(self.tls(cert, key))
        self.shown(rondo)

        def page():
            client = harness.connect(rondo.admin())
            text = client.get("/metrics", host="localhost").text()
            client.close()
            return text
        eventually(lambda: 'rondo_tls_handshakes_total{listener="web",result="ok",resumed="false"} 1' in page(),
                   "a handshake that is counted")
        ends = re.search(r'rondo_tls_certificate_not_after_seconds\{listener="web",certificate="([^"]*)"\} (\d+)', page())
        self.assertEqual(ends[1], str(cert))
        self.assertGreater(int(ends[2]), 1_700_000_000)

    def test_keys_leave_no_core_file(self):
        rondo = self.rondo(self.tls(*self.files.leaf("web")))
        limits = Path(f"/proc/{rondo.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0")


class AdminTest(CertificatesTest):
    def start(self, more=""):
        cert, key = self.files.leaf("admin")
        return self.rondo(f'admin: {{listen: "127.0.0.1:0", tls: {{cert: {cert}, key: {key}{more}}}}}\n'
                          'listeners: {web: {listen: ["127.0.0.1:0"], routes: [{respond: {status: 200}}]}}\n')

    def call(self, rondo, target, cert=None):
        client = self.secure(rondo.admin(), cert)
        response = client.get(target, host="localhost")
        client.close()
        return response.status

    def ctl(self, rondo, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RONDO_ADMIN")}
        environment["RONDO_ADMIN"] = "https://" + rondo.admin().replace("127.0.0.1", "localhost")
        done = subprocess.run([BINARY, "ctl", *map(str, arguments)], capture_output=True, text=True, check=False,
                              timeout=60, env=environment)
        return done.returncode, done.stdout + done.stderr

    def test_who_shows_a_certificate_may_call_and_probes_need_none(self):
        rondo = self.start(f", client_ca: {self.files.file}")
        self.assertEqual(self.call(rondo, "/healthz"), 200)
        self.assertEqual(self.call(rondo, "/readyz"), 200)
        self.assertEqual(self.call(rondo, "/v1/status"), 403)
        operator = self.files.leaf("operator")
        self.assertEqual(self.call(rondo, "/v1/status", operator), 200)
        status, said = self.ctl(rondo, "--ca", self.files.file, "--cert", operator[0], "--key", operator[1], "status")
        self.assertEqual(status, 0, said)
        status, said = self.ctl(rondo, "--ca", self.files.file, "status")
        self.assertEqual(status, 1, said)
        self.assertIn("certificate", said)

    def test_another_authority_ends_what_the_one_before_allowed(self):
        trusted = Path(self.folder) / "trusted.pem"
        trusted.write_bytes(self.files.file.read_bytes())
        rondo = self.start(f", client_ca: {trusted}")
        operator = self.files.leaf("operator")
        kept, streaming = (self.secure(rondo.admin(), operator) for _ in range(2))
        self.assertEqual(kept.get("/v1/status", host="localhost").status, 200)

        def shown():
            client = self.secure(rondo.admin())
            name = self.files.common_name(client.sock.getpeercert(binary_form=True))
            client.close()
            return name
        self.files.leaf("admin", subject="/CN=newer")
        eventually(lambda: shown() == "newer", "the renewed certificate")
        answer = kept.get("/v1/status", host="localhost")
        self.assertEqual((answer.status, answer.get("connection")), (200, "close"))
        self.assertTrue(kept.ended())
        kept.close()
        kept = self.secure(rondo.admin(), operator)
        self.assertEqual(kept.get("/v1/status", host="localhost").status, 200)
        streaming.request(target="/v1/events", host="localhost")
        streaming.take_until(b": rondo\n\n")
        with tempfile.TemporaryDirectory() as folder:
            trusted.write_bytes(Authority(folder).file.read_bytes())
        rondo.signal(signal.SIGHUP)
        rondo.wait_line("reloaded")
        answer = kept.get("/v1/status", host="localhost")
        self.assertEqual((answer.status, answer.get("connection")), (403, "close"))
        self.assertTrue(kept.ended())
        streaming.rest()
        for client in (kept, streaming):
            client.close()

    def test_ctl_believes_only_the_authority_it_was_given(self):
        rondo = self.start()
        self.assertEqual(self.ctl(rondo, "--ca", self.files.file, "status")[0], 0)
        status, said = self.ctl(rondo, "status")
        self.assertEqual(status, 3, said)
        status, said = self.ctl(rondo, "--ca", f"{self.folder}/none.pem", "status")
        self.assertEqual(status, 2, said)
        self.assertIn("none.pem", said)

    def test_who_never_shakes_hands_holds_up_nobody_and_no_end(self):
        rondo = self.start()
        idle = [harness.connect(rondo.admin()) for _ in range(20)]
        for number, client in enumerate(idle):
            client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:number % 12])
        self.assertEqual(self.call(rondo, "/healthz"), 200)
        rondo.signal(signal.SIGTERM)
        self.assertEqual(rondo.wait(), 0)
        for client in idle:
            client.close()

    def test_plain_http_is_refused_there(self):
        rondo = self.start()
        client = harness.connect(rondo.admin())
        client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertNotIn(b"200", client.rest())
        client.close()


class UpstreamTest(CertificatesTest):
    def call(self, rondo, method, target, body=None):
        client = harness.connect(rondo.admin())
        response = client.request(method, target, host="localhost", headers={"Content-Type": "application/json"},
                                  body=json.dumps(body).encode() if body is not None else None).response()
        client.close()
        return response.status, response.text()

    def test_an_upstream_of_the_api_speaks_tls_and_is_checked_over_it(self):
        backend = TlsBackend(*self.files.leaf("backend"))
        self.addCleanup(backend.stop)
        rondo = self.rondo('listeners: {web: {listen: ["127.0.0.1:0"], routes: [{upstream: api}]}}\n'
                           "upstreams: {api: {backends: []}}\n")
        upstream = {"backends": [backend.address], "health_check": {"path": "/", "interval": "1s"},
                    "tls": {"ca": f"{self.folder}/none.pem", "sni": "localhost"}}
        status, said = self.call(rondo, "PUT", "/v1/upstreams/api", upstream)
        self.assertEqual(status, 400, said)
        self.assertIn("none.pem", said)
        upstream["tls"]["ca"] = str(self.files.file)
        status, said = self.call(rondo, "PUT", "/v1/upstreams/api", upstream)
        self.assertEqual(status, 200, said)
        eventually(lambda: self.get(rondo).text() == "secret", "an answer over TLS")
        shown = json.loads(self.call(rondo, "GET", "/v1/upstreams/api")[1])
        self.assertEqual(shown["config"]["tls"]["ca"], str(self.files.file))
        self.assertEqual(shown["states"].get("up"), 1, shown)

    def test_checks_say_by_a_proxy_header_that_they_are_our_own(self):
        for version, start in (("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00")):
            with self.subTest(version):
                seen = []

                def serve(connection, seen=seen, start=start):
                    first = connection.take(len(start))
                    if first != start:
                        return
                    seen.append(connection.request().target)
                    connection.send(ok("fine"))
                backend = self.backend(serve)
                rondo = self.rondo(
                    'listeners: {web: {listen: ["127.0.0.1:0"], routes: [{upstream: api}]}}\n'
                    f"upstreams: {{api: {{backends: [\"{backend.address}\"], send_proxy: {version},\n"
                    "  health_check: {path: /health, interval: 1s}}}\n")
                eventually(lambda: "/health" in seen, "a check with its header")
                eventually(lambda: json.loads(self.call(rondo, "GET", "/v1/upstreams/api")[1])["states"].get("up"),
                           "a backend that is up")

    def test_a_check_says_what_tls_failed_of(self):
        backend = TlsBackend(*self.files.leaf("backend"))
        self.addCleanup(backend.stop)
        rondo = self.rondo(
            'listeners: {web: {listen: ["127.0.0.1:0"], routes: [{upstream: api}]}}\n'
            f"upstreams: {{api: {{backends: [\"{backend.address}\"], health_check: {{path: /, interval: 1s}},\n"
            f"  tls: {{ca: {self.files.file}, sni: elsewhere.example}}}}}}\n")

        def detail():
            shown = json.loads(self.call(rondo, "GET", "/v1/upstreams/api")[1])
            return shown["backends"][0]["health"]["detail"]
        eventually(lambda: "tls_failed: name_mismatch" in detail(), "a check that failed for the name")


@unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
class UserTest(CertificatesTest):
    def start(self, user, **options):
        text = self.tls(*self.files.leaf("web"))
        return self.rondo(text, process=f"user: {user}", **options)

    def status_of(self, rondo, name):
        text = Path(f"/proc/{rondo.pid}/status").read_text()
        return re.search(rf"^{name}:\s*(.*)$", text, re.M)[1].split()

    def test_it_becomes_the_user_and_serves(self):
        os.chmod(self.folder, 0o755)
        rondo = self.start("nobody")
        rondo.wait_line("going on as user nobody")
        self.assertEqual(self.shown(rondo), "localhost")
        self.assertEqual(set(self.status_of(rondo, "Uid")), {"65534"})
        self.assertNotIn("0", self.status_of(rondo, "Groups"))
        # What opens low ports, and nothing else.
        self.assertEqual(int(self.status_of(rondo, "CapEff")[0], 16) & ~(1 << 10), 0)
        self.assertRegex("\n".join(rondo.lines), r"may not read .*web\.key")

    def test_what_it_may_not_do_is_said(self):
        path = Path(self.folder) / "user.yaml"
        for process, pattern in (("user: nobody-of-that-name", "there is no user nobody-of-that-name"),
                                 ("user: 'nobody:no-such-group'", "there is no group no-such-group"),
                                 (f"user: nobody, state_file: {self.folder}/state.json",
                                  "process.user: nobody may not write beside process.state_file")):
            path.write_text(f"process: {{workers: 1, {process}}}\nadmin: {{listen: \"127.0.0.1:0\"}}\n"
                            + harness.one_route("127.0.0.1:1"))
            os.chmod(self.folder, 0o755)
            done = subprocess.run([BINARY, "run", "-c", str(path)], capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(pattern, done.stderr)

    def test_its_files_are_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chown(folder, 65534, 65534)
            os.chmod(self.folder, 0o755)
            rondo = self.start("nobody", access=f"{folder}/access.log")
            self.shown(rondo)
            eventually(lambda: Path(f"{folder}/access.log").read_text(), "a line of the access log")
            self.assertEqual(os.stat(f"{folder}/access.log").st_uid, 65534)


if __name__ == "__main__":
    harness.main()
