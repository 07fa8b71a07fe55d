"""Clients that mean harm or just vanish: no crash, no leak, nobody else is hurt."""
import os
import random

import harness
from harness import EndToEnd, one_route

SEED = int(os.environ.get("RONDO_E2E_SEED", "1"))


class Abuse(EndToEnd):
    def test_random_bytes_get_an_error_or_a_close_and_harm_nobody(self):
        backend = self.backend()
        rondo = self.rondo(one_route(backend.address, top="timeouts: {request_header: 2s}"), workers=2)
        rng = random.Random(SEED)
        steady = self.client(rondo)
        for _ in range(300):
            client = self.client(rondo)
            start = rng.choice([b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
            try:
                client.send(start + rng.randbytes(rng.randrange(400)))
                if rng.random() < 0.5:
                    client.half_close()
                    client.rest()
            except OSError:
                pass  # Rondo has closed already
            if rng.random() < 0.3:
                client.reset()
            else:
                client.close()
        self.assertEqual(steady.get().status, 200)
        self.check_alive(rondo)

    def test_a_client_that_vanishes_at_any_byte_of_its_request_harms_nobody(self):
        request = (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n")
        rondo = self.rondo(one_route(self.backend().address), workers=2)
        for size in range(len(request) + 1):
            for how in ("close", "reset"):
                client = self.client(rondo)
                client.send(request[:size])
                getattr(client, how)()
        self.check_alive(rondo)
        harness.eventually(lambda: rondo.descriptors() < 60, "their connections are closed")

    def test_a_client_that_vanishes_in_the_middle_of_the_answer_frees_the_backend(self):
        echo = self.echo()
        rondo = self.rondo(one_route(echo.address))
        for how in ("close", "reset") * 5:
            client = self.client(rondo)
            client.request("GET", "/bytes/50000000")
            client.take(100000)
            getattr(client, how)()
        self.check_alive(rondo, "/bytes/10")
        harness.eventually(lambda: rondo.descriptors() < 30, "their connections are closed on both sides")

    def test_slow_heads_by_the_hundred_do_not_stop_others_and_are_ended(self):
        rondo = self.rondo(one_route(self.backend().address, top="timeouts: {request_header: 1s}"))
        slow = [self.client(rondo) for _ in range(300)]
        for client in slow:
            client.send("GET / HTTP/1.1\r\nHost: x\r\nA: ")
        for _ in range(50):
            self.assertEqual(self.get(rondo).status, 200)
        for client in slow:
            self.assertEqual(client.response().status, 408)
            self.assertTrue(client.ended())

    def test_connections_over_the_limit_are_closed_and_those_within_are_served(self):
        rondo = self.rondo(one_route(self.backend().address, top="limits: {connections: 5}"))
        standing = [self.client(rondo) for _ in range(5)]
        for client in standing:
            self.assertEqual(client.get().status, 200)
        extra = self.client(rondo)
        extra.request()
        self.assertTrue(extra.ended())
        for client in standing:
            self.assertEqual(client.get().status, 200)
        standing.pop().close()
        harness.eventually(lambda: self._served(rondo), "a free place is used")

    def _served(self, rondo):
        try:
            return self.get(rondo).status == 200
        except (EOFError, OSError):
            return False

    def test_a_thousand_idle_connections_beside_active_ones_do_no_harm(self):
        rondo = self.rondo(one_route(self.backend().address), workers=2)
        idle = [self.client(rondo) for _ in range(1000)]
        for client in idle:
            self.assertEqual(client.get().status, 200)
        active = self.client(rondo)
        for _ in range(200):
            self.assertEqual(active.get().status, 200)
        for client in idle[::50]:
            self.assertEqual(client.get().status, 200)

    def test_pipelining_without_reading_is_held_back(self):
        echo = self.echo()
        rondo = self.rondo(one_route(echo.address))
        self.get(rondo, "/bytes/100000")
        before = rondo.rss_bytes()
        client = self.client(rondo)
        client.sock.settimeout(0.5)
        sent, request = 0, b"GET /bytes/100000 HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        try:
            while sent < 64 << 20:
                sent += client.sock.send(request)
        except TimeoutError:
            pass
        self.assertLess(sent, 64 << 20, "requests are not taken without end while no answer is read")
        self.assertLess(rondo.rss_bytes() - before, harness.MEMORY_ROOM)
        client.reset()
        self.check_alive(rondo, "/bytes/10")


if __name__ == "__main__":
    harness.main()
