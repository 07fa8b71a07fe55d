"""Limits of backends, the queue before them, and what the policies do over real backends."""
import select
import signal
import threading
from collections import Counter

import harness
from harness import EndToEnd, eventually, ok, one_route


class Gate:
    """A backend that holds each request until it is let go, and knows how many it holds."""

    def __init__(self, test, name=""):
        self.name, self.now, self.most, self.order = name, 0, 0, []
        self._condition = threading.Condition()
        self._allowed = 0
        self.backend = test.backend(self._serve)
        test.gates.append(self)

    def _serve(self, connection):
        while True:
            request = connection.request()
            with self._condition:
                self.now += 1
                self.most = max(self.most, self.now)
                self.order.append(request.target)
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._allowed > 0, harness.DEADLINE)
                self._allowed -= 1
                # Before the answer: once that is out, the next request may be here at any time.
                self.now -= 1
            connection.send(ok(self.name or request.target))

    def let(self, count=1):
        with self._condition:
            self._allowed += count
            self._condition.notify_all()

    def open(self):
        self.let(1 << 30)

    def wait_seen(self, count):
        with self._condition:
            if not self._condition.wait_for(lambda: len(self.order) >= count, harness.DEADLINE):
                raise AssertionError(f"only {self.order} of {count} requests at the backend")

    def limited(self, most=1, more=""):
        return f"{{address: \"{self.backend.address}\", max_connections: {most}{more}}}"


class Capacity(EndToEnd):
    def setUp(self):
        super().setUp()
        self.gates = []

    def rondo(self, config, **options):
        rondo = super().rondo(config, **options)
        # Before it is stopped, since it waits for what is in flight.
        self.addCleanup(lambda: [gate.open() for gate in self.gates])
        return rondo

    def start(self, *gates, most=1, upstream="", **options):
        self.log = f"{self.folder}/access.log"
        return self.rondo(one_route(*[gate.limited(most) for gate in gates], upstream=upstream), access=self.log,
                          **options)

    def send(self, rondo, target):
        return self.client(rondo).request("GET", target)

    def fill(self, rondo, gate, count=1):
        """Takes that many places at the backend."""
        clients = [self.send(rondo, f"/first{n}") for n in range(count)]
        gate.wait_seen(count)
        return clients

    def overfill(self, rondo, size, more=3):
        """Sends as many as the queue takes and some more; returns those who wait, and the answers to the others."""
        clients = [self.send(rondo, f"/{n}") for n in range(size + more)]

        def answered():
            ready = select.select([client.sock for client in clients], [], [], 0)[0]
            return ready if len(ready) >= more else None
        ready = eventually(answered, f"{more} answers")
        refused = [client.response() for client in clients if client.sock in ready]
        return [client for client in clients if client.sock not in ready], refused


