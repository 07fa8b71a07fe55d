"""Stickiness: a client stays on its backend by a cookie, and gets another where that is gone."""
import itertools
import threading

import harness
from harness import EndToEnd, ok, one_route

STICKY = "sticky: {cookie: seat, ttl: 1h}"


class Sticky(EndToEnd):
    logs = itertools.count()

    def named(self, count, **options):
        return [self.backend(answer=lambda r, n=n: ok(str(n), **options)) for n in range(count)]

    def start(self, backends, upstream=STICKY, **options):
        self.log = f"{self.folder}/access-{next(self.logs)}.log"
        return self.rondo(one_route(*[b if isinstance(b, str) else b.address for b in backends], upstream=upstream),
                          access=self.log, **options)

    def outcomes(self, count):
        """What the access log of the Rondo that was started last says of each request's stickiness."""
        return [record.get("sticky") for record in self.access_lines(self.log, count)]

    def first(self, client):
        """A first request: which backend it got, and the cookie that leads back there."""
        response = client.get()
        return response.text(), response.get("Set-Cookie").split(";")[0]

    def test_the_cookie_is_set_once_and_leads_back(self):
        rondo = self.start(self.named(5), workers=4)
        owner, cookie = self.first(self.client(rondo))
        for _ in range(20):  # over connections of their own, so that all workers are asked
            response = self.get(rondo, headers={"Cookie": cookie})
            self.assertEqual((response.text(), response.all("Set-Cookie")), (owner, []))
        # Each worker writes its lines by itself, so their order says nothing.
        self.assertEqual(sorted(self.outcomes(21)), ["kept"] * 20 + ["new"])

    def test_its_attributes_keep_it_from_scripts_and_other_sites(self):
        client = self.client(self.start(self.named(1)))
        self.assertRegex(client.get().get("Set-Cookie"),
                         r"^seat=[0-9a-f]{16}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax$")

    def test_without_a_ttl_it_lives_as_long_as_the_browser(self):
        client = self.client(self.start(self.named(1), "sticky: {ttl: 0s}"))
        self.assertRegex(client.get().get("Set-Cookie"),
                         r"^rondo_backend=[0-9a-f]{16}; Path=/; HttpOnly; SameSite=Lax$")

    def test_its_value_is_the_same_in_every_process(self):
        backends = self.named(2)
        seen = []
        for _ in range(2):
            client = self.client(self.start(backends))
            seen.append(dict(self.first(client) for _ in range(4)))
        self.assertEqual(len(seen[0]), 2)
        self.assertEqual(seen[0], seen[1])

    def test_the_cookies_of_the_backend_itself_pass_beside_it(self):
        client = self.client(self.start(self.named(1, headers="Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n")))
        cookies = client.get().all("Set-Cookie")
        self.assertEqual(cookies[:2], ["a=b", "c=d"])
        self.assertTrue(len(cookies) == 3 and cookies[2].startswith("seat="))

    def test_a_route_that_removes_cookies_removes_those_of_the_backend(self):
        backend = self.named(1, headers="Set-Cookie: a=b\r\n")[0]
        rondo = self.rondo(one_route(backend.address, upstream=STICKY, route="remove_response_headers: [Set-Cookie]"))
        cookies = self.get(rondo).all("Set-Cookie")
        self.assertTrue(len(cookies) == 1 and cookies[0].startswith("seat="), cookies)

    def test_backends_do_not_see_it(self):
        backend = self.backend()
        client = self.client(self.start([backend]))
        _, cookie = self.first(client)
        for sent, seen in ((cookie, []), (f"a=b; {cookie}; c=d", ["a=b; c=d"]), (f"{cookie};a=b", ["a=b"]),
                           (f"xseat=1; {cookie}", ["xseat=1"]), ("a=b", ["a=b"])):
            with self.subTest(sent):
                client.get(headers={"Cookie": sent})
                self.assertEqual(backend.requests[-1].all("Cookie"), seen)

    def test_a_client_moves_when_its_backend_is_gone_and_the_log_says_so(self):
        backends = self.named(3)
        rondo = self.start(backends)
        client = self.client(rondo)
        owner, cookie = self.first(client)
        backends[int(owner)].stop()
        response = client.get(headers={"Cookie": cookie})
        self.assertEqual(response.status, 200)
        self.assertNotEqual(response.text(), owner)
        moved = response.get("Set-Cookie").split(";")[0]
        self.assertNotEqual(moved, cookie)
        self.assertEqual(client.get(headers={"Cookie": moved}).text(), response.text())
        self.assertEqual(self.outcomes(3), ["new", "moved", "kept"])

    def test_a_cookie_of_a_backend_that_left_the_file_is_replaced(self):
        old = self.named(1)
        _, cookie = self.first(self.client(self.start(old)))
        client = self.client(self.start(self.named(1)))
        response = client.get(headers={"Cookie": cookie})
        self.assertNotIn(response.get("Set-Cookie").split(";")[0], (None, cookie))
        self.assertEqual(self.outcomes(1), ["moved"])

    def test_what_is_no_cookie_of_ours_counts_as_none(self):
        client = self.client(self.start(self.named(2)))
        bad = ["seat=", "seat=1", "seat=" + "g" * 16, "seat=" + "0" * 17, "seat=" + "A" * 16, "Seat=" + "0" * 16]
        for sent in bad:
            with self.subTest(sent):
                self.assertRegex(client.get(headers={"Cookie": sent}).get("Set-Cookie"), "^seat=[0-9a-f]{16};")
        self.assertEqual(self.outcomes(len(bad)), ["new"] * len(bad))

    def test_it_holds_under_every_policy(self):
        for policy in ("round_robin", "least_connections", "ip_hash", "consistent_hash", "random_two", "peak_ewma"):
            with self.subTest(policy):
                backends = self.named(3)
                client = self.client(self.start(backends, f"balance: {policy}\n{STICKY}"))
                cookies = {}
                # Each backend's cookie, whichever the policy would take: by taking the others away.
                for number, backend in enumerate(backends):
                    alone = self.client(self.start([backend], STICKY))
                    cookies[str(number)] = self.first(alone)[1]
                for owner, cookie in list(cookies.items()) * 3:
                    self.assertEqual(client.get(headers={"Cookie": cookie}).text(), owner)

    def test_it_leads_to_a_backup_while_that_is_there(self):
        primary, backup = self.named(2)
        client = self.client(self.start([primary, f"{{address: \"{backup.address}\", backup: true}}"]))
        cookie = self.first(self.client(self.start([backup])))[1]
        response = client.get(headers={"Cookie": cookie})
        self.assertEqual((response.text(), response.all("Set-Cookie")), ("1", []))

    def test_a_full_backend_lends_its_clients_out_and_keeps_them(self):
        go = threading.Event()

        def slow(connection):
            while True:
                if connection.request().target == "/slow":
                    go.wait(harness.DEADLINE)
                connection.send(ok("own"))
        own = self.backend(slow)
        other = self.backend(answer=lambda r: ok("other"))
        cookie = self.first(self.client(self.start([own])))[1]
        rondo = self.start([f"{{address: \"{own.address}\", max_connections: 1}}", other])
        busy = self.client(rondo).request("GET", "/slow", headers={"Cookie": cookie})
        own.wait_requests(2)
        response = self.get(rondo, headers={"Cookie": cookie})
        self.assertEqual((response.text(), response.all("Set-Cookie")), ("other", []))
        go.set()
        self.assertEqual(busy.response().text(), "own")
        self.assertEqual(self.get(rondo, headers={"Cookie": cookie}).text(), "own")
        self.assertEqual(sorted(self.outcomes(3)), ["kept", "kept", "overflowed"])

    def test_a_websocket_is_set_on_its_backend_too(self):
        def serve(connection):
            connection.head()
            connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            connection.rest()
        backend = self.backend(serve)
        rondo = self.rondo(one_route(backend.address, upstream=STICKY, route="upgrades: [websocket]"))
        client = self.client(rondo)
        client.request(headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        response = client.response()
        self.assertEqual(response.status, 101)
        self.assertRegex(response.get("Set-Cookie"), "^seat=[0-9a-f]{16};")


if __name__ == "__main__":
    harness.main()
