"""Which route takes a request, and what the route does to it."""
import threading
from collections import Counter

import harness
from harness import EndToEnd, indent, ok, one_route

STATUSES = (301, 302, 303, 307, 308)
WEBSOCKET = ("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def site(routes, **upstreams):
    """A listener `web` with these routes, and upstreams of one backend each."""
    text = f"listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n    routes:\n{indent(routes, 6)}"
    if upstreams:
        text += "upstreams:\n" + "".join(f"  {n}: {{backends: [\"{b.address}\"]}}\n" for n, b in upstreams.items())
    return text


def ask(client, text, host):
    """Sends "GET /path" and a header in each further line."""
    first, *headers = text.split("\n")
    client.send("\r\n".join([f"{first} HTTP/1.1", f"Host: {host}", *headers]) + "\r\n\r\n")
    return client.response(first.split(" ")[0])


class Matching(EndToEnd):
    def check(self, *cases):
        """Cases of what a route asks for, requests that it takes, and requests that it does not take."""
        routes = "".join(f"- match: {{host: h{n}.test, {match}}}\n  respond: {{status: 200}}\n"
                         for n, (match, _, _) in enumerate(cases))
        rondo = self.rondo(site(routes + "- respond: {status: 410}"))
        client = self.client(rondo)
        for n, (match, taken, passed) in enumerate(cases):
            for status, requests in ((200, taken), (410, passed)):
                for request in requests:
                    with self.subTest(match, request=request):
                        self.assertEqual(ask(client, request, f"h{n}.test").status, status)

    def test_a_path_regex_takes_whole_paths_in_their_normalised_form(self):
        self.check(
            ("path_regex: '/users/[0-9]+(/orders)?'",
             ["GET /users/7", "GET /users/7/orders", "GET /users/7?a=b", "GET //users//7", "GET /x/../users/%37",
              "GET /users/./7"],
             ["GET /users/", "GET /users/7/", "GET /users/x", "GET /a/users/7", "GET /users/7/orders/1"]),
            ("path_regex: '(?i)/shop'", ["GET /shop", "GET /SHOP"], ["GET /shops"]),
            ("path_regex: '/a%2Fb|/c%20d'", ["GET /a%2Fb", "GET /a%2fb", "GET /c%20d"], ["GET /a/b"]))

    def test_a_path_is_whole_and_a_prefix_ends_at_a_segment(self):
        self.check(
            ("path: /v1", ["GET /v1", "GET /v1?x", "GET /./v1", "GET /%76%31"], ["GET /v1/", "GET /v1/x", "GET /V1"]),
            ("path_prefix: /v1", ["GET /v1", "GET /v1/", "GET /v1/x", "GET //v1//x", "GET /v2/../v1/x"],
             ["GET /v1foo", "GET /", "GET /v1/../x", "GET /v1%2Fx", "GET /V1"]),
            ("path_prefix: /v1/", ["GET /v1/", "GET /v1/x"], ["GET /v1"]))

    def test_methods_are_compared_exactly_and_head_is_one_of_its_own(self):
        self.check(("method: [GET, PUT]", ["GET /", "PUT /\nContent-Length: 0"], ["HEAD /", "DELETE /", "get /"]),
                   ("method: HEAD", ["HEAD /"], ["GET /"]))

    def test_headers_by_name_in_any_case_and_by_value_exactly(self):
        self.check(
            ("headers: {X-Env: prod}", ["GET /\nX-Env: prod", "GET /\nx-ENV:  prod ", "GET /\nX-Env: dev\nX-Env: prod"],
             ["GET /", "GET /\nX-Env: Prod", "GET /\nX-Env: prod, dev", "GET /\nX-Env:"]),
            ("headers: {X-Env: {present: true}}", ["GET /\nX-Env:", "GET /\nX-Env: a"], ["GET /", "GET /\nX-Envy: a"]),
            ("headers: {X-Env: {present: false}}", ["GET /"], ["GET /\nX-Env:", "GET /\nx-env: a"]),
            ("headers: {X-Env: {prefix: pr}}", ["GET /\nX-Env: pr", "GET /\nX-Env: prod"], ["GET /\nX-Env: xpr"]),
            ("headers: {X-Env: {regex: 'p.*d'}}", ["GET /\nX-Env: pd", "GET /\nX-Env: p\xe9d"],
             ["GET /\nX-Env: prods"]),
            ("headers: {User-Agent: {regex: '.*curl.*'}}", ["GET /\nUser-Agent: a curl b"],
             ["GET /\nUser-Agent: wget"]))

    def test_cookies_by_name_and_value(self):
        self.check(
            ("cookies: {beta: '1'}", ["GET /\nCookie: beta=1", "GET /\nCookie: a=b; beta=1;c=d",
                                      "GET /\nCookie: a=b\nCookie: beta=1", "GET /\nCookie: beta=2; beta=1"],
             ["GET /", "GET /\nCookie: Beta=1", "GET /\nCookie: beta=\"1\"", "GET /\nCookie: xbeta=1", "GET /?beta=1"]),
            ("cookies: {beta: {present: true}}", ["GET /\nCookie: beta="], ["GET /\nCookie: beta"]),
            ("cookies: {beta: {present: false}}", ["GET /", "GET /\nCookie: a=beta"], ["GET /\nCookie: a=b; beta=x"]),
            ("cookies: {beta: {prefix: 'v2.'}}", ["GET /\nCookie: beta=v2.1"], ["GET /\nCookie: beta=v21"]),
            ("cookies: {beta: {regex: 'v[23]'}}", ["GET /\nCookie: beta=v3"], ["GET /\nCookie: beta=v33"]))

    def test_parameters_of_the_query_are_read_as_forms(self):
        self.check(
            ("query: {version: '2 beta'}", ["GET /?version=2+beta", "GET /?a=b&version=2%20beta",
                                            "GET /?%76ersion=2+beta", "GET /?version=1&version=2+beta"],
             ["GET /", "GET /?version=2", "GET /?Version=2+beta", "GET /?xversion=2+beta"]),
            ("query: {preview: {present: true}}", ["GET /?preview", "GET /?preview=", "GET /?a&preview=1"],
             ["GET /", "GET /?previews", "GET /?a=preview"]),
            ("query: {preview: {present: false}}", ["GET /", "GET /?previews"], ["GET /?preview"]),
            ("query: {version: {prefix: '2.'}}", ["GET /?version=2.1"], ["GET /?version=21"]),
            ("query: {version: {regex: '[0-9]+'}}", ["GET /?version=21", "GET /?version=x&version=1"],
             ["GET /?version=2a", "GET /?version="]),
            ("query: {a: 'x&y'}", ["GET /?a=x%26y"], ["GET /?a=x&y", "GET /?a=x%2526y"]),
            ("query: {a: '100%'}", ["GET /?a=100%", "GET /?a=100%25"], ["GET /?a=100"]))

    def test_all_that_is_named_must_hold(self):
        self.check(("method: GET, path_prefix: /a, headers: {X: '1'}, cookies: {c: '1'}, query: {q: '1'}",
                    ["GET /a?q=1\nX: 1\nCookie: c=1"],
                    ["POST /a?q=1\nX: 1\nCookie: c=1", "GET /b?q=1\nX: 1\nCookie: c=1", "GET /a?q=2\nX: 1\nCookie: c=1",
                     "GET /a?q=1\nX: 2\nCookie: c=1", "GET /a?q=1\nX: 1\nCookie: c=2"]))

    def test_the_first_route_that_matches_takes_the_request(self):
        client = self.client(self.rondo(site(
            "- match: {path_prefix: /a, headers: {X: {present: true}}}\n  respond: {status: 201}\n"
            "- match: {path: /a/b}\n  respond: {status: 202}\n"
            "- match: {path_regex: '/a/.*'}\n  respond: {status: 203}\n"
            "- match: {path_prefix: /a}\n  respond: {status: 206}\n"
            "- match: {path: /a/c}\n  respond: {status: 500}\n")))
        for request, status in (("GET /a/b\nX: 1", 201), ("GET /a/b", 202), ("GET /a/c", 203), ("GET /a", 206),
                                ("GET /", 404)):
            with self.subTest(request):
                self.assertEqual(ask(client, request, "x").status, status)

    def test_hosts_are_found_without_port_and_case(self):
        client = self.client(self.rondo(site(
            "- match: {host: api.test}\n  respond: {status: 201}\n"
            "- match: {host: '*.api.test'}\n  respond: {status: 202}\n")))
        for host, status in (("api.test", 201), ("API.Test:8080", 201), ("api.test.", 201), ("a.api.test", 202),
                             ("a.b.api.test:1", 202), ("xapi.test", 404), ("api.test.x", 404)):
            with self.subTest(host):
                self.assertEqual(ask(client, "GET /", host).status, status)

    def test_no_route_is_a_404_with_its_reason(self):
        response = self.get(self.rondo(site("- match: {path: /a}\n  respond: {status: 200}")), "/b")
        self.assertEqual((response.status, response.reason()), (404, "no_route"))

    def test_a_path_that_could_get_around_a_route_is_refused(self):
        client = self.client(self.rondo(site("- respond: {status: 200}")))
        for target, reason in (("/a%00", "path_nul"), ("/a\\b", "path_backslash"), ("/a%5Cb", "path_backslash"),
                               ("/a/../../b", "path_above_root"), ("/%2e%2e/b", "path_above_root"),
                               ("/a%zz", "path_bad_escape")):
            with self.subTest(target):
                response = client.get(target)
                self.assertEqual((response.status, response.reason()), (400, reason))

    def test_an_evil_regex_takes_no_longer_than_another(self):
        # (a+)+$ and its kin take a backtracking matcher longer than the universe for this path.
        rondo = self.rondo(site("- match: {path_regex: '/(a+)+(a|aa)*b', query: {q: {regex: '(x*)*y'}}}\n"
                                "  respond: {status: 201}\n- respond: {status: 200}"))
        client = self.client(rondo)
        for _ in range(20):
            self.assertEqual(client.get("/" + "a" * 8000 + "c?q=" + "x" * 8000).status, 200)
        self.assertEqual(client.get("/" + "a" * 8000 + "b?q=" + "x" * 8000 + "y").status, 201)


class Redirects(EndToEnd):
    def start(self, **options):
        routes = "".join(f"- match: {{path_prefix: /{s}}}\n"
                         f"  redirect: {{to: \"https://new.test/?a={s}\", status: {s}}}\n" for s in STATUSES)
        routes += "- match: {path: /short}\n  redirect: {to: /long}\n"
        return self.rondo(site(routes), **options)

    def test_each_status_leads_to_the_place_as_it_is_written(self):
        client = self.client(self.start())
        for status in STATUSES:
            response = client.get(f"/{status}/x?y=z")
            self.assertEqual((response.status, response.all("Location")), (status, [f"https://new.test/?a={status}"]))
            self.assertEqual((response.get("Content-Length"), response.body), ("0", b""))
        response = client.get("/short")
        self.assertEqual((response.status, response.get("Location")), (302, "/long"))

    def test_head_and_post_are_sent_there_too_and_the_connection_lives_on(self):
        client = self.client(self.start())
        self.assertEqual(client.request("HEAD", "/301").response("HEAD").status, 301)
        client.send("POST /308 HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\nall of the body")
        self.assertEqual(client.response().status, 308)
        self.assertEqual(client.get("/302").status, 302)

    def test_a_body_that_is_still_on_its_way_ends_the_connection_behind_the_answer(self):
        client = self.client(self.start())
        client.send("POST /303 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        response = client.response()
        self.assertEqual((response.status, response.get("Connection")), (303, "close"))
        self.assertTrue(client.half_close().ended())

    def test_a_client_that_asks_before_it_sends_is_not_asked_to_go_on(self):
        client = self.client(self.start())
        client.send("POST /307 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        response = client.response()
        self.assertEqual((response.status, response.interim), (307, []))


class Rewriting(EndToEnd):
    CASES = {
        "/": [("/v1", "/"), ("/v1/", "/"), ("/v1/users", "/users"), ("/v1/users?a=/v1/b", "/users?a=/v1/b"),
              ("/v1?x", "/?x"), ("/v1/a%2Fb%20c", "/a%2Fb%20c"), ("/v1/a%2fb", "/a%2fb"), ("/v1/%61", "/%61"),
              # Where the prefix does not stand there as it is written, the normalised path is cut.
              ("//v1/x", "/x"), ("/%76%31/a", "/a"), ("/./v1/a", "/a"), ("/x/../v1/a", "/a"), ("/v1/../v1/a", "/a"),
              # What is behind it must not come to mean something else.
              ("/v1//evil.test/x", "/evil.test/x"), ("/v1/a/../b", "/b"), ("/v1/%2e%2e/v1/b", "/b"), ("/v1/.", "/"),
              ("/v1/a//b", "/a//b")],
        "/app/": [("/v1", "/app/"), ("/v1/", "/app/"), ("/v1/users", "/app/users")],
        "/app": [("/v1", "/app"), ("/v1/", "/app/"), ("/v1/users?q", "/app/users?q")],
    }

    def test_the_prefix_is_replaced_and_the_rest_stays_as_it_came(self):
        for replacement, cases in self.CASES.items():
            backend = self.backend()
            rondo = self.rondo(one_route(backend.address,
                                         route=f"match: {{path_prefix: /v1}}\nrewrite_prefix: {replacement}"))
            client = self.client(rondo)
            for sent, wanted in cases:
                with self.subTest(sent, rewrite_prefix=replacement):
                    self.assertEqual(client.get(sent).text(), wanted)

    def test_no_spelling_reaches_a_path_outside_of_the_route(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address,
                                                  route="match: {path_prefix: /v1}\nrewrite_prefix: /public")))
        for sent in ("/v1/../admin", "/v1/%2e%2e/admin", "/v1/./../admin", "/v1/x/../../admin", "/v1/.%2E/admin"):
            with self.subTest(sent):
                self.assertEqual(client.get(sent).status, 404)
        for sent in ("/v1/..", "/v1/%2e%2e"):
            self.assertEqual(client.get(sent).status, 404)
        self.assertEqual(backend.requests, [])

    def test_the_log_has_what_the_client_sent(self):
        log = f"{self.folder}/access.log"
        route = "match: {path_prefix: /v1}\nrewrite_prefix: /\nremove_request_headers: [User-Agent]"
        self.get(self.rondo(one_route(self.backend().address, route=route), access=log), "/v1/x?y",
                 headers={"User-Agent": "mine"})
        record = self.access_lines(log, 1)[0]
        self.assertEqual((record["target"], record["user_agent"]), ("/v1/x?y", "mine"))

    def test_without_a_rewrite_the_target_passes_as_it_came(self):
        client = self.client(self.rondo(one_route(self.backend().address)))
        for target in ("//a/./b/../c%2f%41?x=%zz", "/a/%2e%2e/b", "/?", "/a?b?c"):
            with self.subTest(target):
                self.assertEqual(client.get(target).text(), target)


EDITS = """set_request_headers: {X-Env: prod, X-Forwarded-Proto: https, Authorization: Basic abc}
remove_request_headers: [X-Debug, User-Agent, X-Real-IP]
set_response_headers: {Cache-Control: private, X-Served-By: rondo}
remove_response_headers: [Server, X-Powered-By, Set-Cookie]"""
CHATTY = ("Server: old\r\nX-Powered-By: x\r\n"
          "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nCache-Control: no-store\r\nETag: 1\r\n")


class Headers(EndToEnd):
    def check_response(self, response):
        for name in ("Server", "X-Powered-By", "Set-Cookie"):
            self.assertEqual(response.all(name), [], name)
        self.assertEqual((response.all("Cache-Control"), response.all("X-Served-By")), (["private"], ["rondo"]))

    def test_fields_of_requests_are_replaced_and_removed(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address, route=EDITS)))
        client.get(headers=[("x-env", "a"), ("X-ENV", "b"), ("X-Debug", "1"), ("x-debug", "2"), ("User-Agent", "u"),
                            ("Authorization", "Bearer mine"), ("Accept", "*/*")])
        request = backend.requests[0]
        self.assertEqual([request.all(n) for n in ("X-Env", "X-Forwarded-Proto", "Authorization", "Accept")],
                         [["prod"], ["https"], ["Basic abc"], ["*/*"]])
        for name in ("X-Debug", "User-Agent", "X-Real-IP"):
            self.assertEqual(request.all(name), [], name)
        self.assertEqual(request.all("X-Forwarded-For"), ["127.0.0.1"], "what is not named is as ever")

    def test_fields_of_responses_are_replaced_and_removed(self):
        backend = self.backend(answer=lambda r: ok("x", CHATTY))
        response = self.get(self.rondo(one_route(backend.address, route=EDITS)))
        self.check_response(response)
        self.assertEqual((response.get("ETag"), response.text()), ("1", "x"))

    def test_also_on_a_head_a_304_and_an_error_of_the_backend(self):
        answers = {"HEAD": f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{CHATTY}\r\n".encode(),
                   "GET": f"HTTP/1.1 304 Not Modified\r\n{CHATTY}\r\n".encode(),
                   "DELETE": ok("broken", CHATTY, "500 Internal Server Error")}
        backend = self.backend(answer=lambda r: answers[r.method])
        client = self.client(self.rondo(one_route(backend.address, route=EDITS)))
        for method, status in (("HEAD", 200), ("GET", 304), ("DELETE", 500)):
            with self.subTest(method):
                response = client.request(method, "/").response(method)
                self.assertEqual(response.status, status)
                self.check_response(response)

    def test_also_on_a_101(self):
        def serve(connection):
            connection.head()
            connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"{CHATTY}\r\n")
            connection.send(connection.take(4))
        backend = self.backend(serve)
        client = self.client(self.rondo(one_route(backend.address, route=f"{EDITS}\nupgrades: [websocket]")))
        client.send(WEBSOCKET)
        response = client.response()
        self.assertEqual((response.status, response.get("Upgrade"), response.get("Connection").lower()),
                         (101, "websocket", "upgrade"))
        self.check_response(response)
        self.assertEqual(client.send("ping").take(4), b"ping")
        self.assertEqual(backend.requests[0].all("X-Env"), ["prod"])

    def test_interim_answers_lose_what_is_removed_and_gain_nothing(self):
        def serve(connection):
            connection.request()
            connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nServer: old\r\nX-Powered-By: x\r\n\r\n")
            connection.send(ok("x", CHATTY))
            connection.rest()
        response = self.get(self.rondo(one_route(self.backend(serve).address, route=EDITS)))
        self.check_response(response)
        hints = response.interim[0]
        self.assertEqual((hints.status, hints.headers), (103, [("Link", "</a>")]))

    def test_answers_of_the_route_itself_take_them_and_errors_of_rondo_do_not(self):
        client = self.client(self.rondo(site(
            "- match: {path: /fixed}\n  respond: {body: x}\n"
            "  set_response_headers: {X-A: '1', Content-Type: text/css}\n"
            "- match: {path: /away}\n  redirect: {to: /b}\n  set_response_headers: {X-A: '2'}\n")))
        fixed = client.get("/fixed")
        self.assertEqual((fixed.all("X-A"), fixed.all("Content-Type"), fixed.text()), (["1"], ["text/css"], "x"))
        away = client.get("/away")
        self.assertEqual((away.all("X-A"), away.get("Location")), (["2"], "/b"))
        self.assertEqual(client.get("/none").all("X-A"), [])


