"""Everything behind an upstream is replaced at once, by API, reload and name, while requests go on: none fails."""
import http.client
import json
import threading

import harness
from harness import EndToEnd, eventually, ok


class Load:
    """Clients that ask one request after another until they are told to stop; what was no 200 is kept."""

    def __init__(self, address, clients=8):
        self.findings = []
        self.answers = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(address,)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, address):
        client = harness.connect(address)
        while not self._stop.is_set():
            try:
                response = client.get()
            except (OSError, AssertionError) as error:
                self.findings.append(repr(error))
                return
            self.answers += 1
            if response.status != 200:
                self.findings.append(f"{response.status} {response.reason()}")
        client.close()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.findings


class Replacing(EndToEnd):
    def put(self, rondo, *backends):
        connection = http.client.HTTPConnection(rondo.admin(), timeout=harness.DEADLINE)
        body = json.dumps({"backends": [backend.address for backend in backends]})
        connection.request("PUT", "/v1/upstreams/api/backends", body, {"Content-Type": "application/json"})
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()

    def start(self, *backends, upstream=""):
        return self.rondo(self.config("api", backends, upstream), workers=2)

    def config(self, name, backends, upstream=""):
        listed = ", ".join(f'"{backend.address}"' for backend in backends)
        return (f'listeners: {{web: {{listen: ["127.0.0.1:0"], routes: [{{upstream: {name}}}]}}}}\n'
                f"upstreams:\n  {name}:\n    backends: [{listed}]\n    drain_timeout: 5s\n{upstream}")

    def test_all_backends_are_replaced_at_once_again_and_again(self):
        old, new = self.backend(answer=lambda r: ok("old")), self.backend(answer=lambda r: ok("new"))
        rondo = self.start(old)
        load = Load(rondo.address())
        for round_ in range(40):
            now = load.answers
            self.put(rondo, new if round_ % 2 == 0 else old)
            eventually(lambda: load.answers > now + 50 or load.findings, "requests between two replacements")
        self.assertEqual(load.stop(), [])

    def test_all_backends_are_replaced_by_such_as_must_be_checked_first(self):
        old, new = self.backend(answer=lambda r: ok("old")), self.backend(answer=lambda r: ok("new"))
        # Almost nobody may wait.
        rondo = self.start(old, upstream="    queue: {size: 1}\n    health_check: {path: /, interval: 1s}\n")
        eventually(lambda: self.get(rondo).status == 200, "the first backend up")
        load = Load(rondo.address())
        for round_ in range(10):
            now = load.answers
            self.put(rondo, new if round_ % 2 == 0 else old)
            eventually(lambda: load.answers > now + 50 or load.findings, "requests between two replacements")
        self.assertEqual(load.stop(), [])

    def test_a_reload_that_renames_the_upstream_loses_nothing(self):
        backend = self.backend()
        rondo = self.start(backend)
        head, _ = rondo.config.read_text().split("listeners:")
        load = Load(rondo.address())
        for round_ in range(10):
            now = load.answers
            rondo.config.write_text(head + self.config(f"name{round_}", [backend]))
            connection = http.client.HTTPConnection(rondo.admin(), timeout=harness.DEADLINE)
            connection.request("POST", "/v1/reload")
            response = connection.getresponse()
            self.assertEqual(response.status, 200, response.read())
            connection.close()
            eventually(lambda: load.answers > now + 50 or load.findings, "requests between two reloads")
        self.assertEqual(load.stop(), [])


if __name__ == "__main__":
    harness.main()
