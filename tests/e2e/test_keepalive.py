"""Connections that carry more than one request, and answers without a body."""
import harness
from harness import Backend, EndToEnd, ok, one_route


class KeepAlive(EndToEnd):
    def test_many_requests_travel_over_one_connection_on_both_sides(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address)))
        for i in range(20):
            self.assertEqual(client.get(f"/{i}").text(), f"/{i}")
        self.assertEqual(backend.connections, 1)

    def test_pipelined_requests_are_answered_in_order(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address)))
        client.send("".join(f"GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n" for i in range(50)))
        self.assertEqual([client.response().text() for _ in range(50)], [f"/{i}" for i in range(50)])

    def test_a_pipeline_with_bodies_that_comes_byte_by_byte_is_answered_in_order(self):
        backend = self.backend(answer=lambda r: ok(r.body))
        client = self.client(self.rondo(one_route(backend.address)))
        requests = (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
                    b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
                    b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n")
        for i in range(len(requests)):
            client.send(requests[i:i + 1])
        self.assertEqual([client.response().body for _ in range(3)], [b"one", b"two", b""])

    def test_connection_close_ends_the_connection_after_the_answer(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address)))
        response = client.get("/last", headers={"Connection": "close"})
        self.assertEqual((response.status, response.get("Connection")), (200, "close"))
        self.assertTrue(client.ended())

    def test_http_1_0_is_closed_unless_it_asks_for_keep_alive(self):
        rondo = self.rondo(one_route(self.backend().address))
        response, client = self.raw(rondo, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        self.assertEqual(response.status, 200)
        self.assertTrue(client.ended())
        response, client = self.raw(rondo, "GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual(response.get("Connection", "").lower(), "keep-alive")
        client.send("GET /again HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual(client.response().text(), "/again")

    def test_a_half_closed_client_still_gets_its_answer(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address)))
        client.request("GET", "/half").half_close()
        self.assertEqual(client.response().text(), "/half")
        self.assertTrue(client.ended())

    def test_an_idle_client_is_closed_after_the_keepalive_timeout(self):
        rondo = self.rondo(one_route(self.backend().address, top="timeouts: {keepalive: 300ms}"))
        client = self.client(rondo)
        self.assertEqual(client.get().status, 200)
        self.assertTrue(client.ended())

    def test_a_pooled_connection_that_the_backend_closes_is_not_used_again(self):
        def serve(connection):
            connection.request()
            connection.send(ok("first"))  # says keepalive, and then closes all the same
        backend = self.backend(serve)
        client = self.client(self.rondo(one_route(backend.address)))
        self.assertEqual(client.get().text(), "first")
        backend.wait_for(lambda: backend.closed == 1)
        self.assertEqual(client.get().text(), "first")
        self.assertEqual(backend.connections, 2)

    def test_a_backend_that_says_close_is_not_used_again(self):
        backend = self.backend(answer=lambda r: ok("bye", "Connection: close\r\n"))
        client = self.client(self.rondo(one_route(backend.address)))
        for _ in range(3):
            response = client.get()
            self.assertEqual(response.text(), "bye")
            self.assertIsNone(response.get("Connection"))
        self.assertEqual(backend.connections, 3)


class NoBody(EndToEnd):
    def test_head_passes_the_length_without_a_body(self):
        def serve(connection):
            while True:
                request = connection.request()
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
                if request.method != "HEAD":
                    connection.send("hello")
        client = self.client(self.rondo(one_route(self.backend(serve).address)))
        response = client.request("HEAD", "/").response("HEAD")
        self.assertEqual(response.get("Content-Length"), "5")
        self.assertEqual(client.get().text(), "hello")

    def test_204_and_304_end_with_their_head(self):
        for status in ("204 No Content", "304 Not Modified"):
            with self.subTest(status=status):
                extra = "Content-Length: 10\r\n" if status.startswith("304") else ""
                answer = f"HTTP/1.1 {status}\r\nETag: \"a\"\r\n{extra}\r\n".encode()
                backend = self.backend(answer=lambda r, a=answer: a)
                client = self.client(self.rondo(one_route(backend.address)))
                for _ in range(2):
                    response = client.get()
                    self.assertEqual((response.status, response.get("ETag")), (int(status[:3]), "\"a\""))
                self.assertEqual(backend.connections, 1)


if __name__ == "__main__":
    harness.main()
