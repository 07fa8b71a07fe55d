"""Which backend gets a request."""
import threading
from collections import Counter

import harness
from harness import EndToEnd, ok, one_route, refused_address


class Balance(EndToEnd):
    def named(self, count):
        return [self.backend(answer=lambda r, n=n: ok(str(n))) for n in range(count)]

    def picks(self, rondo, count):
        client = self.client(rondo)
        return [client.get().text() for _ in range(count)]

    def test_round_robin_follows_the_weights_smoothly(self):
        a, b, c = self.named(3)
        rondo = self.rondo(one_route(f"{{address: \"{a.address}\", weight: 5}}", b.address, c.address))
        picks = self.picks(rondo, 14)
        self.assertEqual(Counter(picks), {"0": 10, "1": 2, "2": 2})
        self.assertNotIn("00000", "".join(picks[:7]), "five in a row is not smooth")

    def test_backups_are_used_only_while_nobody_else_is_there(self):
        a, spare = self.named(2)
        rondo = self.rondo(one_route(a.address, f"{{address: \"{spare.address}\", backup: true}}"))
        self.assertEqual(set(self.picks(rondo, 10)), {"0"})
        a.stop()
        self.assertEqual(set(self.picks(rondo, 10)), {"1"})

    def test_least_connections_counts_over_all_workers(self):
        release = threading.Event()

        def slow(connection):
            while True:
                connection.request()
                release.wait(harness.DEADLINE)
                connection.send(ok("slow"))
        busy = self.backend(slow)
        free = self.backend(answer=lambda r: ok("free"))
        rondo = self.rondo(one_route(busy.address, free.address, upstream="balance: least_connections"), workers=4)
        # One after the other until one hangs at the slow backend; nothing else is in flight then.
        waiting = []
        while not busy.requests:
            client = self.client(rondo)
            before = len(free.requests)
            client.request()
            harness.eventually(lambda: busy.requests or len(free.requests) > before, "the request at a backend")
            if busy.requests:
                waiting.append(client)
            else:
                self.assertEqual(client.response().status, 200)
        for _ in range(20):  # a connection for each, so that all workers take part
            self.assertEqual(self.get(rondo).text(), "free", f"{len(busy.requests)} busy, {len(free.requests)} free")
        release.set()
        for client in waiting:
            self.assertEqual(client.response().status, 200)

    def test_ip_hash_keeps_a_client_at_its_backend(self):
        backends = self.named(3)
        rondo = self.rondo(one_route(*[b.address for b in backends], upstream="balance: ip_hash"), workers=2)
        chosen = {}
        for number in range(2, 42):
            source = f"127.0.0.{number}"
            for _ in range(2):
                client = self.client(rondo, source=source)
                chosen.setdefault(source, set()).add(client.get().text())
                client.close()
        self.assertTrue(all(len(picks) == 1 for picks in chosen.values()))
        self.assertEqual(len(set.union(*chosen.values())), 3)

    def test_503_with_a_reason_and_retry_after_when_all_are_down(self):
        rondo = self.rondo(one_route(refused_address(), refused_address()))
        response = self.get(rondo)
        self.assertIn(response.status, (502, 503))
        self.assertIn(response.reason(), ("no_backend_up", "connect_refused"))
        # The last one is never ejected for refusing, so that it is found again the moment it is back.
        for _ in range(5):
            response = self.get(rondo)
            self.assertIn(response.status, (502, 503))
            if response.status == 503:
                self.assertIsNotNone(response.get("Retry-After"))


if __name__ == "__main__":
    harness.main()
