"""Each timeout ends what it is for, with a reason of its own."""
import socket
import threading

import harness
from harness import EndToEnd, ok, one_route


class Timeouts(EndToEnd):
    def hang(self, connection):
        connection.request()
        connection.rest()

    def test_a_backend_that_does_not_answer_is_a_504(self):
        backend = self.backend(self.hang)
        rondo = self.rondo(one_route(backend.address, upstream="timeouts: {response: 300ms}"))
        response = self.get(rondo)
        self.assertEqual((response.status, response.reason()), (504, "response_timeout"))
        backend.wait_for(lambda: backend.closed == backend.connections, "the hanging connections are closed")

    def test_a_backend_that_takes_no_connection_is_a_504(self):
        # A listener that nobody accepts from, its queue full: connecting to it hangs.
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
            self.addCleanup(filler.close)
        rondo = self.rondo(one_route(f"127.0.0.1:{address[1]}", upstream="timeouts: {connect: 300ms}"))
        response = self.get(rondo)
        self.assertEqual((response.status, response.reason()), (504, "connect_timeout"))

    def test_a_backend_that_stops_in_the_middle_is_cut_off(self):
        def serve(connection):
            connection.request()
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            connection.rest()
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(self.backend(serve).address, upstream="timeouts: {idle: 300ms}"), access=log)
        client = self.client(rondo)
        client.request()
        self.assertTrue(client.rest().endswith(b"half"))
        self.assertEqual(self.access_lines(log, 1)[0]["reason"], "idle_timeout")

    def test_a_request_head_has_a_total_time_however_slowly_it_drips(self):
        rondo = self.rondo(one_route(self.backend().address, top="timeouts: {request_header: 500ms}"))
        client = self.client(rondo)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n")
        done = threading.Event()

        def drip():
            try:
                while not done.wait(0.1):
                    client.sock.send(b"A: b\r\n")
            except OSError:
                pass
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            response = client.response()
            self.assertEqual((response.status, response.reason()), (408, "request_header_timeout"))
        finally:
            done.set()
            dripping.join()

    def test_a_request_body_that_stops_is_a_408(self):
        rondo = self.rondo(one_route(self.backend().address, top="timeouts: {request_body: 300ms}"))
        client = self.client(rondo)
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        response = client.response()
        self.assertEqual((response.status, response.reason()), (408, "request_body_timeout"))
        self.assertTrue(client.ended())

    def test_a_slow_but_steady_body_is_within_its_time(self):
        backend = self.backend(answer=lambda r: ok(r.body))
        client = self.client(self.rondo(one_route(backend.address, top="timeouts: {request_body: 500ms}")))
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n")
        pause = threading.Event()
        for i in range(8):
            pause.wait(0.1)
            client.send(str(i))
        self.assertEqual(client.response().text(), "01234567")

    def test_an_idle_backend_connection_is_closed_after_its_time(self):
        backend = self.backend()
        rondo = self.rondo(one_route(backend.address, upstream="keepalive: {idle_timeout: 300ms}"))
        self.assertEqual(self.get(rondo).status, 200)
        backend.wait_for(lambda: backend.closed == 1, "the idle connection is closed")

    def test_a_backends_own_keep_alive_timeout_is_honoured_where_it_is_shorter(self):
        backend = self.backend(answer=lambda r: ok("x", "Keep-Alive: timeout=1\r\n"))
        rondo = self.rondo(one_route(backend.address, upstream="keepalive: {idle_timeout: 60s}"))
        self.assertEqual(self.get(rondo).status, 200)
        backend.wait_for(lambda: backend.closed == 1, "the connection is closed before the backend does it")


if __name__ == "__main__":
    harness.main()
