"""The files in conf/, run as they are but for addresses, do what their comments say."""
import base64
import hashlib
import re
import ssl
import tempfile
import threading
from collections import Counter
from pathlib import Path

import harness
import http2
from example_files import CONF, ExampleFiles
from harness import connect, eventually, ok

PORTS = (3001, 3002, 3003)


def secured(client, files, name, certificate=None):
    """The client, over TLS from now on; `certificate`: the name of one in certs/ that it shows."""
    context = ssl.create_default_context(cafile=files.authority)
    if certificate:
        context.load_cert_chain(files.certs / f"{certificate}.pem", files.certs / f"{certificate}.key")
    client.sock = context.wrap_socket(client.sock, server_hostname=name)
    return client


def message(text):
    """A message of gRPC."""
    return b"\0" + len(text).to_bytes(4, "big") + text


class Examples(http2.Http2Test):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="rondo-examples-")
        cls.addClassCleanup(folder.cleanup)
        cls.files = ExampleFiles(folder.name)

    def start(self, name, backends=None, edit=lambda text: text, listeners=1):
        """Runs conf/NAME with free ports to listen on, and the backends in place of those on ports 3001 and on."""
        text = (CONF / name).read_text()
        # What of the process there is, is for a machine of its own.
        text = re.sub(r"^process:\n(?:  .*\n)+", "", text, flags=re.MULTILINE)
        text = text.replace("certs/", f"{self.files.certs}/")
        text = re.sub(r'listen: \[.*?\](?=\s)', 'listen: ["127.0.0.1:0"]', text)
        self.backends = backends or {port: self.echoing(port) for port in PORTS}
        for port, backend in self.backends.items():
            text = text.replace(f"127.0.0.1:{port}", backend.address)
        self.assertNotRegex(text, r"127\.0\.0\.1:300\d\b")
        return self.rondo(edit(text), listeners=listeners)

    def secure(self, rondo, listener, name, certificate=None):
        return secured(self.client(rondo, listener), self.files, name, certificate)

    def echoing(self, port):
        """Says which backend it is, and keeps what it was sent in `requests`."""
        return self.backend(answer=lambda r: ok(f"{port} {r.target}", "Set-Cookie: own=1\r\n"))

    def who(self, response):
        return int(response.text().split(" ")[0])

    def test_every_example_is_accepted(self):
        for file in sorted(CONF.glob("*.yaml")):
            with self.subTest(file.name):
                check = self.program("check", "-c", str(self.files.folder / file.name))
                self.assertEqual(check.wait(), 0, check.stderr())

    def test_an_example_whose_certificates_are_not_there_is_refused(self):
        for name in ("edge.yaml", "http2-edge.yaml", "grpc.yaml", "sidecar.yaml", "cloud.yaml"):
            with self.subTest(name):
                check = self.program("check", "-c", str(CONF / name))
                check.expected_status = 1
                self.assertEqual(check.wait(), 1)
                self.assertRegex(check.stderr(), rf"{name}:\d+:\d+: .*conf/certs/\S+")

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

    def edge(self):
        backends = {port: self.echoing(port) for port in (*PORTS, 3004)}
        return self.start("edge.yaml", backends, listeners=2)

    def test_who_comes_to_the_edge_by_http_is_sent_to_https(self):
        client = self.client(self.edge(), "plain")
        response = client.get("/a/b?c=d", host="api.example.com:80")
        self.assertEqual((response.status, response.get("Location")), (301, "https://api.example.com/a/b?c=d"))
        challenge = client.get("/.well-known/acme-challenge/x")
        self.assertEqual(self.who(challenge), 3004)

    def test_the_edge_has_a_certificate_for_each_name(self):
        rondo = self.edge()
        for host, owners in (("www.example.com", (3001, 3002)), ("api.example.com", (3003,))):
            client = self.secure(rondo, "web", host)
            names = [name for _, name in client.sock.getpeercert()["subjectAltName"]]
            self.assertIn(host, names)
            response = client.get("/x", host=host)
            self.assertIn(self.who(response), owners)
            self.assertEqual(response.all("Strict-Transport-Security"), ["max-age=31536000"])
            self.assertEqual(self.backends[self.who(response)].requests[-1].all("X-Forwarded-Proto"), ["https"])

    def test_the_edge_refuses_strangers_and_who_guesses_passwords(self):
        rondo = self.edge()
        client = self.secure(rondo, "web", "www.example.com")
        refused = client.get("/staff/plans")
        self.assertEqual((refused.status, refused.reason()), (403, "denied"))
        statuses = []
        for _ in range(7):
            # A connection whose request was refused with its body unread is closed.
            login = self.secure(rondo, "web", "www.example.com")
            tried = login.request("POST", "/login", body=b"guess").response()
            statuses.append(tried.status)
        self.assertEqual(statuses, [200] * 5 + [429] * 2)
        self.assertEqual(tried.reason(), "rate_limited")
        self.assertTrue(1 <= int(tried.get("Retry-After")) <= 6, tried)
        self.assertEqual(client.get("/" + "x" * 9000).status, 414)

    def trusting(self):
        return ssl.create_default_context(cafile=self.files.authority)

    def http2_edge(self):
        self.upgraded = threading.Event()

        def application(connection):
            while True:
                request = connection.request()
                key = request.get("Sec-WebSocket-Key")
                if key is None:
                    connection.send(ok(f"3001 {request.target}"))
                    continue
                proof = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
                self.upgraded.set()
                connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n")
                while True:
                    connection.send(connection.take(1))
        backends = {port: self.backend(application) for port in (3001, 3002)}
        backends[3003] = self.http2_backend(answer=lambda r: {"body": f"3003 {r.target}"})
        return self.start("http2-edge.yaml", backends, listeners=2)

    def test_the_http2_edge_serves_a_pages_parts_over_one_connection(self):
        rondo = self.http2_edge()
        client = self.http2(rondo, context=self.trusting(), name="www.example.com")
        streams = [client.request("GET", f"/{'api' if n % 2 else 'part'}/{n}", authority="www.example.com", scheme="https")
                   for n in range(60)]
        for number, stream in enumerate(streams):
            answer = client.answer(stream)
            self.assertEqual((answer.status, answer.text()),
                             (200, f"3003 /api/{number}" if number % 2 else f"3001 /part/{number}"))
            self.assertEqual(answer.all("strict-transport-security"), ["max-age=31536000"])
        self.assertEqual(client.settings[http2.Setting.MAX_CONCURRENT_STREAMS], 100)
        self.assertEqual(client.settings[http2.Setting.INITIAL_WINDOW_SIZE], 1 << 20)
        paths = {request.target for request in self.backends[3003].requests}
        self.assertIn("/health", paths, "asked over HTTP/2 too")
        # Who does not know it is served as ever.
        old = self.secure(rondo, "web", "www.example.com")
        self.assertEqual(old.get("/api/x").text(), "3003 /api/x")

    def test_the_http2_edge_opens_websockets_over_the_same_connection(self):
        rondo = self.http2_edge()
        client = self.http2(rondo, context=self.trusting(), name="www.example.com")
        client.until(lambda: client.settings, "its settings")
        self.assertEqual(client.settings[http2.Setting.ENABLE_CONNECT_PROTOCOL], 1)
        stream = client.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                              (":path", "/live/prices"), (":authority", "www.example.com"),
                              ("sec-websocket-version", "13")], end=False)
        self.assertEqual(client.head(stream).status, 200)
        self.assertTrue(self.upgraded.is_set())
        client.data(stream, b"frames, to and fro")
        client.until(lambda: client.streams[stream].body == b"frames, to and fro", "the echo")
        self.assertEqual(client.get("/page", authority="www.example.com", scheme="https").text(), "3001 /page")
        elsewhere = client.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                                 (":path", "/api"), (":authority", "www.example.com"),
                                 ("sec-websocket-version", "13")], end=False)
        self.assertEqual(client.answer(elsewhere).status, 501)

    def grpc_service(self, port, context=None):
        """Serves what it is asked for, and tells that it does so."""
        def answer(request):
            health = request.target == "/grpc.health.v1.Health/Check"
            return {"headers": [("content-type", "application/grpc")], "trailers": [("grpc-status", "0")],
                    "body": message(b"\x08\x01" if health else f"{port} ".encode() + request.body[5:])}
        if context:
            context.set_alpn_protocols(["h2"])
        return self.http2_backend(answer=answer, context=context)

    def grpc(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.files.certs / "prices.pem", self.files.certs / "prices.key")
        backends = {port: self.grpc_service(port, context if port == 3003 else None) for port in (*PORTS, 3004)}
        rondo = self.start("grpc.yaml", backends, listeners=2)
        # A backend that has not passed its check yet gets nothing.
        eventually(lambda: all(self.backends[port].requests for port in PORTS), "each was checked")
        return rondo

    def call(self, client, method, text=b"?", **headers):
        stream = client.request("POST", method, {"content-type": "application/grpc", "te": "trailers", **headers},
                                body=message(text), authority="api.example.com", scheme="https")
        return client.answer(stream)

    def test_grpc_calls_go_by_service_and_come_back_with_their_status(self):
        rondo = self.grpc()
        inside = self.http2(rondo, "internal")
        outside = self.http2(rondo, "public", context=self.trusting(), name="api.example.com")
        for client in (inside, outside):
            for method, owners in (("/shop.v1.Orders/List", (3001, 3002)), ("/shop.v1.Prices/Get", (3003,)),
                                   ("/shop.v1.Feed/Follow", (3004,))):
                with self.subTest(method):
                    answer = self.call(client, method, b"hello")
                    self.assertEqual((answer.status, answer.trailers), (200, [("grpc-status", "0")]))
                    owner, text = answer.body[5:].split(b" ", 1)
                    self.assertIn(int(owner), owners)
                    self.assertEqual(text, b"hello")
            unknown = self.call(client, "/shop.v1.Nothing/Get")
            self.assertEqual((unknown.status, unknown.get("grpc-status"), unknown.body), (200, "12", b""))

    def test_grpc_backends_are_asked_whether_they_serve(self):
        self.grpc()
        for port, service in ((3001, b"shop.v1.Orders"), (3002, b"shop.v1.Orders"), (3003, b"")):
            first = self.backends[port].requests[0]
            self.assertEqual(first.target, "/grpc.health.v1.Health/Check")
            field = b"\x0a" + bytes([len(service)]) + service if service else b""
            self.assertEqual(bytes(first.body[5:]), field)

    def test_grpc_outside_is_for_http2_alone(self):
        rondo = self.grpc()
        context = self.trusting()
        context.set_alpn_protocols(["http/1.1"])
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(connect(rondo.address("public")).sock, server_hostname="api.example.com")

    def test_the_sidecar_lets_in_who_has_a_certificate_and_says_who_it_is(self):
        rondo = self.start("sidecar.yaml", {port: self.echoing(port) for port in PORTS}, listeners=2)
        client = self.secure(rondo, "inbound", "orders.internal", "payments")
        response = client.get("/x", headers={"X-Client-Subject": "CN=forged", "X-Client-Verified": "NONE"})
        self.assertEqual(self.who(response), 3001)
        request = self.backends[3001].requests[-1]
        self.assertEqual(request.all("X-Client-Subject"), ["CN=payments.internal"])
        self.assertEqual(request.all("X-Client-Verified"), ["SUCCESS"])
        # TLS 1.3 tells a client at its first read that its certificate is missed.
        with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
            self.secure(rondo, "inbound", "orders.internal").get("/x")

    def test_the_sidecar_speaks_tls_to_other_services_with_its_own_certificate(self):
        def service(port):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.files.authority)
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(self.files.certs / "payments.pem", self.files.certs / "payments.key")

            def serve(connection):
                connection.sock = context.wrap_socket(connection.sock, server_side=True)
                who = dict(part[0] for part in connection.sock.getpeercert()["subject"])["commonName"]
                while True:
                    connection.send(ok(f"{port} {connection.request().target} {who}"))
            return self.backend(serve)
        backends = {3001: self.echoing(3001), 3002: service(3002), 3003: service(3003)}
        client = self.client(self.start("sidecar.yaml", backends, listeners=2), "outbound")
        for _ in range(4):
            response = client.get("/payments/7")
            self.assertRegex(response.text(), r"^300[23] /7 orders\.internal$")

    def test_behind_the_cloud_the_client_is_who_the_proxy_header_names(self):
        rondo = self.start("cloud.yaml", edit=lambda text: text.replace("10.0.0.0/16", "127.0.0.0/8").replace(
            '":9900"', '"127.0.0.1:0"'))
        client = self.client(rondo)
        client.send("PROXY TCP4 203.0.113.7 10.0.0.9 40000 443\r\n")
        response = secured(client, self.files, "www.example.com").get("/x")
        request = self.backends[self.who(response)].requests[-1]
        self.assertEqual(request.all("X-Forwarded-For"), ["203.0.113.7"])
        self.assertEqual(request.all("X-Forwarded-Proto"), ["https"])
        silent = self.client(rondo)
        with self.assertRaises((ssl.SSLError, OSError)):
            secured(silent, self.files, "www.example.com")

    def test_the_cloud_asks_readyz_without_a_certificate_and_operators_all_else_with_one(self):
        rondo = self.start("cloud.yaml", edit=lambda text: text.replace('":9900"', '"127.0.0.1:0"'))

        def status(target, certificate=None):
            client = secured(connect(rondo.admin()), self.files, "localhost", certificate)
            response = client.get(target, host=rondo.admin())
            client.close()
            return response.status
        self.assertEqual(eventually(lambda: status("/readyz") == 200, "ready"), True)
        self.assertIn(status("/v1/status"), (401, 403))
        self.assertEqual(status("/v1/status", "rondo"), 200)


if __name__ == "__main__":
    harness.main()
