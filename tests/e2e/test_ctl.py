"""rondo ctl: what it shows, changes and waits for, and how it fails."""
import json
import os
import socket
import subprocess
import threading

import harness
from harness import BINARY, EndToEnd, eventually, ok, refused_address


class CtlTest(EndToEnd):
    def start(self, *backends, admin='admin: {listen: "127.0.0.1:0"}', **options):
        listed = ", ".join(f'"{backend.address}"' for backend in backends)
        return self.rondo(f"{admin}\n"
                          "listeners: {web: {listen: [\"127.0.0.1:0\"], routes: [{upstream: api}]}}\n"
                          "upstreams:\n  api:\n    drain_timeout: 10s\n"
                          "    health_check: {path: /health, interval: 1s}\n"
                          f"    backends: [{listed}]\n", **options)

    def ctl(self, rondo, *arguments, status=0, env=None, admin=None):
        """What it printed; stderr where it failed."""
        where = admin or (rondo.admin() if rondo else None)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RONDO_ADMIN")}
        if where:
            environment["RONDO_ADMIN"] = where if where.startswith("unix:") else f"http://{where}"
        done = subprocess.run([BINARY, "ctl", *arguments], capture_output=True, text=True, check=False,
                              timeout=harness.DEADLINE * 3, env={**environment, **(env or {})})
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stdout}{done.stderr}")
        self.assertNotRegex(done.stderr, harness.REPORT)
        return done.stdout if status == 0 else done.stderr

    def up(self, rondo, count):
        eventually(lambda: sum(b["state"] == "up" for b in json.loads(
            self.ctl(rondo, "backends", "api", "--output", "json"))["backends"]) >= count, f"{count} backends up")

    def test_backends_come_and_go(self):
        first, second = self.backend(answer=lambda r: ok("one")), self.backend(answer=lambda r: ok("two"))
        rondo = self.start(first)
        self.up(rondo, 1)
        self.assertIn("is up", self.ctl(rondo, "add", "api", second.address, "--weight", "3", "--wait"))
        table = self.ctl(rondo, "backends", "api").splitlines()
        self.assertTrue(table[0].startswith("BACKEND"))
        self.assertEqual(len(table), 3)
        self.assertEqual(len({line.index(s) for line, s in zip(table[1:], (first.address, second.address))}), 1)
        self.assertIn("weight", self.ctl(rondo, "diff"))
        self.ctl(rondo, "set", "api", second.address, "--weight", "5")
        shown = json.loads(self.ctl(rondo, "backends", "api", "--output", "json"))["backends"]
        self.assertEqual([b["weight"] for b in shown], [1, 5])
        self.assertIn("drained", self.ctl(rondo, "drain", "api", first.address, "--timeout", "5s", "--wait"))
        self.assertEqual({self.get(rondo).text() for _ in range(4)}, {"two"})
        self.ctl(rondo, "set", "api", first.address, "--state", "up")
        self.up(rondo, 2)
        self.assertIn("gone", self.ctl(rondo, "remove", "api", second.address, "--now", "--wait"))
        self.assertEqual({self.get(rondo).text() for _ in range(4)}, {"one"})
        self.ctl(rondo, "diff", "--drop")
        self.assertIn("nothing", self.ctl(rondo, "diff"))

    def test_shows_status_configuration_and_reasons(self):
        backend = self.backend()
        rondo = self.start(backend)
        self.up(rondo, 1)
        status = self.ctl(rondo, "status")
        self.assertRegex(status, r"rondo \S+ \(\S+\), up \d+s, revision 1")
        self.assertRegex(status, r"\napi +1 +1 up +config")
        self.assertEqual(json.loads(self.ctl(rondo, "status", "--output", "json"))["revision"], 1)
        self.assertIn("health_check", self.ctl(rondo, "export"))
        self.assertIn("listeners", json.loads(self.ctl(rondo, "export", "--output", "json")))
        explained = self.ctl(rondo, "explain", "http://x/a?b=c&d", "-H", "X-A: b c")
        self.assertIn("upstream api", explained)
        self.assertIn("takes requests", explained)
        self.assertEqual(json.loads(self.ctl(rondo, "explain", "/", "--output", "json"))["action"], "forward")
        self.assertIn("revision", self.ctl(rondo, "reload"))

    def test_says_how_it_failed(self):
        rondo = self.start(self.backend())
        self.assertIn("no upstream", self.ctl(rondo, "backends", "none", status=1))
        self.assertIn("address", self.ctl(rondo, "add", "api", "nonsense:x:y", status=1))
        self.assertIn("no backend", self.ctl(rondo, "remove", "api", "1.2.3.4:5", status=1))
        refused = self.ctl(None, "status", admin=refused_address(), status=3)
        self.assertIn("admin.listen", refused)
        self.assertIn("refused", refused)
        self.assertIn("could not be reached", self.ctl(None, "status", admin="unix:/nowhere/admin.sock", status=3))
        # The listener is not the admin API.
        self.assertIn("right address", self.ctl(None, "status", admin=rondo.address(), status=3))
        for arguments in (["status", "--admin", "ftp://x"], ["set", "api", "a:1"], ["drain", "api", "a:1", "--timeout", "x"],
                          ["nothing"], [], ["add", "api"], ["status", "--output", "xml"]):
            self.ctl(rondo, *arguments, status=2)
        self.assertIn("Example", self.ctl(rondo, "add", "--help"))

    def test_needs_the_token_where_one_is_set(self):
        rondo = self.start(self.backend(), admin='admin: {listen: "127.0.0.1:0", token: sesame-open}')
        self.assertIn("RONDO_ADMIN_TOKEN", self.ctl(rondo, "status", status=4))
        self.ctl(rondo, "status", "--token", "wrong", status=4)
        self.ctl(rondo, "status", "--token", "sesame-open")
        self.ctl(rondo, "status", env={"RONDO_ADMIN_TOKEN": "sesame-open"})
        self.ctl(rondo, "events", status=4)

    def test_speaks_over_a_unix_socket(self):
        rondo = self.start(self.backend(), admin=f'admin: {{listen: "unix:{self.folder}/admin.sock"}}')
        self.assertIn("revision", self.ctl(rondo, "status"))

    def test_follows_events_over_a_break(self):
        backend = self.backend()
        rondo = self.start(backend)
        self.up(rondo, 1)
        shown = self.ctl(rondo, "events", "--after", "1", "-n", "1", "--output", "json")
        self.assertEqual(json.loads(shown)["type"], "reset")
        follower = subprocess.Popen([BINARY, "ctl", "events", "-n", "2", "--admin", rondo.admin()],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(follower.stdout.close)
        self.addCleanup(follower.wait)
        self.addCleanup(follower.kill)
        lines = []

        def read():
            for line in follower.stdout:
                lines.append(line)
        reader = threading.Thread(target=read)
        reader.start()
        n = 0
        while len(lines) < 2 and n < 1000:
            # Until the follower is there to see it.
            n += 1
            self.ctl(rondo, "set", "api", backend.address, "--weight", str(n % 9 + 1))
        reader.join(harness.DEADLINE)
        self.assertEqual(follower.wait(harness.DEADLINE), 0)
        self.assertIn("config", lines[0])

    def test_whoever_is_no_http_server_is_not_waited_for(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def serve():
                connection, _ = listener.accept()
                connection.sendall(b"220 mail.example ESMTP\r\n")
                connection.close()
            thread = threading.Thread(target=serve)
            thread.start()
            problem = self.ctl(None, "status", admin=f"127.0.0.1:{listener.getsockname()[1]}", status=3)
            self.assertIn("HTTP", problem)
            thread.join()


if __name__ == "__main__":
    harness.main()
