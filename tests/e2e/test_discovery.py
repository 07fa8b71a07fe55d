"""Backends from names, services and files: they come and go as their source says, and no request notices."""
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import harness
from harness import EndToEnd, connect, eventually, ok


class DnsServer:
    """dns_server.py with a zone that the test changes."""

    def __init__(self, folder, zone, name="zone"):
        self.path = Path(folder) / name
        self.set(zone)
        self.process = subprocess.Popen(
            [sys.executable, "-B", Path(__file__).parent / "dns_server.py", self.path], stdout=subprocess.PIPE, text=True)
        self.address = f"127.0.0.1:{self.process.stdout.readline().split()[1]}"

    def set(self, zone):
        # In one step, so that nobody reads half of it.
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(zone))
        os.replace(new, self.path)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Steady:
    """One request after the other on new and kept connections; what is not 200 is a finding."""

    def __init__(self, address):
        self.address, self.findings, self.answers = address, [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            try:
                client = connect(self.address)
                for _ in range(5):
                    response = client.get()
                    if response.status != 200:
                        self.findings.append(repr(response))
                    self.answers.append(response.text())
                client.close()
            except (OSError, EOFError) as error:
                self.findings.append(repr(error))

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self.findings


class Discovery(EndToEnd):
    def dns_server(self, zone):
        server = DnsServer(self.folder, zone)
        self.addCleanup(server.stop)
        return server

    def named_backend(self, name):
        return self.backend(answer=lambda request: ok(name))

    def start(self, source, dns=None, upstream=""):
        resolver = f"resolver: {{servers: [\"{dns.address}\"], max_ttl: 1s, timeout: 300ms, attempts: 1}}\n" if dns else ""
        return self.rondo(f"{resolver}listeners:\n"
                          "  web: {listen: [\"127.0.0.1:0\"], routes: [{upstream: api}]}\n"
                          f"upstreams:\n  api:\n    backends: [{source}]\n    queue: {{timeout: 200ms}}\n{upstream}")

    def answers(self, rondo, count=8):
        return {self.get(rondo).text() for _ in range(count)}

    def wait_answers(self, rondo, expected):
        eventually(lambda: self.answers(rondo) == expected, f"answers from {expected} alone")

    def test_a_service_follows_its_records_and_no_request_fails(self):
        a, b, c = (self.named_backend(name) for name in "abc")

        def zone(*backends):
            return {"_http._tcp.api.test": {"SRV": [[0, 1, backend.port, "host.test"] for backend in backends]},
                    "host.test": {"A": ["127.0.0.1"]}}

        dns = self.dns_server(zone(a))
        rondo = self.start("{srv: _http._tcp.api.test}", dns)
        self.wait_answers(rondo, {"a"})
        load = Steady(rondo.address())
        dns.set(zone(a, b, c))
        self.wait_answers(rondo, {"a", "b", "c"})
        # Down to one: the others stop at once, before anybody could have asked the name again.
        dns.set(zone(c))
        a.stop_listening()
        b.stop_listening()
        self.wait_answers(rondo, {"c"})
        self.assertEqual(load.stop(), [])

    def test_a_higher_priority_number_is_a_backup(self):
        a, b = self.named_backend("a"), self.named_backend("b")
        dns = self.dns_server({"_http._tcp.api.test": {"SRV": [[1, 1, a.port, "host.test"], [2, 1, b.port, "host.test"]]},
                               "host.test": {"A": ["127.0.0.1"]}})
        rondo = self.start("{srv: _http._tcp.api.test}", dns)
        self.wait_answers(rondo, {"a"})
        a.stop()
        self.wait_answers(rondo, {"b"})

    def test_a_name_that_fails_keeps_its_backends(self):
        a = self.named_backend("a")
        good = {"api.test": {"A": ["127.0.0.1"]}}
        dns = self.dns_server(good)
        rondo = self.start(f"{{dns: api.test, port: {a.port}}}", dns)
        self.wait_answers(rondo, {"a"})
        for count, fail in enumerate(("servfail", "drop", "nxdomain"), 1):
            dns.set({"api.test": {"A": ["127.0.0.1"], "fail": fail}})
            rondo.wait_line("api.test: .*keeping what it was", count)
            self.assertEqual(self.answers(rondo), {"a"})
            dns.set(good)
            rondo.wait_line("api.test is resolved now", count)

    def test_a_name_without_addresses_is_no_refusal_to_start(self):
        a = self.named_backend("a")
        dns = self.dns_server({})
        rondo = self.start(f"\"api.test:{a.port}\"", dns)
        rondo.wait_line("api.test: no such name; it has no backend yet")
        self.assertEqual(self.get(rondo).status, 503)
        dns.set({"api.test": {"A": ["127.0.0.1"]}})
        eventually(lambda: self.get(rondo).status == 200, "an answer of the backend")

    def test_a_file_is_followed(self):
        a, b = self.named_backend("a"), self.named_backend("b")
        path = Path(self.folder) / "backends.yaml"
        path.write_text(f"- {a.address}\n")
        rondo = self.start("{file: backends.yaml}")
        self.wait_answers(rondo, {"a"})
        load = Steady(rondo.address())
        new = path.with_suffix(".new")
        new.write_text(f"- {a.address}\n- {{address: \"{b.address}\", weight: 2}}\n")
        os.replace(new, path)
        self.wait_answers(rondo, {"a", "b"})
        path.write_text("- {address: nonsense}\n")
        rondo.wait_line(r"backends.yaml:1:\d+: .*keeping what it said before")
        self.assertEqual(self.answers(rondo), {"a", "b"})
        path.write_text(f"- {b.address}\n")
        self.wait_answers(rondo, {"b"})
        self.assertEqual(load.stop(), [])

    def test_a_configuration_that_was_put_keeps_its_name_servers_over_a_restart(self):
        a, b = self.named_backend("a"), self.named_backend("b")
        servers = []
        for name, backend in (("old", a), ("new", b)):
            zone = {"_http._tcp.api.test": {"SRV": [[0, 1, backend.port, "host.test"]]}, "host.test": {"A": ["127.0.0.1"]}}
            servers.append(DnsServer(self.folder, zone, name))
            self.addCleanup(servers[-1].stop)

        def start():
            return self.rondo(f"resolver: {{servers: [\"{servers[0].address}\"], max_ttl: 1s}}\n"
                              "listeners: {web: {listen: [\"127.0.0.1:0\"], routes: [{upstream: api}]}}\n"
                              "upstreams: {api: {backends: [{srv: _http._tcp.api.test}]}}\n",
                              process=f"state_file: {self.folder}/state.json")

        rondo = start()
        self.wait_answers(rondo, {"a"})
        admin = http.client.HTTPConnection(rondo.admin(), timeout=harness.DEADLINE)
        admin.request("PUT", "/v1/config", rondo.config.read_text().replace(servers[0].address, servers[1].address),
                      {"Content-Type": "application/yaml"})
        response = admin.getresponse()
        self.assertEqual(response.status, 200, response.read())
        admin.close()
        self.wait_answers(rondo, {"b"})
        rondo.signal(signal.SIGTERM)
        rondo.wait()
        self.wait_answers(start(), {"b"})

    def test_the_hosts_file_is_believed(self):
        a = self.named_backend("a")
        rondo = self.start(f"\"localhost:{a.port}\"")
        self.wait_answers(rondo, {"a"})


if __name__ == "__main__":
    harness.main()
