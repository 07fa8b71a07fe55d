"""Backends come and go while traffic flows, and nobody notices.

Under a load that checks every answer (scaling.py) an operator adds, drains, removes and re-weights backends, puts
whole lists, reloads the file and changes DNS, at random from a seed. RONDO_SCALING_OPERATIONS sets how many
operations (150 here; tests/soak-scaling does 1,000 and more), RONDO_SCALING_SEED the seed.
"""
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import harness
from harness import ENGINE, EndToEnd, eventually
from scaling import Load

OPERATIONS = int(os.environ.get("RONDO_SCALING_OPERATIONS", "150"))
SEED = int(os.environ.get("RONDO_SCALING_SEED", "1"))
# Between operations, so that they spread over the load.
PAUSE = 0.02


class Admin:
    """The admin API of a running Rondo: a call returns (status, body)."""

    def __init__(self, address):
        self.address = address

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.address, timeout=harness.DEADLINE * 2)
        try:
            headers = dict(headers or {})
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        kind = response.getheader("Content-Type") or ""
        return response.status, json.loads(text) if "json" in kind and text else text

    def backends(self, upstream):
        status, answer = self.call("GET", f"/v1/upstreams/{upstream}/backends")
        assert status == 200, answer
        return {backend["id"]: backend for backend in answer["backends"]}


