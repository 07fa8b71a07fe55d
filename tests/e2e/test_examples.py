"""The files in conf/, run as they are but for addresses, do what their comments say."""
import re
import threading
from collections import Counter
from pathlib import Path

import harness
from harness import EndToEnd, eventually, ok

CONF = Path(__file__).resolve().parents[2] / "conf"
PORTS = (3001, 3002, 3003)


class Examples(EndToEnd):
    def start(self, name, backends=None, edit=lambda text: text):
        """Runs conf/NAME with free ports to listen on, and the backends in place of those on ports 3001 and on."""
        text = (CONF / name).read_text()
        self.assertNotIn("process:", text)
        text = re.sub(r'listen: \[.*?\](?=\s)', 'listen: ["127.0.0.1:0"]', text)
        self.backends = backends or {port: self.echoing(port) for port in PORTS}
        for port, backend in self.backends.items():
            text = text.replace(f"127.0.0.1:{port}", backend.address)
        self.assertNotRegex(text, r"127\.0\.0\.1:300\d\b")
        return self.rondo(edit(text))

    def echoing(self, port):
        """Says which backend it is, and keeps what it was sent in `requests`."""
        return self.backend(answer=lambda r: ok(f"{port} {r.target}", "Set-Cookie: own=1\r\n"))

    def who(self, response):
        return int(response.text().split(" ")[0])

    def test_every_example_is_accepted(self):
        for file in sorted(CONF.glob("*.yaml")):
            with self.subTest(file.name):
                check = self.program("check", "-c", str(file))
                self.assertEqual(check.wait(), 0, check.stderr())

    def test_the_small_one_balances_over_its_backends(self):
        client = self.client(self.start("rondo.yaml"))
        self.assertEqual(client.get("/ping").text(), "pong\n")
        shares = Counter(self.who(client.get("/x")) for _ in range(40))
        self.assertGreater(shares[3003], 0)
        self.assertEqual(sum(shares.values()), 40)

    def test_the_canary_gets_one_session_in_ten_and_keeps_it(self):
        client = self.client(self.start("canary.yaml"))
        sides = [self.who(client.get(headers={"Cookie": f"session={n}"})) == 3003 for n in range(500)]
        # 50 +- 5 standard deviations of 6.7; the same sessions each time, so that this passes always or never.
        self.assertTrue(16 <= sum(sides) <= 84, sum(sides))
        for number in range(0, 500, 10):
            response = client.get(headers={"Cookie": f"a=b; session={number}"})
            self.assertEqual(self.who(response) == 3003, sides[number])
            self.assertEqual(response.all("Cache-Control"), ["private"])

    def test_more_weight_for_the_canary_moves_nobody_back(self):
        taken = []
        for weights in ("{app: 90, app-canary: 10}", "{app: 60, app-canary: 40}"):
            client = self.client(self.start("canary.yaml", edit=lambda text, weights=weights: text.replace(
                "{app: 90, app-canary: 10}", weights)))
            taken.append({n for n in range(200) if self.who(client.get(headers={"Cookie": f"session={n}"})) == 3003})
        self.assertLess(taken[0], taken[1])

    def test_a_tester_gets_the_canary_by_header(self):
        client = self.client(self.start("canary.yaml"))
        for _ in range(10):
            self.assertEqual(self.who(client.get(headers={"x-canary": "1", "Cookie": "session=1"})), 3003)
        self.assertEqual({self.who(client.get()) for _ in range(20)} & {3001, 3002}, {3001, 3002})

    def test_a_shopper_stays_on_its_backend(self):
        rondo = self.start("shop.yaml")
        owners = set()
        for _ in range(6):
            client = self.client(rondo)
            first = client.get("/")
            cookie = next(c for c in first.all("Set-Cookie") if c.startswith("shop_backend=")).split(";")[0]
            owners.add(self.who(first))
            for target in ("/basket", "/checkout"):
                for method, body in (("GET", None), ("POST", b"one more")):
                    again = self.client(rondo).request(method, target, headers={"Cookie": cookie}, body=body).response()
                    self.assertEqual(self.who(again), self.who(first))
                    self.assertEqual(again.all("Set-Cookie"), ["own=1"])
        self.assertNotIn(3003, owners, "the backup")

    def test_a_shopper_moves_when_its_backend_is_gone(self):
        rondo = self.start("shop.yaml")
        first = self.get(rondo)
        cookie = first.all("Set-Cookie")[1].split(";")[0]
        self.backends[self.who(first)].stop()
        second = self.get(rondo, headers={"Cookie": cookie})
        self.assertEqual({self.who(first), self.who(second)}, {3001, 3002})
        moved = second.all("Set-Cookie")[1].split(";")[0]
        self.assertEqual(self.who(self.get(rondo, headers={"Cookie": moved})), self.who(second))

    def test_the_shop_refuses_a_large_basket_alone(self):
        rondo = self.start("shop.yaml")
        large = b"x" * (65 * 1024)
        response = self.client(rondo).request("POST", "/basket", headers={"Expect": "100-continue"}).response()
        self.assertEqual(response.status, 200)
        refused = self.client(rondo).request("POST", "/basket/add", headers={"Content-Length": len(large)})
        self.assertEqual(refused.response().status, 413)
        self.assertEqual(self.client(rondo).request("POST", "/upload", body=large).response().status, 200)

    def test_an_image_comes_from_the_same_backend_each_time_and_may_be_cached(self):
        rondo = self.start("shop.yaml")
        client = self.client(rondo)
        owners = {}
        for target in [f"/images/{n}.png" for n in range(60)] * 2:
            response = client.get(target)
            owners.setdefault(target, set()).add(self.who(response))
            self.assertEqual(response.all("Set-Cookie"), [])
            self.assertEqual(response.all("Cache-Control"), ["public, max-age=86400"])
        self.assertTrue(all(len(found) == 1 for found in owners.values()))
        self.assertEqual(set.union(*owners.values()), set(PORTS))

    def test_a_burst_waits_at_the_shop_instead_of_failing(self):
        go = threading.Event()

        def slow(connection):
            while True:
                connection.request()
                go.wait(harness.DEADLINE)
                connection.send(ok("3001 /"))
        # One place each instead of 200: the same picture with fewer clients.
        backends = {port: self.backend(slow) for port in PORTS}
        rondo = self.start("shop.yaml", backends, lambda text: text.replace(
            "max_connections: 200", "max_connections: 1").replace("timeout: 3s", "timeout: 30s"))
        clients = [self.client(rondo).request() for _ in range(12)]
        eventually(lambda: sum(len(b.requests) for b in backends.values()) == 3, "three in flight")
        for client in clients:
            self.assertTrue(client.quiet(0.02))
        self.assertEqual(sum(len(b.requests) for b in backends.values()), 3)
        go.set()
        self.assertEqual([client.response().status for client in clients], [200] * 12)

    def test_the_api_by_header_and_by_path(self):
        client = self.client(self.start("api.yaml"))
        for method, target, headers, owners, seen in (
                ("GET", "/v1/users/7", {}, PORTS, "/users/7"),
                ("GET", "/v1/users/7/orders?x", {}, PORTS, "/users/7/orders?x"),
                ("POST", "/v1/users/7", {}, (3001,), "/users/7"),
                ("GET", "/v1/things", {"X-Api-Version": "2"}, (3002, 3003), "/things"),
                ("GET", "/v1/things", {"x-api-version": "2.17"}, (3002, 3003), "/things"),
                ("GET", "/v1/things", {"X-Api-Version": "20"}, (3001,), "/things"),
                ("GET", "/v1", {}, (3001,), "/"),
                ("GET", "/v2/x?preview=1", {"Cookie": "a=b; staff=yes"}, (3002, 3003), "/preview/x?preview=1"),
                ("GET", "/v2/x?preview", {"Cookie": "staff=no"}, (3002, 3003), "/x?preview"),
                ("GET", "//v1/../v2/./x", {}, (3002, 3003), "/x")):
            with self.subTest(f"{method} {target}", headers=headers):
                response = client.request(method, target, headers=headers).response()
                owner, path = response.text().split(" ")
                self.assertIn(int(owner), owners)
                self.assertEqual(path, seen)

    def test_the_api_sets_and_removes_what_its_backends_see(self):
        client = self.client(self.start("api.yaml"))
        who = self.who(client.get("/v1/a", headers={"X-Api-Version": "2", "X-Env": "mine"}))
        self.assertEqual(self.backends[who].requests[-1].all("X-Env"), ["prod"])
        client.get("/v1/a", headers={"X-Debug": "1", "X-Env": "mine"})
        request = self.backends[3001].requests[-1]
        self.assertEqual((request.all("X-Debug"), request.all("X-Env")), ([], ["mine"]))

    def test_the_api_redirects_answers_and_does_not_know_the_rest(self):
        client = self.client(self.start("api.yaml"))
        response = client.get("/docs/intro")
        self.assertEqual((response.status, response.get("Location")), (301, "https://docs.example.com/"))
        self.assertEqual(client.get("/ping").text(), "pong\n")
        self.assertEqual(client.get("/v3").reason(), "no_route")

    def test_websockets_to_one_group_and_hosts_to_another(self):
        rondo = self.start("websocket.yaml", {3001: self.echo("--name", "a"), 3002: self.echo("--name", "b")})
        client = self.client(rondo)
        self.assertEqual(client.get("/").text(), "nothing here\n")
        for _ in range(4):
            self.assertEqual(client.get("/", host="shop.example.com").get("X-Backend"), "a", "b is a backup")
        # Tunnels last, so that four of them are two for each backend.
        reached = []
        for _ in range(4):
            tunnel = self.client(rondo)
            tunnel.request(target="/socket", headers={
                "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
            response = tunnel.response()
            self.assertEqual(response.status, 101)
            reached.append(response.get("X-Backend"))
        self.assertEqual(sorted(reached), ["a", "a", "b", "b"])


if __name__ == "__main__":
    harness.main()
