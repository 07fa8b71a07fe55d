"""Backends that speak badly: a 502 with a reason, never their bytes."""
import harness
from harness import EndToEnd, ok, one_route

BAD = [
    "garbage\r\n\r\n",
    "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1 99 Low\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, foo\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: " + "b" * 200000 + "\r\n\r\n",
    "\x15\x03\x03\x00\x02\x02\x28",
]


class BadBackends(EndToEnd):
    def test_each_malformed_answer_is_a_502(self):
        current = [""]

        def serve(connection):
            connection.request()
            connection.send(current[0])
        rondo = self.rondo(one_route(self.backend(serve).address))
        for answer in BAD:
            with self.subTest(answer=answer[:60]):
                current[0] = answer
                client = self.client(rondo)
                response = client.get(headers={"Accept": "text/plain"})
                self.assertEqual((response.status, response.reason()), (502, "bad_response"), response)
        current[0] = ok("fine").decode()
        self.check_alive(rondo)

    def test_a_backend_that_closes_without_an_answer_is_a_502(self):
        rondo = self.rondo(one_route(self.backend(lambda c: c.request()).address))
        response, _ = self.raw(rondo, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
        self.assertEqual((response.status, response.reason()), (502, "backend_reset"))

    def test_a_backend_that_resets_is_a_502(self):
        def serve(connection):
            connection.request()
            connection.reset()
        rondo = self.rondo(one_route(self.backend(serve).address))
        response, _ = self.raw(rondo, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
        self.assertEqual((response.status, response.reason()), (502, "backend_reset"))

    def test_bytes_behind_a_response_are_never_the_next_answer(self):
        def serve(connection):
            while True:
                connection.request()
                connection.send(ok("mine") + ok("smuggled"))
        client = self.client(self.rondo(one_route(self.backend(serve).address)))
        for _ in range(5):
            self.assertEqual(client.get().text(), "mine")

    def test_an_unasked_answer_on_an_idle_connection_is_not_used(self):
        def serve(connection):
            connection.request()
            connection.send(ok("mine"))
            connection.request()
            connection.send(ok("mine"))
        backend = self.backend(serve)
        client = self.client(self.rondo(one_route(backend.address)))
        self.assertEqual(client.get().text(), "mine")
        backend._wires[0].send(ok("unasked"))
        backend.wait_for(lambda: backend.closed == 1, "Rondo closes the connection that spoke out of turn")
        self.assertEqual(client.get().text(), "mine")
        self.assertEqual(backend.connections, 2)

    def test_a_backend_that_vanishes_at_any_byte_of_its_answer_harms_nobody(self):
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n"
        cut = [0]

        def serve(connection):
            connection.request()
            connection.send(answer[:cut[0]])
            if cut[0] % 2:
                connection.reset()
        rondo = self.rondo(one_route(self.backend(serve).address))
        for size in range(len(answer)):
            cut[0] = size
            client = self.client(rondo)
            client.request("POST", "/", body=b"x")
            data = client.rest() if size > answer.index(b"\r\n\r\n") + 3 else None
            if data is None:
                self.assertEqual(client.response().status, 502, size)
            else:
                self.assertFalse(data.endswith(b"0\r\n\r\n"), size)
            client.close()
        cut[0] = len(answer)
        self.check_alive(rondo)


if __name__ == "__main__":
    harness.main()
