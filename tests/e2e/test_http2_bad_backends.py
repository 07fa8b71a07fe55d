"""HTTP/2 backends that answer what could be read two ways, what no server may send, or too much: nobody else is hurt."""
import harness
from http2 import Flag, Type, frame, literal, request_fields, window_update
from test_http2_backends import BackendTest

END = Flag.END_HEADERS | Flag.END_STREAM


class BadAnswers(BackendTest):
    """Answers that could be read two ways reach nobody."""

    BAD = [
        ("no :status", [("content-type", "text/plain")]),
        ("two :status", [(":status", "200"), (":status", "404")]),
        ("a :status that is no number", [(":status", "ok")]),
        ("a :status of 101", [(":status", "101")]),
        ("a request's pseudo-header", [(":status", "200"), (":path", "/")]),
        ("a pseudo-header behind a field", [("x", "1"), (":status", "200")]),
        ("a name in upper case", [(":status", "200"), ("X-Upper", "1")]),
        ("connection", [(":status", "200"), ("connection", "close")]),
        ("transfer-encoding", [(":status", "200"), ("transfer-encoding", "chunked")]),
        ("a value with CR LF", [(":status", "200"), ("x", "1\r\nset-cookie: a=b")]),
        ("a value with NUL", [(":status", "200"), ("x", "a\0b")]),
        ("a name with LF", [(":status", "200"), ("x\ny", "1")]),
        ("two Content-Lengths that differ", [(":status", "200"), ("content-length", "1"), ("content-length", "2")]),
        ("a Content-Length that is none", [(":status", "200"), ("content-length", "+1")]),
    ]

    def test_malformed_heads_are_a_502(self):
        def serve(connection):
            while True:
                request = connection.request()
                connection.send(frame(Type.HEADERS, END, request.stream, literal(self.BAD[int(request.target[1:])][1])))
        rondo = self.start(self.http2_backend(serve), upstream="retries: {attempts: 0}\npassive_health: {max_fails: 0}")
        client = self.client(rondo)
        for number, (what, _) in enumerate(self.BAD):
            with self.subTest(what):
                response = client.get(f"/{number}")
                self.assertEqual((response.status, response.reason()), (502, "bad_response"))

    def test_content_length_against_data(self):
        def serve(connection):
            while True:
                request = connection.request()
                connection.send(frame(Type.HEADERS, Flag.END_HEADERS, request.stream,
                                      literal([(":status", "200"), ("content-length", "5")])) +
                                frame(Type.DATA, Flag.END_STREAM, request.stream, b"x" * int(request.target[1:])))
        rondo = self.start(self.http2_backend(serve), upstream="retries: {attempts: 0}\npassive_health: {max_fails: 0}")
        for size in (4, 6):
            client = self.client(rondo)
            client.request(target=f"/{size}")
            try:
                response = client.response()
                self.assertEqual((response.status, response.reason()), (502, "bad_response"))
            except EOFError:
                pass  # the head was on its way already: then the answer is cut
        self.assertEqual(self.client(rondo).get("/5").text(), "xxxxx")

    def test_frames_that_a_server_must_not_send_end_the_connection_alone(self):
        bad = [frame(Type.PUSH_PROMISE, Flag.END_HEADERS, 1, b"\0\0\0\2" + literal(request_fields())),
               frame(Type.DATA, 0, 0, b"x"), window_update(0, 0), frame(Type.HEADERS, END, 1, b"\xff\xff\xff\xff\xff\xff"),
               frame(Type.SETTINGS, 0, 0, b"odd"), frame(Type.HEADERS, END, 2, literal([(":status", "200")])), b"HTTP/1.1 400 X\r\n\r\n"]

        def serve(connection):
            while True:
                request = connection.request()
                if request.target == "/good":
                    connection.answer(request, body="good")
                else:
                    connection.send(bad[int(request.target[1:])])
        rondo = self.start(self.http2_backend(serve), upstream="retries: {attempts: 0}\npassive_health: {max_fails: 0}")
        for number in range(len(bad)):
            with self.subTest(bad[number]):
                self.assertEqual(self.get(rondo, f"/{number}").status, 502)
                self.assertEqual(self.get(rondo, "/good").text(), "good")

    def test_a_flood_from_a_backend_ends(self):
        flood = [frame(Type.PING, 0, 0, bytes(8)), frame(Type.SETTINGS), frame(Type.DATA, 0, 1), window_update(0, 1)]

        def serve(connection):
            request = connection.request()
            connection.h2.send_headers(request.stream, [(":status", "200")])
            for _ in range(10_000):
                connection.send(flood[int(request.target[1:])] * 1000)
            endless.append(request.target)
        endless = []
        rondo = self.start(self.http2_backend(serve), upstream="retries: {attempts: 0}\npassive_health: {max_fails: 0}")
        before = rondo.rss_bytes()
        for number in range(len(flood)):
            with self.subTest(flood[number]):
                client = self.client(rondo).request(target=f"/{number}")
                try:
                    self.assertEqual(client.response().status, 502)
                except EOFError:
                    pass  # the head was on its way already: then the answer is cut
        self.assertEqual(endless, [])
        self.assertLess(rondo.rss_bytes() - before, harness.MEMORY_ROOM)


if __name__ == "__main__":
    harness.main()