class Limits(Capacity):
    def test_a_limit_holds_over_all_workers(self):
        gates = [Gate(self), Gate(self)]
        rondo = self.start(*gates, most=3, workers=4, upstream="balance: random_two")
        clients = [self.send(rondo, f"/{n}") for n in range(60)]
        for gate in gates:
            gate.wait_seen(3)
        for _ in range(60):
            # In small steps, so that each place is taken again while others are being given back.
            for gate in gates:
                gate.let(1)
        for client in clients:
            self.assertEqual(client.response().status, 200)
        self.assertEqual([gate.most for gate in gates], [3, 3])
        self.assertEqual(sum(len(gate.order) for gate in gates), 60)

    def test_another_backend_takes_what_one_has_no_place_for(self):
        for policy in ("round_robin", "least_connections", "ip_hash", "consistent_hash", "random_two", "peak_ewma"):
            with self.subTest(policy):
                gates = [Gate(self), Gate(self), Gate(self)]
                rondo = self.start(*gates, most=2, upstream=f"balance: {policy}")
                clients = [self.send(rondo, f"/{n}") for n in range(6)]
                for gate in gates:
                    gate.wait_seen(2)
                for gate in gates:
                    gate.open()
                self.assertEqual([client.response().status for client in clients], [200] * 6)

    def test_a_backup_takes_what_the_others_have_no_place_for(self):
        gate, spare = Gate(self), Gate(self, "spare")
        rondo = self.rondo(one_route(gate.limited(), spare.limited(more=", backup: true")))
        client = self.fill(rondo, gate)[0]
        spare.open()
        self.assertEqual(self.get(rondo).text(), "spare")
        gate.open()
        self.assertEqual(client.response().status, 200)
        self.assertNotEqual(self.get(rondo).text(), "spare")

    def test_a_place_is_free_again_whatever_became_of_the_request(self):
        def fickle(connection):
            while (request := connection.request()).target == "/":
                connection.send(ok("ok"))
            if request.target == "/cut":
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            if request.target == "/hang":
                connection.rest()
        backend = self.backend(fickle)
        rondo = self.rondo(one_route(f"{{address: \"{backend.address}\", max_connections: 1}}",
                                     route="timeout: 1s", upstream="retries: {attempts: 0}"))
        for target, status in (("/reset", 502), ("/hang", 504)):
            with self.subTest(target):
                self.assertEqual(self.get(rondo, target).status, status)
                self.assertEqual(self.get(rondo).status, 200)
        self.assertTrue(self.client(rondo).request("GET", "/cut").rest().endswith(b"half"))
        self.assertEqual(self.get(rondo).status, 200)
        gone = self.client(rondo).request("GET", "/hang")
        backend.wait_requests(7)
        gone.reset()
        self.assertEqual(self.get(rondo).status, 200)

    def test_a_websocket_holds_its_place_until_it_ends(self):
        def serve(connection):
            request = connection.request()
            if request.get("Upgrade") is None:
                connection.send(ok("ok"))
                return
            connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            connection.rest()
        backend = self.backend(serve)
        rondo = self.rondo(one_route(f"{{address: \"{backend.address}\", max_connections: 1}}",
                                     route="upgrades: [websocket]", upstream="queue: {timeout: 1s}"), workers=2)
        tunnel = self.client(rondo)
        tunnel.request(headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        self.assertEqual(tunnel.response().status, 101)
        response = self.get(rondo)
        self.assertEqual((response.status, response.reason()), (503, "queue_timeout"))
        tunnel.close()
        self.assertEqual(self.get(rondo).status, 200)


class Queue(Capacity):
    def test_the_oldest_is_served_first_whichever_worker_has_it(self):
        for workers in (1, 4):
            with self.subTest(workers=workers):
                gate = Gate(self)
                rondo = self.start(gate, workers=workers)
                clients = self.fill(rondo, gate)
                for number in range(10):
                    clients.append(self.send(rondo, f"/{number}"))
                    self.assertTrue(clients[-1].quiet(0.05), "it waits, and has arrived before the next")
                for number in range(11):
                    gate.let(1)
                    if number < 10:
                        gate.wait_seen(number + 2)
                self.assertEqual([client.response().status for client in clients], [200] * 11)
                self.assertEqual(gate.order, ["/first0"] + [f"/{n}" for n in range(10)])

    def test_nobody_overtakes_those_who_wait(self):
        gate = Gate(self)
        rondo = self.start(gate, workers=4)
        clients = self.fill(rondo, gate)
        waiting = [self.send(rondo, f"/old{n}") for n in range(5)]
        for client in waiting:
            self.assertTrue(client.quiet(0.05))
        clients += waiting + [self.send(rondo, f"/new{n}") for n in range(5)]
        gate.open()
        self.assertEqual([client.response().status for client in clients], [200] * 11)
        self.assertTrue(all(target.startswith("/old") for target in gate.order[1:6]), gate.order)

    def test_a_place_that_the_oldest_has_tried_goes_to_the_next(self):
        def fickle(connection):
            while connection.request().target != "/unlucky":
                connection.send(ok("fickle"))
        fickle_one, gate = self.backend(fickle), Gate(self)
        rondo = self.rondo(one_route(gate.limited(), f"{{address: \"{fickle_one.address}\", max_connections: 1, "
                                     "backup: true}"))
        first = self.fill(rondo, gate)[0]
        unlucky = self.send(rondo, "/unlucky")
        fickle_one.wait_for(lambda: fickle_one.closed > 0, "the reset")
        self.assertTrue(unlucky.quiet(0.1))
        self.assertEqual(self.get(rondo, "/lucky").text(), "fickle")
        gate.open()
        self.assertEqual([first.response().text(), unlucky.response().text()], ["/first0", "/unlucky"])

    def test_those_who_wait_at_any_worker_are_served(self):
        gate = Gate(self)
        rondo = self.start(gate, workers=4)
        self.fill(rondo, gate)
        waiting = [self.send(rondo, f"/{n}") for n in range(40)]
        gate.open()
        for client in waiting:
            self.assertEqual(client.response().status, 200)
        self.assertEqual(gate.most, 1)
        waits = [record["queue_ms"] for record in self.access_lines(self.log, 41)]
        self.assertGreater(len([wait for wait in waits if wait > 0]), 30)

    def test_one_more_than_fit_is_refused_with_retry_after(self):
        gate = Gate(self)
        rondo = self.start(gate, upstream="queue: {size: 2, timeout: 20s}", workers=2)
        first = self.fill(rondo, gate)
        waiting, refused = self.overfill(rondo, 2)
        self.assertEqual((len(waiting), len(refused)), (2, 3))
        for response in refused:
            self.assertEqual((response.status, response.reason(), response.get("Retry-After")),
                             (503, "queue_full", "1"))
        gate.open()
        for client in first + waiting:
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.get(rondo).status, 200)

    def test_a_queue_of_no_size_refuses_at_once(self):
        gate = Gate(self)
        rondo = self.start(gate, upstream="queue: {size: 0}")
        self.fill(rondo, gate)
        response = self.get(rondo)
        self.assertEqual((response.status, response.reason()), (503, "queue_full"))

    def test_who_waited_too_long_gets_a_503_and_keeps_the_connection(self):
        gate = Gate(self)
        rondo = self.start(gate, upstream="queue: {timeout: 300ms}")
        first = self.fill(rondo, gate)[0]
        client = self.client(rondo)
        response = client.get("/late")
        self.assertEqual((response.status, response.reason(), response.get("Retry-After")),
                         (503, "queue_timeout", "1"))
        record = self.access_lines(self.log, 1)[0]
        self.assertEqual((record["reason"], record["backend"], record["retries"]), ("queue_timeout", "", 0))
        self.assertTrue(290 <= record["queue_ms"] < 5000, record)
        gate.open()
        self.assertEqual(first.response().status, 200)
        self.assertEqual(client.get("/again").status, 200)
        self.assertNotIn("/late", gate.order)

    def test_the_total_of_a_route_ends_the_wait_as_well(self):
        gate = Gate(self)
        rondo = self.rondo(one_route(gate.limited(), route="match: {path: /hasty}\ntimeout_total: 300ms").replace(
            "upstreams:\n", "      - upstream: app\nupstreams:\n"))
        self.fill(rondo, gate)
        response = self.get(rondo, "/hasty")
        self.assertEqual((response.status, response.reason()), (504, "total_timeout"))

    def test_a_client_that_leaves_gives_its_place_in_the_queue_up(self):
        gate = Gate(self)
        rondo = self.start(gate, upstream="queue: {size: 1, timeout: 20s}")
        first = self.fill(rondo, gate)[0]
        leaving, _ = self.overfill(rondo, 1, more=1)
        leaving[0].reset()
        # The log says that it is gone; from then on there is room for another one.
        self.assertEqual([record["reason"] for record in self.access_lines(self.log, 2)], ["queue_full", "client_gone"])
        staying = self.send(rondo, "/stays")
        self.assertTrue(staying.quiet(0.1))
        gate.open()
        self.assertEqual([first.response().status, staying.response().status], [200, 200])
        self.assertEqual(gate.order, ["/first0", "/stays"])

    def test_a_client_that_has_nothing_more_to_say_leaves_the_queue_and_is_told(self):
        gate = Gate(self)
        rondo = self.start(gate)
        self.fill(rondo, gate)
        response = self.send(rondo, "/leaves").half_close().response()
        self.assertEqual((response.status, response.reason()), (503, "client_left_queue"))
        self.assertEqual(gate.order, ["/first0"])

    def test_a_body_that_waits_arrives_whole(self):
        gate = Gate(self)
        rondo = self.start(gate)
        self.fill(rondo, gate)
        body = harness.pattern(300000)
        sender = self.client(rondo)
        done = threading.Thread(target=lambda: sender.request("POST", "/body", body=body))
        done.start()
        self.assertTrue(sender.quiet(0.05))
        gate.open()
        self.assertEqual(sender.response().status, 200)
        done.join()
        self.assertEqual(gate.backend.requests[-1].body, body)

    def test_a_pipelined_request_waits_behind_the_one_before(self):
        gate = Gate(self)
        rondo = self.start(gate)
        self.fill(rondo, gate)
        client = self.client(rondo)
        client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(client.quiet(0.05))
        gate.open()
        self.assertEqual([client.response().text(), client.response().text()], ["/a", "/b"])

    def test_a_stop_lets_those_who_wait_through(self):
        gate = Gate(self)
        rondo = self.start(gate)
        first = self.fill(rondo, gate)
        waiting = [self.send(rondo, f"/{n}") for n in range(5)]
        for client in waiting:
            self.assertTrue(client.quiet(0.05))
        rondo.signal(signal.SIGTERM)
        rondo.wait_line("stopping: no new connections")
        gate.open()
        for client in first + waiting:
            self.assertEqual(client.response().status, 200)
            client.close()
        self.assertEqual(rondo.wait(), 0)

    def test_a_burst_over_four_workers_loses_nobody(self):
        backends = [self.backend() for _ in range(3)]
        rondo = self.rondo(one_route(*[f"{{address: \"{b.address}\", max_connections: 2}}" for b in backends],
                                     upstream="balance: least_connections"), workers=4)
        statuses, threads = Counter(), []
        lock = threading.Lock()

        def work():
            client = self.client(rondo)
            for number in range(30):
                status = client.get(f"/{number}").status
                with lock:
                    statuses[status] += 1
        for _ in range(24):
            threads.append(threading.Thread(target=work))
            threads[-1].start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, {200: 24 * 30})