class Splits(EndToEnd):
    def start(self, split="{a: 90, b: 10}", by="", listener="", **options):
        backends = {n: self.backend(answer=lambda r, n=n: ok(n)) for n in "abc"}
        return self.rondo(site(f"- upstreams: {split}\n{indent(by, 2)}", **backends).replace(
            "    routes:", f"{indent(listener, 4)}    routes:"), **options)

    def test_requests_are_shared_out_by_weight(self):
        client = self.client(self.start())
        shares = Counter(client.get().text() for _ in range(1000))
        # 100 +- 5 standard deviations of 9.5.
        self.assertTrue(52 <= shares["b"] <= 148 and shares["a"] + shares["b"] == 1000, shares)

    def test_a_weight_of_zero_takes_none(self):
        client = self.client(self.start("{a: 1, b: 0}"))
        self.assertEqual({client.get().text() for _ in range(100)}, {"a"})

    def picks(self, rondo, headers):
        client = self.client(rondo)
        return [client.get(headers=h).text() for h in headers]

    def test_by_cookie_a_session_stays_whatever_the_worker_and_the_process(self):
        headers = [{"Cookie": f"x=y; session=s{n}"} for n in range(200)]
        first = self.start(by="split_by: cookie:session", workers=4)
        taken = self.picks(first, headers)
        self.assertTrue(4 <= taken.count("b") <= 42, taken.count("b"))
        self.assertEqual(self.picks(first, headers), taken)
        self.assertEqual(self.picks(self.start(by="split_by: cookie:session"), headers), taken)

    def test_more_weight_for_the_last_takes_no_session_from_it(self):
        headers = [{"Cookie": f"session=s{n}"} for n in range(200)]
        small, large = (self.picks(self.start(split, by="split_by: cookie:session"), headers)
                        for split in ("{a: 90, b: 10}", "{a: 70, b: 30}"))
        self.assertGreater(large.count("b"), small.count("b"))
        self.assertTrue(all(after == "b" for before, after in zip(small, large) if before == "b"))

    def test_without_the_cookie_each_request_is_by_itself(self):
        rondo = self.start("{a: 50, b: 50}", by="split_by: cookie:session")
        self.assertEqual(set(self.picks(rondo, [{}] * 60)), {"a", "b"})

    def test_by_header_and_by_client(self):
        rondo = self.start("{a: 50, b: 50}", by="split_by: header:X-User")
        for user in range(10):
            self.assertEqual(len(set(self.picks(rondo, [{"x-user": f"u{user}"}] * 5))), 1)
        self.assertEqual(len(set(self.picks(rondo, [{"X-User": f"u{n}"} for n in range(60)]))), 2)
        rondo = self.start("{a: 50, b: 50}", by="split_by: client_ip")
        taken = {}
        for number in list(range(2, 42)) * 2:
            client = self.client(rondo, source=f"127.0.0.{number}")
            taken.setdefault(number, set()).add(client.get().text())
            client.close()
        self.assertTrue(all(len(picks) == 1 for picks in taken.values()))
        self.assertEqual(set.union(*taken.values()), {"a", "b"})

    def test_by_the_request_id_of_a_trusted_peer_a_repetition_goes_the_same_way(self):
        rondo = self.start("{a: 50, b: 50}", listener="trusted_proxies: [127.0.0.1]")
        for number in range(10):
            self.assertEqual(len(set(self.picks(rondo, [{"X-Request-Id": f"id-{number}"}] * 5))), 1)