class DnsServer:
    """dns_server.py with a zone that the test changes."""

    def __init__(self, folder):
        self.zone = Path(folder) / "zone.json"
        self.zone.write_text("{}")
        self.process = subprocess.Popen([sys.executable, "-B", Path(__file__).parent / "dns_server.py", self.zone],
                                        stdout=subprocess.PIPE, text=True)
        self.address = "127.0.0.1:" + self.process.stdout.readline().split()[1]

    def set_a(self, name, addresses, ttl):
        fresh = self.zone.with_suffix(".new")
        fresh.write_text(json.dumps({name: {"A": addresses, "ttl": ttl}}))
        os.replace(fresh, self.zone)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Scaling(EndToEnd):
    # For those who do the same over TLS or HTTP/2.
    listener_keys = ""
    still_keys = ""
    context = None
    load_class = Load

    def setUp(self):
        super().setUp()
        self.rng = random.Random(SEED)

    def start_fleet(self, count, delay="50ms", upstream=""):
        """Echo backends to scale with, and Rondo with two of them in `app`, two untouched ones in `still`."""
        self.fleet = [self.echo("--name", f"f{i}", "--delay", delay) for i in range(count)]
        self.still = [self.echo("--name", f"s{i}", "--delay", delay) for i in range(2)]
        self.upstream_keys = upstream
        self.file_list = [self.fleet[0].address, self.fleet[1].address]
        self.route_generation = 0
        # DNS answers need one port for all addresses: the named backends listen on 127.0.1.x.
        self.named = []
        port = 0
        for i in range(3):
            program = self.echo("--name", f"n{i}", "--delay", delay, listen=f"127.0.1.{i + 1}:{port}")
            port = port or int(program.address.rsplit(":", 1)[1])
            self.named.append(program)
        self.named_port = port
        self.dns = DnsServer(self.folder)
        self.addCleanup(self.dns.stop)
        self.dns.set_a("api.scaling.test", ["127.0.1.1", "127.0.1.2"], ttl=1)
        self.run_rondo()

    def config(self):
        backends = "".join(f"      - \"{a}\"\n" for a in self.file_list)
        return (f"process: {{workers: 2, engine: {ENGINE}, state_file: \"{self.folder}/state.json\"}}\n"
                "logging: {access: {path: \"off\"}}\n"
                "admin: {listen: \"127.0.0.1:0\"}\n"
                f"resolver: {{servers: [\"{self.dns.address}\"], max_ttl: 1s, timeout: 1s}}\n"
                f"listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n{harness.indent(self.listener_keys, 4)}    routes:\n"
                f"      - match: {{path: /generation}}\n        respond: {{body: \"{self.route_generation}\"}}\n"
                "      - match: {path_prefix: /still}\n        upstream: still\n        rewrite_prefix: /\n"
                "        upgrades: [websocket]\n"
                "      - match: {path_prefix: /named}\n        upstream: named\n        rewrite_prefix: /\n"
                "      - upstream: app\n        upgrades: [websocket]\n"
                "upstreams:\n"
                f"  app:\n    drain_timeout: 2s\n    health_check: {{path: /health, interval: 1s, timeout: 2s}}\n"
                f"{harness.indent(self.upstream_keys, 4)}    backends:\n{backends}"
                f"  still:\n{harness.indent(self.still_keys, 4)}"
                f"    backends: [\"{self.still[0].address}\", \"{self.still[1].address}\"]\n"
                f"  named:\n    drain_timeout: 2s\n    health_check: {{path: /health, interval: 1s, timeout: 2s}}\n"
                f"    backends: [{{dns: api.scaling.test, port: {self.named_port}}}]\n")

    def run_rondo(self):
        self.rondo_program = self.rondo(self.config())
        self.admin = Admin(self.rondo_program.wait_line(r"admin API on (\S+)")[0][1])

    def start_load(self, **options):
        options.setdefault("connections", 40)
        self.wait_up("app", 1)
        self.wait_up("named", 1)
        load = self.load_class(
            self.rondo_program.address(), paths=("/", "/still/", "/named/"), socket_paths=("/ws", "/still/ws"),
            sockets=10, may_close=("/ws",), seed=SEED, context=self.context, **options)
        load.start().wait_sockets()
        return load

    def wait_up(self, upstream, count):
        eventually(lambda: sum(b["state"] == "up" for b in self.admin.backends(upstream).values()) >= count,
                   f"{count} backends of {upstream} up")

    def generation(self):
        return self.get(self.rondo_program, "/generation").text()

    # -- operations; each leaves at least one backend of `app` that takes requests --
    def staying(self):
        return [b for b in self.admin.backends("app").values() if b["state"] in ("up", "checking", "warming")]

    def up(self):
        return [b["id"] for b in self.admin.backends("app").values() if b["state"] == "up"]

    def path(self, backend):
        return f"/v1/upstreams/app/backends/{quote(backend, safe='')}"

    def expect(self, call, *statuses):
        status, body = call
        self.assertIn(status, statuses, body)
        return body

    def operate_add(self):
        address = self.rng.choice(self.fleet).address
        body = {"address": address, "weight": self.rng.randrange(1, 5)}
        wait = self.rng.choice(["", "?wait=up&timeout=10s"])
        # 409: it is there with other settings.
        self.expect(self.admin.call("POST", f"/v1/upstreams/app/backends{wait}", body), 200, 201, 409)

    def operate_weight(self):
        staying = self.staying()
        if staying:
            target = self.rng.choice(staying)["id"]
            self.expect(self.admin.call("PATCH", self.path(target), {"weight": self.rng.randrange(1, 10)}), 200)

    def operate_drain(self):
        up = self.up()
        if len(up) > 1:
            self.expect(self.admin.call("PATCH", self.path(self.rng.choice(up)), {"state": "draining"}), 200, 202)

    def operate_up(self):
        held = [b["id"] for b in self.admin.backends("app").values()
                if b["state"] in ("draining", "drained", "maintenance")]
        if held:
            # 404, 409: it was leaving, and has left.
            self.expect(self.admin.call("PATCH", self.path(self.rng.choice(held)), {"state": "up"}), 200, 404, 409)

    def operate_remove(self):
        up = self.up()
        if len(up) > 1:
            wait = self.rng.choice(["", "?wait=true&timeout=10s"])
            self.expect(self.admin.call("DELETE", self.path(self.rng.choice(up)) + wait), 200, 202)

    def operate_put(self):
        up = [b["address"] for b in self.admin.backends("app").values() if b["state"] == "up"]
        kept = self.rng.sample(up, min(len(up), 1 + self.rng.randrange(3)))
        fresh = [p.address for p in self.rng.sample(self.fleet, self.rng.randrange(3)) if p.address not in kept]
        body = {"backends": [{"address": a, "weight": self.rng.randrange(1, 4)} for a in kept + fresh]}
        self.expect(self.admin.call("PUT", "/v1/upstreams/app/backends", body), 200, 202)

    def operate_reload(self):
        up = {b["address"] for b in self.admin.backends("app").values() if b["state"] == "up"}
        # One of the file's backends changes, but never the last that is up.
        candidates = [p.address for p in self.fleet if p.address not in self.file_list]
        if candidates and self.rng.random() < 0.5 and len(up - {self.file_list[0]}) >= 1:
            self.file_list = [self.file_list[1], self.rng.choice(candidates)]
        self.route_generation += 1
        text = self.config()
        fresh = self.rondo_program.config.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self.rondo_program.config)
        if self.rng.random() < 0.5:
            self.rondo_program.signal(signal.SIGHUP)
            eventually(lambda: self.generation() == str(self.route_generation),
                       "the reloaded file in force")
        else:
            # 409: an overlay entry stands against it, by name. Then the file before stays in force.
            status, body = self.admin.call("POST", "/v1/reload", {})
            self.assertEqual(status, 200, body)
            self.assertEqual(self.generation(), str(self.route_generation))

    def operate_dns(self):
        count = 1 + self.rng.randrange(3)
        addresses = self.rng.sample(["127.0.1.1", "127.0.1.2", "127.0.1.3"], count)
        self.dns.set_a("api.scaling.test", addresses, ttl=1)

    OPERATIONS = [(operate_add, 5), (operate_weight, 3), (operate_drain, 3), (operate_up, 3), (operate_remove, 3),
                  (operate_put, 2), (operate_reload, 1), (operate_dns, 1)]

    def operate(self, count):
        operations, weights = zip(*self.OPERATIONS)
        for _ in range(count):
            operation = self.rng.choices(operations, weights)[0]
            operation(self)
            time.sleep(PAUSE)

    def check(self, load, at_least):
        load.stop()
        self.assertEqual(load.findings, [], f"{load.requests} requests, {load.messages} messages")
        self.assertGreater(load.requests, at_least)

    def test_random_operations_fail_no_request(self):
        self.start_fleet(6)
        load = self.start_load()
        self.operate(OPERATIONS)
        self.check(load, OPERATIONS)
        self.assertGreater(load.messages, OPERATIONS / 2)
        self.assertEqual({b["state"] for b in self.admin.backends("still").values()}, {"up"})

    def test_what_was_acknowledged_is_there_after_a_restart(self):
        self.start_fleet(6)
        self.wait_up("app", 1)
        self.operate(40)

        def settled():
            return {b["id"]: (b["address"], b["weight"]) for b in self.admin.backends("app").values()
                    if b["state"] not in ("draining", "drained")}
        diff = self.admin.call("GET", "/v1/diff")
        before = settled()
        self.rondo_program.expected_status = -signal.SIGKILL
        self.rondo_program.signal(signal.SIGKILL)
        self.rondo_program.wait()
        self.run_rondo()
        self.assertEqual(self.admin.call("GET", "/v1/diff"), diff)
        self.assertEqual(settled(), before)

    def test_five_replicas_become_one_and_four_refuse_at_once(self):
        self.start_fleet(5)
        self.expect(self.admin.call("PUT", "/v1/upstreams/app/backends",
                                    {"backends": [{"address": p.address} for p in self.fleet]}), 200, 202)
        self.wait_up("app", 5)
        load = self.start_load(may_fail=lambda request: request["kind"] == "websocket" and request["path"] == "/ws")
        # They stop as a container does that is told to: what is on them is finished, new connections are refused.
        # Kept connections that close in the same moment are the race that a retry covers.
        for program in self.fleet[1:]:
            program.signal(signal.SIGTERM)
        for program in self.fleet[1:]:
            program.wait()
        before = load.requests
        eventually(lambda: load.requests > before + 300, "requests go on")
        self.check(load, 300)


if __name__ == "__main__":
    harness.main()
