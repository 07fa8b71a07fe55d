"""What the backend sees of a request, and the client of a response."""
import harness
from harness import EndToEnd, ok, one_route


class Headers(EndToEnd):
    def seen(self, request, listener="", **options):
        """What the backend received of the raw request."""
        backend = self.backend(**options)
        rondo = self.rondo(one_route(backend.address, listener=listener))
        response, _ = self.raw(rondo, request)
        self.assertEqual(response.status, 200, response)
        return backend.requests[0]

    def test_hop_by_hop_headers_and_those_that_connection_names_are_removed(self):
        request = self.seen("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Mine, TE\r\nKeep-Alive: timeout=5\r\n"
                            "X-Mine: 1\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: foo\r\n"
                            "HTTP2-Settings: AAMAAABk\r\nX-Kept: yes\r\n\r\n")
        names = {n.lower() for n, _ in request.headers}
        self.assertIn("x-kept", names)
        for gone in ("keep-alive", "x-mine", "proxy-connection", "upgrade", "http2-settings"):
            self.assertNotIn(gone, names)
        self.assertNotIn("gzip", request.get("TE", ""))

    def test_connection_cannot_remove_what_keeps_messages_apart_or_who_the_client_is(self):
        request = self.seen("POST / HTTP/1.1\r\nHost: x\r\nConnection: Content-Length, Host, X-Forwarded-For\r\n"
                            "Content-Length: 2\r\n\r\nab")
        self.assertEqual(request.get("Content-Length"), "2")
        self.assertEqual(request.get("Host"), "x")
        self.assertEqual(request.get("X-Forwarded-For"), "127.0.0.1")

    def test_response_hop_by_hop_headers_are_removed(self):
        backend = self.backend(answer=lambda r: ok("x", "Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=9\r\n"
                                                        "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: s\r\n"))
        response = self.get(self.rondo(one_route(backend.address)))
        self.assertIsNone(response.get("X-Mine"))
        self.assertIsNone(response.get("Keep-Alive"))
        self.assertEqual(response.all("Set-Cookie"), ["a=1", "b=2"])
        self.assertEqual(response.get("Server"), "s")

    def test_an_untrusted_peers_forwarded_headers_are_replaced(self):
        request = self.seen("GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
                            "X-Forwarded-Host: evil\r\nX-Real-IP: 1.2.3.4\r\nX-Request-Id: mine\r\n"
                            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n")
        self.assertEqual(request.all("X-Forwarded-For"), ["127.0.0.1"])
        self.assertEqual(request.all("X-Forwarded-Proto"), ["http"])
        self.assertEqual(request.all("X-Forwarded-Host"), ["example.com"])
        self.assertEqual(request.all("X-Real-IP"), ["127.0.0.1"])
        self.assertEqual(len(request.all("X-Request-Id")), 1)
        self.assertNotEqual(request.get("X-Request-Id"), "mine")
        self.assertTrue(request.get("traceparent").startswith("00-0af7"))

    def test_a_trusted_peers_forwarded_headers_are_kept_and_appended_to(self):
        request = self.seen("GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
                            "X-Forwarded-Host: front\r\nX-Request-Id: mine\r\n\r\n",
                            listener="trusted_proxies: [127.0.0.0/8]")
        self.assertEqual(", ".join(request.all("X-Forwarded-For")), "1.2.3.4, 127.0.0.1")
        self.assertEqual(request.all("X-Forwarded-Proto"), ["https"])
        self.assertEqual(request.all("X-Forwarded-Host"), ["front"])
        self.assertEqual(request.all("X-Real-IP"), ["1.2.3.4"])
        self.assertEqual(request.all("X-Request-Id"), ["mine"])

    def test_header_order_and_repeated_values_are_kept(self):
        request = self.seen("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\n")
        self.assertEqual([(n, v) for n, v in request.headers if n in "AB"], [("A", "1"), ("B", "2"), ("A", "3")])


class Targets(EndToEnd):
    def target(self, line, host="Host: x\r\n"):
        backend = self.backend()
        response, _ = self.raw(self.rondo(one_route(backend.address)), f"{line}\r\n{host}\r\n")
        self.assertEqual(response.status, 200, response)
        return backend.requests[0]

    def test_any_valid_method_token_passes(self):
        for method in ("PATCH", "DELETE", "OPTIONS", "PROPFIND", "MY-OWN_method.1", "get"):
            with self.subTest(method):
                self.assertEqual(self.target(f"{method} /a HTTP/1.1").method, method)

    def test_a_path_is_forwarded_as_it_came(self):
        for path in ("/a//b/../c?x=%2f&y", "/%41%2fb", "/a;b=c?d?e", "/" + "a" * 4000):
            with self.subTest(path):
                self.assertEqual(self.target(f"GET {path} HTTP/1.1").target, path)

    def test_the_absolute_form_gives_the_host(self):
        request = self.target("GET http://example.com:81/a?b HTTP/1.1", "Host: other\r\n")
        self.assertEqual((request.target, request.all("Host")), ("/a?b", ["example.com:81"]))

    def test_options_of_the_whole_server_passes(self):
        self.assertEqual(self.target("OPTIONS * HTTP/1.1").target, "*")

    def test_a_1_0_request_without_a_host_gets_the_backends_address(self):
        backend = self.backend()
        response, _ = self.raw(self.rondo(one_route(backend.address)), "GET /a HTTP/1.0\r\n\r\n")
        self.assertEqual(response.status, 200)
        self.assertEqual(backend.requests[0].all("Host"), [backend.address])

    def test_the_host_passes_unchanged(self):
        self.assertEqual(self.target("GET / HTTP/1.1", "hOsT:  Example.COM:8080 \r\n").get("host"), "Example.COM:8080")

    def test_connect_is_not_implemented(self):
        response, _ = self.raw(self.rondo(one_route(self.backend().address)),
                               "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        self.assertEqual(response.status, 501)


class Routes(EndToEnd):
    CONFIG = """
listeners:
  web:
    listen: ["127.0.0.1:0"]
    routes:
      - match: {{path: /ping}}
        respond: {{status: 200, body: "pong\\n"}}
      - match: {{host: api.example.com, path_prefix: /v1}}
        upstream: api
      - match: {{host: "*.example.com"}}
        upstream: wild
upstreams:
  api: {{backends: ["{api}"]}}
  wild: {{backends: ["{wild}"]}}
"""

    def test_host_path_and_prefix_choose_the_upstream(self):
        api, wild = self.backend(answer=lambda r: ok("api")), self.backend(answer=lambda r: ok("wild"))
        client = self.client(self.rondo(self.CONFIG.format(api=api.address, wild=wild.address)))
        cases = [("api.example.com", "/v1", 200, "api"), ("API.example.com:80", "/v1/x?y", 200, "api"),
                 ("api.example.com", "/v1foo", 200, "wild"), ("api.example.com", "/a/../v1/b", 200, "api"),
                 ("api.example.com", "/%761/b", 200, "api"), ("x.example.com", "/", 200, "wild"),
                 ("example.com", "/", 404, None), ("elsewhere", "/ping", 200, "pong\n"), ("elsewhere", "/ping/", 404, None)]
        for host, target, status, body in cases:
            with self.subTest(host=host, target=target):
                response = client.get(target, host=host)
                self.assertEqual(response.status, status)
                if body:
                    self.assertEqual(response.text(), body)
                else:
                    self.assertEqual(response.reason(), "no_route")

    def test_errors_are_json_or_text_by_accept_and_carry_the_request_id(self):
        client = self.client(self.rondo(self.CONFIG.format(api="127.0.0.1:1", wild="127.0.0.1:1")))
        json_error = client.get("/none", headers={"Accept": "application/json"})
        self.assertTrue(json_error.get("Content-Type").startswith("application/json"))
        self.assertEqual(json_error.reason(), "no_route")
        self.assertIn("request_id", json_error.text())
        text_error = client.get("/none", headers={"Accept": "text/plain"})
        self.assertTrue(text_error.get("Content-Type").startswith("text/plain"))
        self.assertEqual(text_error.reason(), "no_route")


if __name__ == "__main__":
    harness.main()