class RouteTimeouts(EndToEnd):
    def hang(self, connection):
        connection.request()
        connection.rest()

    def test_a_route_has_a_response_timeout_of_its_own(self):
        backend = self.backend(self.hang)
        rondo = self.rondo(one_route(backend.address, route="timeout: 300ms"))
        response = self.get(rondo)
        self.assertEqual((response.status, response.reason()), (504, "response_timeout"))
        backend.wait_for(lambda: backend.closed == backend.connections, "the hanging connection is closed")

    def test_it_may_also_be_longer_than_that_of_the_upstream(self):
        go = threading.Event()

        def serve(connection):
            connection.request()
            go.wait(0.6)
            connection.send(ok("late"))
            connection.rest()
        rondo = self.rondo(one_route(self.backend(serve).address, route="timeout: 20s",
                                     upstream="timeouts: {response: 200ms}"))
        self.assertEqual(self.get(rondo).text(), "late")

    def test_an_interim_answer_is_no_answer(self):
        stop = threading.Event()

        def serve(connection):
            connection.request()
            while not stop.wait(0.05):
                connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        rondo = self.rondo(one_route(self.backend(serve).address, route="timeout: 400ms"))
        response = self.get(rondo)
        stop.set()
        self.assertEqual((response.status, response.reason()), (504, "response_timeout"))
        self.assertGreater(len(response.interim), 0)

    def test_the_whole_exchange_has_a_total(self):
        backend = self.backend(self.hang)
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(backend.address, route="timeout_total: 300ms"), access=log)
        response = self.get(rondo)
        self.assertEqual((response.status, response.reason()), (504, "total_timeout"))
        record = self.access_lines(log, 1)[0]
        self.assertEqual((record["reason"], record["retries"], len(backend.requests)), ("total_timeout", 0, 1))

    def test_a_body_that_drips_beyond_the_total_is_cut_and_not_ended(self):
        stop = threading.Event()

        def serve(connection):
            connection.request()
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not stop.wait(0.05):
                connection.send("1\r\nx\r\n")
        log = f"{self.folder}/access.log"
        backend = self.backend(serve)
        rondo = self.rondo(one_route(backend.address, route="timeout_total: 500ms"), access=log)
        client = self.client(rondo).request()
        received = client.rest()
        stop.set()
        self.assertIn(b"1\r\nx\r\n", received)
        self.assertFalse(received.endswith(b"0\r\n\r\n"), "a client must see that this is not all")
        self.assertEqual(self.access_lines(log, 1)[0]["reason"], "total_timeout")
        self.assertEqual(len(backend.requests), 1)

    def test_an_upload_that_drips_beyond_the_total_is_a_504(self):
        def serve(connection):
            connection.head()
            connection.rest()
        client = self.client(self.rondo(one_route(self.backend(serve).address, route="timeout_total: 300ms")))
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow")
        response = client.response()
        self.assertEqual((response.status, response.reason()), (504, "total_timeout"))

    def test_the_total_does_not_reach_the_next_request_nor_a_tunnel(self):
        def serve(connection):
            while True:
                request = connection.request()
                if request.get("Upgrade") is None:
                    connection.send(ok("x"))
                    continue
                connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                connection.send(connection.take(4))
        client = self.client(self.rondo(one_route(self.backend(serve).address,
                                                  route="timeout_total: 1s\nupgrades: [websocket]")))
        pause = threading.Event()
        for _ in range(3):
            self.assertEqual(client.get().status, 200)
            pause.wait(0.4)
        client.send(WEBSOCKET)
        self.assertEqual(client.response().status, 101)
        pause.wait(1.2)
        self.assertEqual(client.send("ping").take(4), b"ping")