class Connections(EndToEnd):
    def test_no_more_clients_than_the_process_may_have(self):
        rondo = self.rondo(one_route(self.backend().address, top="limits: {connections: 3}"), workers=2)
        clients = [self.client(rondo) for _ in range(3)]
        self.assertEqual([client.get().status for client in clients], [200] * 3)
        refused = self.client(rondo)
        self.assertTrue(refused.ended())
        clients[0].close()
        eventually(lambda: self.try_get(rondo), "a connection after one has left")

    def try_get(self, rondo):
        client = self.client(rondo)
        try:
            return client.get().status == 200
        except (EOFError, OSError):
            return False
        finally:
            client.close()


class Policies(Capacity):
    def named(self, count):
        return [self.backend(answer=lambda r, n=n: ok(str(n))) for n in range(count)]

    def over(self, backends, upstream, **options):
        return self.rondo(one_route(*[b.address for b in backends], upstream=upstream), **options)

    def spread(self, rondo, requests):
        """Which backend each request got: (target, headers) each, over a connection of its own."""
        return [self.get(rondo, target, headers=headers).text() for target, headers in requests]

    def test_consistent_hash_takes_a_key_to_one_backend_at_one_worker_and_at_four(self):
        backends = self.named(5)
        keys = {
            "path": [(f"/p/{n}", {}) for n in range(30)],
            "uri": [(f"/p?x={n}", {}) for n in range(30)],
            "header:X-User": [("/", {"x-user": f"u{n}"}) for n in range(30)],
            "cookie:session": [("/", {"Cookie": f"a=b; session=s{n}"}) for n in range(30)],
        }
        for key, requests in keys.items():
            with self.subTest(key):
                upstream = f"balance: consistent_hash\nhash_key: {key}"
                one = self.over(backends, upstream)
                taken = self.spread(one, requests)
                four = self.over(backends[::-1], upstream, workers=4)
                self.assertEqual(self.spread(four, requests), taken)
                self.assertEqual(self.spread(four, requests), taken)
                self.assertGreater(len(set(taken)), 2)

    def test_consistent_hash_by_client_and_where_there_is_no_key(self):
        backends = self.named(5)
        for key in ("client_ip", "header:X-User", "cookie:session"):
            with self.subTest(key):
                rondo = self.over(backends, f"balance: consistent_hash\nhash_key: {key}", workers=4)
                taken = {}
                for number in list(range(2, 32)) * 2:
                    client = self.client(rondo, source=f"127.0.0.{number}")
                    taken.setdefault(number, set()).add(client.get(f"/{len(taken)}").text())
                    client.close()
                self.assertTrue(all(len(picks) == 1 for picks in taken.values()))
                self.assertGreater(len(set.union(*taken.values())), 2)

    def test_the_path_is_hashed_in_its_normalised_form_without_the_query(self):
        client = self.client(self.over(self.named(8), "balance: consistent_hash\nhash_key: path"))
        for number in range(10):
            spellings = [f"/a/{number}", f"//a/./{number}", f"/%61/{number}?x=y", f"/b/../a/{number}"]
            self.assertEqual(len({client.get(target).text() for target in spellings}), 1)

    def test_a_key_moves_only_when_its_backend_is_gone(self):
        backends = self.named(5)
        rondo = self.over(backends, "balance: consistent_hash\nhash_key: path")
        client = self.client(rondo)
        targets = [f"/{n}" for n in range(60)]
        before = {target: client.get(target).text() for target in targets}
        backends[2].stop()
        for target in targets:
            after = client.get(target).text()
            self.assertEqual(after == before[target], before[target] != "2")

    def test_random_two_follows_the_weights(self):
        heavy, light = self.named(2)
        rondo = self.rondo(one_route(f"{{address: \"{heavy.address}\", weight: 3}}", light.address,
                                     upstream="balance: random_two"))
        client = self.client(rondo)
        shares = Counter(client.get().text() for _ in range(400))
        self.assertGreater(shares["0"], shares["1"])

    def test_random_two_avoids_the_busy_one(self):
        gate = Gate(self, "busy")
        free = self.named(1)[0]
        rondo = self.over([gate.backend, free], "balance: random_two", workers=2)
        held = []
        while not gate.order:
            client = self.client(rondo).request()
            eventually(lambda c=client: gate.order or not c.quiet(0), "an answer or a wait")
            held.append(client)
        for _ in range(20):
            self.assertEqual(self.get(rondo).text(), "0")
        gate.open()

    def test_peak_ewma_prefers_the_fast_one(self):
        pause = threading.Event()

        def slow(connection):
            while True:
                connection.request()
                pause.wait(0.1)
                connection.send(ok("slow"))
        rondo = self.over([self.backend(slow), self.backend(answer=lambda r: ok("fast"))], "balance: peak_ewma",
                           workers=2)
        shares = Counter(self.get(rondo).text() for _ in range(100))
        self.assertTrue(1 <= shares["slow"] <= 20, shares)

    def test_every_policy_serves_every_request(self):
        for policy in ("round_robin", "least_connections", "ip_hash", "consistent_hash", "random_two", "peak_ewma"):
            with self.subTest(policy):
                rondo = self.over(self.named(3), f"balance: {policy}", workers=4)
                self.assertTrue(set(self.spread(rondo, [("/", {})] * 30)) <= {"0", "1", "2"})


if __name__ == "__main__":
    harness.main()
