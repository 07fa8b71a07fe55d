"""The admin API of a running Rondo: membership while traffic flows, drains that are waited for, who may call."""
import http.client
import json
import os
import socket
import threading
from pathlib import Path

import harness
from harness import Client, EndToEnd, eventually, ok

CONFIG = """
{admin}
listeners: {{web: {{listen: ["127.0.0.1:0"], routes: [{{upstream: api}}]}}}}
upstreams:
  api:
    drain_timeout: 10s
    health_check: {{path: /health, interval: 1s}}
    backends: [{backends}]
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=harness.DEADLINE)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class AdminTest(EndToEnd):
    def start(self, *backends, admin='admin: {listen: "127.0.0.1:0"}', **options):
        listed = ", ".join(f'"{backend.address}"' for backend in backends)
        return self.rondo(CONFIG.format(admin=admin, backends=listed), **options)

    def call(self, rondo, method, target, body=None, **headers):
        """(status, answer, headers)"""
        where = rondo.admin()
        connection = (UnixConnection(where[5:]) if where.startswith("unix:") else
                      http.client.HTTPConnection(where, timeout=harness.DEADLINE * 2))
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, str) else json.dumps(body)
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return response.status, json.loads(text) if is_json and text else text, response.headers

    def up(self, rondo, count):
        def look():
            backends = self.call(rondo, "GET", "/v1/upstreams/api/backends")[1]["backends"]
            return sum(backend["state"] == "up" for backend in backends) >= count
        eventually(look, f"{count} backends up")

    def test_a_backend_that_is_added_takes_traffic_once_it_is_up(self):
        first, second = self.backend(answer=lambda r: ok("one")), self.backend(answer=lambda r: ok("two"))
        rondo = self.start(first)
        self.up(rondo, 1)
        status, backend, headers = self.call(rondo, "POST", "/v1/upstreams/api/backends?wait=up",
                                             {"address": second.address})
        self.assertEqual((status, backend["state"], backend["source"]), (201, "up", "api"))
        self.assertEqual(headers["Location"], f"/v1/upstreams/api/backends/{second.address}")
        self.assertEqual({self.get(rondo).text() for _ in range(4)}, {"one", "two"})
        status, gone, _ = self.call(rondo, "DELETE", f"/v1/upstreams/api/backends/{first.address}?wait=true")
        self.assertEqual((status, gone["removed"]), (200, True))
        self.assertEqual({self.get(rondo).text() for _ in range(4)}, {"two"})
        self.assertEqual(self.call(rondo, "GET", f"/v1/upstreams/api/backends/{first.address}")[0], 404)

    def test_one_that_fails_its_checks_stays_listed_and_gets_nothing(self):
        good, bad = self.backend(answer=lambda r: ok("good")), self.backend(
            answer=lambda r: ok("no", status="503 Service Unavailable") if r.target == "/health" else ok("bad"))
        rondo = self.start(good)
        self.up(rondo, 1)
        status, answer, _ = self.call(rondo, "POST", "/v1/upstreams/api/backends?wait=up&timeout=1s",
                                      {"address": bad.address})
        self.assertEqual((status, answer["error"]["code"]), (504, "wait_timeout"))
        backend = self.call(rondo, "GET", f"/v1/upstreams/api/backends/{bad.address}")[1]
        self.assertIn(backend["state"], ("checking", "down"))
        self.assertIs(backend["health"]["passed"], False)
        self.assertEqual({self.get(rondo).text() for _ in range(4)}, {"good"})

    def test_a_drain_is_waited_for_and_loses_nothing(self):
        release = threading.Event()

        def answer(request):
            if request.target == "/slow":
                release.wait(harness.DEADLINE)
            return ok(request.target)

        slow, other = self.backend(answer=answer), self.backend(answer=answer)
        rondo = self.start(slow)
        self.up(rondo, 1)
        client = self.client(rondo).request("GET", "/slow")
        slow.wait_for(lambda: any(r.target == "/slow" for r in slow.requests), "the slow request")
        self.call(rondo, "POST", "/v1/upstreams/api/backends?wait=up", {"address": other.address})
        path = f"/v1/upstreams/api/backends/{slow.address}"
        self.assertEqual(self.call(rondo, "PATCH", path, {"state": "draining"})[1]["state"], "draining")
        progress = self.call(rondo, "GET", path + "/drain")[1]
        self.assertEqual((progress["in_flight"], progress["done"]), (1, False))
        self.assertEqual(self.call(rondo, "GET", path + "/drain?wait=true&timeout=100ms")[0], 504)
        result = []
        waiting = threading.Thread(target=lambda: result.append(self.call(rondo, "GET", path + "/drain?wait=true")))
        waiting.start()
        release.set()
        self.assertEqual(client.response().text(), "/slow")
        waiting.join(harness.DEADLINE)
        self.assertEqual((result[0][0], result[0][1]["done"], result[0][1]["state"]), (200, True, "drained"))
        before = len(slow.requests)
        self.assertEqual(self.get(rondo).text(), "/")
        self.assertFalse([r for r in slow.requests[before:] if r.target != "/health"])
        self.call(rondo, "PATCH", path, {"state": "up"})
        self.up(rondo, 2)

    def test_writes_honour_the_revision_they_have_seen(self):
        backend = self.backend()
        rondo = self.start(backend)
        path = f"/v1/upstreams/api/backends/{backend.address}"
        seen = self.call(rondo, "GET", path)[2]["ETag"]
        self.assertEqual(self.call(rondo, "PATCH", path, {"weight": 2}, If_Match=seen)[0], 200)
        status, answer, headers = self.call(rondo, "PATCH", path, {"weight": 3}, If_Match=seen)
        self.assertEqual((status, headers["ETag"] != seen), (412, True))
        self.assertIn("message", answer["error"])

    def test_a_token_keeps_strangers_out(self):
        rondo = self.start(self.backend(), admin='admin: {listen: "127.0.0.1:0", token: sesame-open}')
        for target in ("/healthz", "/readyz"):
            self.assertEqual(self.call(rondo, "GET", target)[0], 200)
        for target in ("/", "/metrics", "/v1/status", "/v1/openapi.json", "/nothing"):
            self.assertEqual(self.call(rondo, "GET", target)[0], 401, target)
            self.assertEqual(self.call(rondo, "GET", target, Authorization="Bearer sesame")[0], 401, target)
        status, answer, _ = self.call(rondo, "GET", "/v1/config", Authorization="Bearer sesame-open")
        self.assertEqual((status, answer["admin"]["token"]), (200, "***"))
        for target in ("/v1/export", "/v1/status"):
            self.assertNotIn("sesame", str(self.call(rondo, "GET", target, Authorization="Bearer sesame-open")[1]))

    def test_credentials_are_not_shown_and_stay_when_what_was_shown_comes_back(self):
        backend = self.backend()
        config = f"""