class BodyLimits(EndToEnd):
    def start(self):
        backend = self.backend(answer=lambda r: ok(str(len(r.body))))
        return self.rondo("limits: {body_bytes: 100}\n" + site(
            "- match: {path: /small}\n  upstream: app\n  body_bytes: 10\n"
            "- match: {path: /large}\n  upstream: app\n  body_bytes: 1KiB\n"
            "- match: {path: /any}\n  upstream: app\n  body_bytes: 0\n"
            "- upstream: app\n", app=backend))

    def test_a_route_overrides_the_limit_in_both_directions(self):
        rondo = self.start()
        for path, fits in (("/small", 10), ("/", 100), ("/large", 1024)):
            for chunked in (False, True):
                with self.subTest(path, chunked=chunked):
                    self.assertEqual(self.post(rondo, path, fits, chunked).text(), str(fits))
                    response = self.post(rondo, path, fits + 1, chunked)
                    self.assertEqual((response.status, response.reason()), (413, "body_too_large"))
        self.assertEqual(self.post(rondo, "/any", 200000, False).text(), "200000")

    def post(self, rondo, path, size, chunked):
        client = self.client(rondo)
        if not chunked:
            return client.request("POST", path, body=b"x" * size).response()
        client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(f"{size:x}\r\n{'x' * size}\r\n0\r\n\r\n")
        return client.response()


if __name__ == "__main__":
    harness.main()
