"""Requests that fail at one backend: repeated elsewhere where that is safe, and only there."""
import harness
from harness import EndToEnd, ok, one_route, refused_address


class Retries(EndToEnd):
    def test_a_refused_connection_is_retried_elsewhere_whatever_the_method(self):
        backend = self.backend(answer=lambda r: ok(r.body))
        rondo = self.rondo(one_route(refused_address(), refused_address(), refused_address(), refused_address(),
                                     backend.address))
        client = self.client(rondo)
        for i in range(10):
            response = client.request("POST", "/", body=f"body {i}".encode()).response()
            self.assertEqual((response.status, response.text()), (200, f"body {i}"))

    def test_no_request_fails_while_four_of_five_vanish(self):
        backends = [self.backend() for _ in range(5)]
        rondo = self.rondo(one_route(*[b.address for b in backends]))
        client = self.client(rondo)
        for _ in range(10):
            self.assertEqual(client.get().status, 200)
        for backend in backends[1:]:
            backend.stop()
        for i in range(50):
            self.assertEqual(client.request("POST" if i % 2 else "GET", f"/{i}").response().status, 200)

    def stale(self, connection):
        """Answers once, then dies upon the next request without a byte."""
        connection.request()
        connection.send(ok("once"))
        connection.head()
        connection.reset()

    def test_a_pooled_connection_that_dies_upon_a_get_is_replaced(self):
        backend = self.backend(self.stale)
        client = self.client(self.rondo(one_route(backend.address)))
        self.assertEqual([client.get().text() for _ in range(4)], ["once"] * 4)

    def test_a_post_that_reached_a_backend_is_never_repeated(self):
        def serve(connection):
            connection.request()
            connection.reset()
        first, second = self.backend(serve), self.backend(serve)
        rondo = self.rondo(one_route(first.address, second.address))
        for i in range(6):
            response, client = self.raw(rondo, f"POST /{i} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nonce")
            self.assertEqual((response.status, response.reason()), (502, "backend_reset"))
            client.close()
        seen = [r.target for r in first.requests + second.requests]
        self.assertEqual(sorted(seen), [f"/{i}" for i in range(6)])

    def test_a_post_with_an_idempotency_key_may_be_repeated(self):
        def serve(connection):
            connection.request()
            connection.reset()
        bad = self.backend(serve)
        good = self.backend(answer=lambda r: ok(r.body))
        rondo = self.rondo(one_route(bad.address, good.address))
        for _ in range(4):
            client = self.client(rondo)
            response = client.request("POST", "/", headers={"Idempotency-Key": "k"}, body=b"held").response()
            self.assertEqual((response.status, response.text()), (200, "held"))

    def test_a_body_that_is_no_longer_held_is_not_repeated(self):
        def serve(connection):
            connection.head()
            connection.take(200000)
            connection.reset()
        bad = [self.backend(serve), self.backend(serve)]
        rondo = self.rondo(one_route(*[b.address for b in bad], upstream="retries: {body_buffer: 64KiB}"))
        client = self.client(rondo)
        response = client.request("PUT", "/", body=b"x" * 200000).response()
        self.assertEqual(response.status, 502)
        self.assertEqual(sum(len(b.requests) for b in bad), 1)

    def test_a_broken_answer_is_not_repeated_once_its_head_has_passed(self):
        def serve(connection):
            connection.request()
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        backends = [self.backend(serve), self.backend(serve)]
        client = self.client(self.rondo(one_route(*[b.address for b in backends])))
        client.request()
        self.assertIn(b"\r\n\r\nhalf", client.rest())
        self.assertEqual(sum(len(b.requests) for b in backends), 1)

    def test_statuses_are_retried_where_the_configuration_says_so(self):
        bad = self.backend(answer=lambda r: ok("bad", status="503 Service Unavailable"))
        good = self.backend(answer=lambda r: ok("good"))
        retries = "retries: {attempts: 1, on: [connect, reset_before_response, 503]}"
        client = self.client(self.rondo(one_route(bad.address, good.address, upstream=retries)))
        self.assertEqual({client.get().text() for _ in range(6)}, {"good"})
        self.assertEqual(client.request("POST", "/", body=b"x").response().status in (200, 503), True)

    def test_the_access_log_counts_retries(self):
        log = f"{self.folder}/access.log"
        backend = self.backend(self.stale)
        client = self.client(self.rondo(one_route(backend.address), access=log))
        client.get()
        client.get()
        self.assertEqual([r["retries"] for r in self.access_lines(log, 2)], [0, 1])


if __name__ == "__main__":
    harness.main()