listeners:
  web:
    listen: ["127.0.0.1:0"]
    routes:
      - upstream: api
        set_request_headers: {{Authorization: "Bearer ${{E2E_BACKEND_KEY}}", X-Env: e2e}}
upstreams: {{api: {{backends: ["{backend.address}"]}}}}
"""
        rondo = self.rondo(config, env={"E2E_BACKEND_KEY": "sesame-open"})
        for target in ("/v1/config", "/v1/export", "/v1/upstreams", "/v1/explain?url=/"):
            self.assertNotIn("sesame", str(self.call(rondo, "GET", target)[1]), target)
        shown = self.call(rondo, "GET", "/v1/config")[1]
        route = shown["listeners"]["web"]["routes"][0]
        self.assertEqual(route["set_request_headers"], {"Authorization": "***", "X-Env": "e2e"})
        route["set_request_headers"]["X-Env"] = "changed"
        self.assertEqual(self.call(rondo, "PUT", "/v1/config", shown)[0], 200)
        self.get(rondo)
        sent = backend.requests[-1]
        self.assertEqual((sent.all("Authorization"), sent.all("X-Env")), (["Bearer sesame-open"], ["changed"]))
        route["set_request_headers"]["X-Other-Token"] = "***"
        status, answer, _ = self.call(rondo, "PUT", "/v1/config", shown)
        self.assertEqual((status, answer["error"]["field"]),
                         (400, "listeners.web.routes[0].set_request_headers.X-Other-Token"))

    def test_a_body_takes_only_the_variables_that_the_file_uses(self):
        def config(text):
            return ("listeners: {web: {listen: ['127.0.0.1:0'], routes: [{respond: {status: 200, body: '" + text +
                    "'}}]}}\n")
        rondo = self.rondo(config("${E2E_NAMED}"), env={"E2E_NAMED": "named-value", "E2E_OTHER": "other-value"})
        base = rondo.config.read_text()
        yaml = {"Content_Type": "application/yaml"}
        put = base.replace("${E2E_NAMED}", "it is ${E2E_NAMED}")
        self.assertEqual(self.call(rondo, "PUT", "/v1/config", put, **yaml)[0], 200)
        self.assertEqual(self.get(rondo).text(), "it is named-value")
        for variable in ("${E2E_OTHER}", "${E2E_OTHER:-x}", "${HOME}"):
            for method, target in (("PUT", "/v1/config"), ("POST", "/v1/config/check")):
                status, answer, _ = self.call(rondo, method, target, base.replace("${E2E_NAMED}", variable), **yaml)
                self.assertEqual(status, 400)
                self.assertIn("can be used here only where the configuration file uses it", answer["error"]["message"])
                self.assertNotIn("other-value", str(answer))
        status, answer, _ = self.call(rondo, "PUT", "/v1/config", base.replace("status: 200", "status: '${E2E_NAMED}'"), **yaml)
        self.assertEqual(status, 400)
        self.assertIn("`status`: `${E2E_NAMED}` is not right once its variables have their values", answer["error"]["message"])
        self.assertNotIn("named-value", str(answer))

    def test_pages_of_other_sites_are_refused(self):
        rondo = self.start(self.backend())
        self.assertEqual(self.call(rondo, "GET", "/v1/status", Host="evil.example")[0], 403)
        self.assertEqual(self.call(rondo, "POST", "/v1/reload", Origin="http://evil.example")[0], 403)
        self.assertEqual(self.call(rondo, "POST", "/v1/reload", "a=b", Content_Type="text/plain")[0], 415)
        self.assertEqual(self.call(rondo, "GET", "/v1/status", Host="localhost")[0], 200)

    def test_a_unix_socket_is_for_owner_and_group(self):
        path = Path(self.folder) / "admin.sock"
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(str(path))
        stale.close()
        rondo = self.start(self.backend(), admin=f"admin: {{listen: \"unix:{path}\"}}")
        self.assertEqual(self.call(rondo, "GET", "/healthz")[0], 200)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)

    def test_events_tell_what_happens_and_go_on_where_they_were(self):
        backend, second = self.backend(), self.backend()
        rondo = self.start(backend)
        self.up(rondo, 1)

        def follow(**headers):
            host, port = rondo.admin().rsplit(":", 1)
            client = Client(socket.create_connection((host, int(port))))
            self.addCleanup(client.close)
            client.request("GET", "/v1/events", headers={n.replace("_", "-"): v for n, v in headers.items()},
                           host="localhost")
            self.assertIn(b"200 OK", client.take_until(b"\r\n\r\n"))
            return client

        client = follow()
        self.call(rondo, "POST", "/v1/upstreams/api/backends?wait=up", {"address": second.address})
        text = client.take_until(b"event: backend_added\n").decode() + client.take_until(b"\n\n").decode()
        self.assertIn(second.address, text)
        seen = [line[4:] for line in text.splitlines() if line.startswith("id: ")][-1]
        self.call(rondo, "PATCH", f"/v1/upstreams/api/backends/{second.address}", {"state": "maintenance"})
        self.assertIn(b"maintenance", client.take_until(b"maintenance") + b"maintenance")
        # Another reader begins behind what this one has seen.
        later = follow(Last_Event_ID=seen)
        first = int(later.take_until(b"\nevent: ").rsplit(b"id: ", 1)[1])
        self.assertEqual(first, int(seen) + 1)
        self.assertIn(b"event: reset", follow(Last_Event_ID="7").take_until(b"\ndata: "))

    def test_slow_admin_clients_do_not_disturb_traffic(self):
        rondo = self.start(self.backend())
        self.up(rondo, 1)
        host, port = rondo.admin().rsplit(":", 1)
        held = [socket.create_connection((host, int(port))) for _ in range(300)]
        for each in held[:100]:
            each.sendall(b"GET /v1/upstreams HTTP/1.1\r\nHost: loc")
        self.assertEqual(self.get(rondo).status, 200)
        for each in held:
            each.close()

        def answers():
            try:
                return self.call(rondo, "GET", "/healthz")[0] == 200
            except OSError:  # there were more clients than are even told that there are too many
                return False

        eventually(answers, "the admin API has places again")

    def test_a_busy_admin_address_refuses_the_start(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            file = Path(self.folder) / "busy.yaml"
            file.write_text(CONFIG.format(admin=f'admin: {{listen: "127.0.0.1:{port}"}}', backends='"127.0.0.1:1"'))
            program = harness.Program(["run", "-c", str(file)])
            self.addCleanup(program.kill)
            self.assertEqual(program.wait(), 1)
            self.assertIn(str(port), program.stderr())


if __name__ == "__main__":
    harness.main()
