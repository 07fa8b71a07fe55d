"""Backends that fail while traffic flows: killed, resetting, hanging, slow.

Requests that may be repeated never fail; one that a backend may have acted on fails only if it was on that backend. The
configuration asks for repeating timeouts (504), as somebody does who expects backends to hang.
"""
import signal
import threading
import time

import harness
from harness import ENGINE, EndToEnd, eventually, ok
from scaling import Load
from test_scaling import Admin


class FailingBackend:
    """Answers as `rondo echo` does to what Load sends; then, when told to, resets what comes after it was accepted."""

    def __init__(self, test, name):
        self.name, self.failing = name, threading.Event()
        self.backend = test.backend(serve=self.serve)
        self.address = self.backend.address

    def serve(self, connection):
        while True:
            if self.failing.is_set():
                connection.reset()
                return
            request = connection.request()
            if self.failing.is_set():
                connection.reset()
                return
            target = request.target
            kind, _, number = target.strip("/").partition("/")
            if kind in ("bytes", "chunked"):
                body = harness.pattern(int(number))
            else:
                body = (f'{{"backend":"{self.name}","method":"{request.method}","path":"{target}",'
                        f'"body_bytes":{len(request.body)}}}\n').encode()
            connection.send(ok(body, headers=f"X-Backend: {self.name}\r\n"))


class ScalingFaults(EndToEnd):
    def start(self, *addresses, connections=24):
        backends = "".join(f"      - \"{a}\"\n" for a in addresses)
        self.program_under_test = self.rondo(
            f"process: {{workers: 2, engine: {ENGINE}}}\nlogging: {{access: {{path: \"off\"}}}}\n"
            "admin: {listen: \"127.0.0.1:0\"}\n"
            "listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n    routes: [{upstream: app}]\n"
            "upstreams:\n  app:\n    timeouts: {connect: 1s, response: 1s}\n"
            "    health_check: {path: /health, interval: 300ms, timeout: 600ms, unhealthy_threshold: 2}\n"
            "    passive_health: {fail_timeout: 2s}\n"
            "    retries: {attempts: 3, budget: 100%, on: [connect, reset_before_response, 502, 504]}\n"
            f"    backends:\n{backends}")
        self.admin = Admin(self.program_under_test.wait_line(r"admin API on (\S+)")[0][1])
        eventually(lambda: self.states() == {"up": len(addresses)}, "all up")
        self.failing_since = None
        load = Load(self.program_under_test.address(), connections=connections, may_fail=self.may_fail)
        load.start()
        eventually(lambda: load.requests > 100, "traffic")
        return load

    def states(self):
        states = {}
        for backend in self.admin.backends("app").values():
            states[backend["state"]] = states.get(backend["state"], 0) + 1
        return states

    def may_fail(self, request):
        # A POST may have been acted on; it was on the backend when that failed, or before it was noticed.
        return self.failing_since is not None and request["kind"].startswith("post")

    def break_one(self, how):
        self.failing_since = time.monotonic()
        how()

    def go_on(self, load, count=300):
        before = load.requests
        eventually(lambda: load.requests > before + count, "requests go on")

    def check(self, load, excused_max):
        load.stop()
        self.assertEqual(load.findings, [])
        self.assertLessEqual(len(load.excused), excused_max, load.excused)

    def test_a_killed_backend_takes_only_what_was_on_it(self):
        fleet = [self.echo("--name", f"f{i}", "--delay", "30ms") for i in range(3)]
        load = self.start(*(p.address for p in fleet))
        fleet[0].expected_status = -signal.SIGKILL
        self.break_one(lambda: fleet[0].signal(signal.SIGKILL))
        eventually(lambda: self.states() == {"up": 2, "down": 1}, "seen as down")
        # A connection carries one request at a time: no more than these were on it.
        self.go_on(load)
        self.check(load, 24)

    def test_a_backend_that_resets_what_it_accepts_is_left_out(self):
        bad = FailingBackend(self, "bad")
        good = [self.echo("--name", f"f{i}", "--delay", "30ms") for i in range(2)]
        load = self.start(bad.address, *(p.address for p in good))
        self.break_one(bad.failing.set)
        eventually(lambda: self.states().get("up") == 2, "the resetting one is out")
        self.go_on(load)
        excused = len(load.excused)
        self.go_on(load)
        self.assertEqual(len(load.excused), excused, "nothing reaches it any more")
        self.check(load, 200)

    def test_a_backend_that_hangs_is_left_out_and_comes_back(self):
        fleet = [self.echo("--name", f"f{i}", "--delay", "30ms") for i in range(3)]
        load = self.start(*(p.address for p in fleet))
        self.addCleanup(lambda: fleet[0].signal(signal.SIGCONT))
        self.break_one(lambda: fleet[0].signal(signal.SIGSTOP))
        eventually(lambda: self.states().get("up") == 2, "the hanging one is out")
        self.go_on(load)
        fleet[0].signal(signal.SIGCONT)
        eventually(lambda: self.states() == {"up": 3}, "it is back")
        load.by_backend.clear()
        eventually(lambda: load.by_backend.get("f0"), "it takes requests again")
        self.check(load, 60)

    def test_a_slow_backend_fails_nothing(self):
        slow = self.echo("--name", "slow", "--delay", "600ms")
        fleet = [self.echo("--name", f"f{i}", "--delay", "30ms") for i in range(2)]
        load = self.start(slow.address, *(p.address for p in fleet))
        self.go_on(load)
        self.check(load, 0)

    def test_a_restarted_backend_is_back_at_the_same_address(self):
        fleet = [self.echo("--name", f"f{i}", "--delay", "30ms") for i in range(2)]
        load = self.start(*(p.address for p in fleet))
        address = fleet[1].address
        self.break_one(lambda: fleet[1].signal(signal.SIGTERM))
        fleet[1].wait()
        eventually(lambda: self.states().get("up") == 1, "seen as gone")
        self.go_on(load, 50)
        self.echo("--name", "again", "--delay", "30ms", listen=address)
        eventually(lambda: load.by_backend.get("again"), "it takes requests")
        self.check(load, 24)


if __name__ == "__main__":
    harness.main()
