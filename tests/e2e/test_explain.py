"""`rondo explain`: which listener, route and upstream a request takes, and that a running Rondo agrees."""
import json
import subprocess
from pathlib import Path

import harness
from harness import BINARY, EndToEnd, connect, ok

CONF = Path(__file__).resolve().parents[2] / "conf"


def run(*arguments):
    done = subprocess.run([BINARY, "explain", *map(str, arguments)], capture_output=True, text=True, timeout=30,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def explained(file, url, *arguments):
    """The exit status, and the explanation."""
    code, output, errors = run("-c", file, url, *arguments, "--output", "json")
    if code not in (0, 1) or errors:
        raise AssertionError(f"{file} {url} {arguments}: {code} {errors}")
    return code, json.loads(output)


def failures(explanation, route):
    return [part["part"] for part in explanation["routes"][route - 1]["failed"]]


class Examples(EndToEnd):
    """What the files in conf/ do, as their comments say it."""

    def test_every_example_takes_a_request_somewhere(self):
        for file in sorted(CONF.glob("*.yaml")):
            with self.subTest(file.name):
                listener = {"sidecar.yaml": "inbound", "grpc.yaml": "internal"}.get(file.name, "web")
                code, explanation = explained(file, "http://localhost:8080/", "--listener", listener)
                self.assertEqual(code == 0, explanation["route"] is not None)
                self.assertEqual(explanation["listener"], listener)
                self.assertTrue(explanation["routes"])

    def test_the_api_by_path_and_header(self):
        for url, arguments, route, upstream, target in (
                ("/v1/users/7", (), 2, "readers", "/users/7"),
                ("/v1/users/7", ("-X", "POST"), 4, "api-v1", "/users/7"),
                ("/v1/things", ("-H", "x-api-version: 2.1"), 3, "api-v2", "/things"),
                ("/v1/things", ("-H", "X-Api-Version: 20"), 4, "api-v1", "/things"),
                ("/v2/x?preview=1&a=b", ("-H", "Cookie: a=b; staff=yes"), 5, "api-v2", "/preview/x?preview=1&a=b"),
                ("/v2/x?preview=1", ("-H", "Cookie: staff=no"), 6, "api-v2", "/x?preview=1"),
                ("/v1/../v2//x", (), 6, "api-v2", "/x"),
                ("/v1", (), 4, "api-v1", "/")):
            with self.subTest(url, arguments=arguments):
                code, explanation = explained(CONF / "api.yaml", url, *arguments)
                self.assertEqual(code, 0)
                self.assertEqual(explanation["route"], route)
                self.assertEqual(explanation["forwarded_target"], target)
                self.assertEqual([one["name"] for one in explanation["upstreams"]], [upstream])
        _, explanation = explained(CONF / "api.yaml", "/v2/x?preview=1", "-H", "Cookie: staff=no")
        self.assertEqual(failures(explanation, 5), ["cookies"])
        self.assertIn("`no`", explanation["routes"][4]["failed"][0]["message"])

    def test_the_api_redirects_answers_and_does_not_know_the_rest(self):
        _, explanation = explained(CONF / "api.yaml", "/docs/x")
        self.assertEqual((explanation["action"], explanation["status"], explanation["location"]),
                         ("redirect", 301, "https://docs.example.com/"))
        _, explanation = explained(CONF / "api.yaml", "/ping")
        self.assertEqual((explanation["action"], explanation["status"]), ("respond", 200))
        code, explanation = explained(CONF / "api.yaml", "/v3")
        self.assertEqual((code, explanation["route"], explanation["reason"]), (1, None, "no_route"))
        self.assertTrue(all(tried["failed"] for tried in explanation["routes"]))
        self.assertEqual(len(explanation["routes"]), 7)

    def test_the_canary_keeps_a_session_on_its_side(self):
        taken = []
        for session in range(200):
            _, explanation = explained(CONF / "canary.yaml", "/", "-H", f"Cookie: session={session}")
            taken.append([one["name"] for one in explanation["upstreams"] if one["taken"]])
        self.assertEqual(sorted({name for names in taken for name in names}), ["app", "app-canary"])
        self.assertTrue(all(len(names) == 1 for names in taken))
        self.assertTrue(8 <= taken.count(["app-canary"]) <= 35, taken.count(["app-canary"]))
        _, explanation = explained(CONF / "canary.yaml", "/")
        self.assertEqual([one["taken"] for one in explanation["upstreams"]], [None, None])
        self.assertEqual([one["weight"] for one in explanation["upstreams"]], [90, 10])
        _, explanation = explained(CONF / "canary.yaml", "/", "-H", "X-Canary: 1")
        self.assertEqual([one["name"] for one in explanation["upstreams"]], ["app-canary"])

    def test_the_shop_says_what_its_cookie_does(self):
        for cookie, state in ((None, "no_cookie"), ("x", "foreign_cookie"), ("0123456789abcdef", "backend_gone")):
            header = ("-H", f"Cookie: shop_backend={cookie}") if cookie else ()
            _, explanation = explained(CONF / "shop.yaml", "/basket", *header)
            self.assertEqual(explanation["upstreams"][0]["sticky"], state)
        backends = explanation["upstreams"][0]["backends"]
        self.assertEqual([backend["max_connections"] for backend in backends], [200, 200, 200])
        self.assertEqual([backend["backup"] for backend in backends], [False, False, True])
        code, explanation = explained(CONF / "shop.yaml", "/basket", "-X", "POST", "-H", "Content-Length: 70000")
        self.assertEqual((code, explanation["reason"]), (1, "body_too_large"))


class Questions(EndToEnd):
    def write(self, text, name="explain.yaml"):
        path = Path(self.folder) / name
        path.write_text(text)
        return path

    def two_listeners(self):
        return self.write("listeners:\n"
                          "  web: {listen: [\"127.0.0.1:8080\"], routes: [{upstream: app}]}\n"
                          "  inner: {listen: [\":9090\"], trusted_proxies: [10.0.0.0/8], routes: [\n"
                          "    {match: {host: \"*.example.com\"}, upstream: app}]}\n"
                          "upstreams: {app: {balance: ip_hash, backends: [\"127.0.0.1:1\"]}}\n")

    def test_the_port_chooses_the_listener(self):
        file = self.two_listeners()
        self.assertEqual(explained(file, "http://127.0.0.1:8080/")[1]["listener"], "web")
        self.assertEqual(explained(file, "http://a.example.com:9090/")[1]["listener"], "inner")
        self.assertEqual(explained(file, "/", "--listener", "web")[1]["listener"], "web")
        for arguments in (("/",), ("http://a.example.com/",), ("http://192.0.2.1:8080/",),
                          ("http://a:8080/", "--listener", "wep")):
            code, output, errors = run("-c", file, *arguments)
            self.assertEqual((code, output), (2, ""))
            self.assertIn("web, inner", errors)

    def test_the_host_may_come_from_the_url_or_a_header(self):
        file = self.two_listeners()
        self.assertEqual(explained(file, "http://a.example.com:9090/")[0], 0)
        self.assertEqual(explained(file, "http://x:9090/", "-H", "Host: A.Example.com.")[0], 0)
        code, explanation = explained(file, "http://x:9090/", "-H", "Host: example.com")
        self.assertEqual((code, failures(explanation, 1)), (1, ["host"]))

    def test_a_trusted_proxy_names_the_client(self):
        file = self.two_listeners()
        for peer, client in (("10.0.0.1", "192.0.2.9"), ("192.0.2.1", "192.0.2.1")):
            _, explanation = explained(file, "http://a.example.com:9090/", "--client", peer, "-H",
                                       "X-Forwarded-For: 192.0.2.9")
            self.assertEqual(explanation["request"]["client"], client)
            self.assertIn(client, explanation["upstreams"][0]["hashes"])
        self.assertNotIn("client", explained(file, "http://a.example.com:9090/")[1]["request"])

    def test_what_a_running_rondo_refuses_is_refused_here(self):
        file = self.two_listeners()
        for url, arguments, status, reason in (
                ("http://a:8080/%zz", (), 400, "path_bad_escape"),
                ("http://a:8080/../x", (), 400, "path_above_root"),
                ("http://a:8080/", ("-H", "Content-Length: 1", "-H", "Transfer-Encoding: chunked"), 400,
                 "content_length_and_transfer_encoding"),
                ("http://a:8080/", ("-H", "Host: a", "-H", "Host: b"), 400, None),
                ("http://a:8080/", ("-X", "TRACE", "-H", "Max-Forwards: 0"), 501, "max_forwards_reached"),
                ("http://a:8080/", ("-X", "CONNECT"), None, None),
                ("http://a:8080/", ("-H", "X: " + "y" * 40000), 431, None)):
            with self.subTest(url, arguments=arguments):
                code, explanation = explained(file, url, *arguments)
                self.assertEqual((code, explanation["action"]), (1, "refuse"))
                if status:
                    self.assertEqual(explanation["status"], status)
                if reason:
                    self.assertEqual(explanation["reason"], reason)

    def test_the_text_says_the_same_in_words(self):
        code, output, _ = run("-c", CONF / "api.yaml", "http://h/v1/a", "-H", "X-Api-Version: 3", "--client", "::1")
        self.assertEqual(code, 0)
        for words in ("listener      web on :8080", "the path is `/v1/a`, but must be `/ping`",
                      "the header `X-Api-Version` is `3`", "route 4 (", "matches", "forwarded to upstream api-v1",
                      "GET /a", "remove        request header X-Debug", "127.0.0.1:3001, weight 1", "::1"):
            self.assertIn(words, output)
        code, output, _ = run("-c", CONF / "api.yaml", "/no")
        self.assertEqual(code, 1)
        self.assertIn("answered with 404 Not Found (no_route)", output)

    def test_bad_usage_is_2_and_says_what_would_be_right(self):
        file = self.two_listeners()
        for arguments in ((), ("-c", file), ("/",), ("-c", file, "http://a:8080/", "-H", "nonsense"),
                          ("-c", file, "http://a:8080/", "-H", "a b: c"), ("-c", file, "http://a:99999/"),
                          ("-c", file, "http://user@a:8080/"), ("-c", file, "http://a:8080/a b"),
                          ("-c", file, "http://"), ("-c", file, "http://a:8080/", "--client", "nobody"),
                          ("-c", file, "http://a:8080/", "--method", "GET /"),
                          ("-c", file, "http://a:8080/", "-H", "X: a\r\nHost: b"),
                          ("-c", file, "http://a:8080/", "--output", "xml")):
            with self.subTest(arguments):
                code, output, errors = run(*arguments)
                self.assertEqual((code, output), (2, ""), errors)
                self.assertTrue(errors.strip())

    def test_errors_of_the_file_are_those_of_check(self):
        file = self.write("listeners: {web: {listen: [\":8080\"], routes: [{upstream: none}]}}\nupstreams: {}\n")
        code, output, errors = run("-c", file, "/")
        self.assertEqual((code, output), (1, ""))
        checked = subprocess.run([BINARY, "check", "-c", str(file)], capture_output=True, text=True, timeout=30,
                                 check=False)
        self.assertTrue(checked.stderr.startswith(errors), checked.stderr)
        self.assertEqual(run("-c", f"{self.folder}/missing.yaml", "/")[0], 1)

    def test_help_has_an_example(self):
        code, output, _ = run("--help")
        self.assertEqual(code, 0)
        self.assertIn("rondo explain -c", output)


class Running(EndToEnd):
    """The same configuration explained and run: both must take the same way."""

    def start(self):
        def answer(name):
            return lambda request: ok(f"{name} {request.target}".encode())

        self.a, self.b = self.backend(answer=answer("a")), self.backend(answer=answer("b"))
        config = f"""
listeners:
  web:
    listen: ["127.0.0.1:0"]
    routes:
      - match: {{path_prefix: /split}}
        upstreams: {{left: 50, right: 50}}
        split_by: cookie:user
      - match: {{path_prefix: /api, headers: {{X-Side: right}}}}
        upstream: right
        rewrite_prefix: /r/
      - match: {{path_prefix: /api}}
        upstream: left
        rewrite_prefix: /
      - match: {{path_prefix: /sticky}}
        upstream: both
upstreams:
  left: {{backends: ["{self.a.address}"]}}
  right: {{backends: ["{self.b.address}"]}}
  both: {{sticky: {{cookie: keep}}, backends: ["{self.a.address}", "{self.b.address}"]}}
"""
        self.file = Path(self.folder) / "same.yaml"
        self.file.write_text(config)
        self.program = self.rondo(config)
        self.names = {self.a.address: "a", self.b.address: "b"}

    def ask(self, target, **headers):
        client = connect(self.program.address())
        response = client.get(target, headers=list(headers.items()))
        client.close()
        return response

    def explain(self, target, **headers):
        arguments = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        return explained(self.file, target, *arguments)[1]

    def test_routes_splits_and_rewriting_agree(self):
        self.start()
        questions = [("/split/x", {"Cookie": f"user={number}"}) for number in range(20)]
        questions += [("/api/a//b?c=/api", {}), ("/api", {"X-Side": "right"}), ("/api/../api/./x", {"X-Side": "right"}),
                      ("//api/%61", {}), ("/api/x/..", {"X-Side": "left"})]
        for target, headers in questions:
            with self.subTest(target, headers=headers):
                explanation = self.explain(target, **headers)
                taken = [one for one in explanation["upstreams"] if one["taken"]]
                backend = taken[0]["backends"][0]["address"]
                self.assertEqual(self.ask(target, **headers).text(),
                                 f"{self.names[backend]} {explanation['forwarded_target']}")

    def test_the_cookie_of_a_running_rondo_is_understood(self):
        self.start()
        seen = set()
        for _ in range(4):
            response = self.ask("/sticky")
            pair = response.get("Set-Cookie").split(";")[0]
            explanation = self.explain("/sticky", Cookie=pair)["upstreams"][0]
            self.assertEqual(explanation["sticky"], "backend")
            name = self.names[explanation["sticky_backend"]]
            self.assertEqual(response.text(), f"{name} /sticky")
            self.assertEqual(self.ask("/sticky", Cookie=pair).text(), f"{name} /sticky")
            seen.add(name)
        self.assertEqual(seen, {"a", "b"})


class Edge(EndToEnd):
    """TLS, networks, limits and redirects."""

    CONFIG = """
listeners:
  web:
    listen: ["127.0.0.1:8080"]
    deny: [192.0.2.0/24]
    routes:
      - {match: {path: /admin}, allow: [10.0.0.0/8], upstream: app}
      - {match: {path: /old}, redirect: {to: "https://{host}{uri}", status: 301}}
      - {match: {path_prefix: /}, uri_bytes: 64B, rate_limit: {rate: 100/m, burst: 7, dry_run: true}, upstream: app}
upstreams:
  app: {backends: ["127.0.0.1:1"], send_proxy: v2, tls: {sni: app.internal}}
"""

    def setUp(self):
        super().setUp()
        self.file = Path(self.folder) / "edge.yaml"
        self.file.write_text(self.CONFIG)

    def test_who_is_denied_is_told_by_the_client(self):
        for url, client, action in (("/admin", "10.1.2.3", "forward"), ("/admin", "203.0.113.9", "refuse"),
                                    ("/", "192.0.2.7", "refuse"), ("/", "203.0.113.9", "forward")):
            with self.subTest(url, client=client):
                _, explanation = explained(self.file, url, "--client", client)
                self.assertEqual(explanation["action"], action)
                if action == "refuse":
                    self.assertEqual((explanation["status"], explanation["reason"]), (403, "denied"))
        self.assertEqual(explained(self.file, "/admin")[1]["action"], "forward")

    def test_a_target_that_is_too_long_and_where_a_redirect_leads(self):
        self.assertEqual(explained(self.file, "/?" + 100 * "x")[1]["status"], 414)
        _, explanation = explained(self.file, "http://www.example.com:8080/old?a=b")
        self.assertEqual(explanation["location"], "https://www.example.com/old?a=b")

    def test_limits_and_tls_are_shown(self):
        _, explanation = explained(self.file, "/")
        self.assertEqual(explanation["rate_limit"], {"rate": "100/m", "burst": 7, "dry_run": True})
        self.assertEqual((explanation["tls"], explanation["upstreams"][0]["tls"]), (False, True))
        text = run("-c", self.file, "/")[1]
        self.assertRegex(text, r"rate_limit +100/m for each client, 7 at once; only counted")
        self.assertRegex(text, r"tls +verified for app\.internal by the system's authorities")
        self.assertRegex(text, r"send_proxy +a PROXY header of version 2")

    def test_what_backends_speak_is_shown(self):
        self.file.write_text(self.CONFIG.replace("send_proxy: v2", "protocol: h2"))
        _, explanation = explained(self.file, "/")
        self.assertEqual(explanation["upstreams"][0]["protocol"], "h2")
        self.assertRegex(run("-c", self.file, "/")[1], r"protocol +HTTP/2\n")

    def test_credentials_are_not_shown(self):
        self.file.write_text(self.CONFIG.replace("rate_limit:", "set_request_headers: {X-Api-Key: sesame, X-Env: e2e}, rate_limit:"))
        _, explanation = explained(self.file, "/")
        self.assertEqual(explanation["request_headers"]["set"], {"X-Api-Key": "***", "X-Env": "e2e"})
        text = run("-c", self.file, "/")[1]
        self.assertNotIn("sesame", text)
        self.assertRegex(text, r"set +request header X-Api-Key: \*\*\*")


if __name__ == "__main__":
    harness.main()
