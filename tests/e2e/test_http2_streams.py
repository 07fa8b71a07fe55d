"""Messages, streams, flow control and header compression over HTTP/2, in front of backends that speak HTTP/1.1."""
import threading

import hpack

import harness
from harness import ok, one_route
from http2 import Error, Flag, FRAME, Setting, Type, frame, literal, number, request_fields, reset, settings, window_update
from test_http2_frames import FramesTest, WHOLE


class Messages(FramesTest):
    def test_a_head_in_pieces_of_any_size(self):
        client = self.http2(self.start())
        block = literal(request_fields(target="/pieces", headers={"x-long": "v" * 400, "cookie": "a=1"}))
        # Up to 8 further frames, which is where nghttp2 sees a flood.
        for sizes in ([0] * 8, [1] * 8, [9, 0, 0, 1, 1], [len(block) - 1], [60, 60, 60, 60, 60, 60]):
            pieces, at = [], 0
            for size in sizes:
                pieces.append(block[at:at + size])
                at += size
            pieces.append(block[at:])
            stream, client.next_stream = client.next_stream, client.next_stream + 2
            client.write(frame(Type.HEADERS, Flag.END_STREAM, stream, pieces[0]))
            for piece in pieces[1:-1]:
                client.write(frame(Type.CONTINUATION, 0, stream, piece))
            client.write(frame(Type.CONTINUATION, Flag.END_HEADERS, stream, pieces[-1]))
            self.assertEqual(client.answer(stream).text(), "/pieces")
            self.assertEqual(self.origin.requests[-1].get("x-long"), "v" * 400)

    def test_padding_and_priority_fields_are_passed_over(self):
        client = self.http2(self.start())
        padded = b"\x10" + number(0) + b"\x20" + literal(request_fields("POST", "/padded")) + bytes(16)
        client.write(frame(Type.HEADERS, Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY, 1, padded))
        client.write(frame(Type.DATA, Flag.PADDED, 1, b"\xff" + b"body" + bytes(255)))
        client.write(frame(Type.DATA, Flag.PADDED | Flag.END_STREAM, 1, b"\x00"))
        self.assertEqual(client.answer(1).text(), "/padded")
        self.assertEqual(self.origin.requests[-1].body, b"body")

    def test_the_backend_gets_one_proper_request(self):
        client = self.http2(self.start())
        stream = client.request("POST", "/a%2Fb?q=1", [
            ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("x-forwarded-for", "1.2.3.4"),
            ("content-type", "text/x")], body=b"some words", authority="e2e.test:8080")
        self.assertEqual(client.answer(stream).status, 200)
        request = self.origin.requests[-1]
        self.assertEqual((request.first, request.body), ("POST /a%2Fb?q=1 HTTP/1.1", b"some words"))
        self.assertEqual(request.all("Host"), ["e2e.test:8080"])
        self.assertEqual(request.all("Cookie"), ["a=1; b=2"])
        self.assertEqual(request.get("X-Forwarded-Proto"), "http")
        self.assertNotIn("1.2.3.4", request.get("X-Forwarded-For"))
        self.assertFalse(any(name.startswith(":") for name, _ in request.headers), request.headers)

    def test_host_alone_is_as_good_as_an_authority(self):
        client = self.http2(self.start())
        self.assertEqual(client.get("/", authority=None, headers={"host": "by.host"}).status, 200)
        self.assertEqual(client.get("/", authority="by.host", headers={"host": "by.host"}).status, 200)
        self.assertEqual([r.all("Host") for r in self.origin.requests], [["by.host"], ["by.host"]])

    def test_trailers_travel_both_ways(self):
        def serve(connection):
            while True:
                connection.request()
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\n"
                                b"X-Sum: 6\r\n\r\n")
        backend = self.backend(serve)
        client = self.http2(self.rondo(one_route(backend.address)))
        stream = client.open(request_fields("POST", headers={"te": "trailers"}), end=False)
        client.data(stream, b"up")
        client.headers(stream, [("x-up", "7")], WHOLE)
        answer = client.answer(stream)
        self.assertEqual((answer.body, answer.trailers), (b"abc", [("x-sum", "6")]))
        self.assertIsNone(answer.get("transfer-encoding"))
        self.assertIsNone(answer.get("connection"))
        self.assertEqual((backend.requests[0].body, [(n.lower(), v) for n, v in backend.requests[0].trailers]),
                         (b"up", [("x-up", "7")]))

    def test_answers_without_a_body_end_with_their_head(self):
        def answer(request):
            if request.method == "HEAD":
                return b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
            return f"HTTP/1.1 {request.target[1:]} X\r\nETag: \"1\"\r\n\r\n".encode()
        client = self.http2(self.rondo(one_route(self.backend(answer=answer).address)))
        head = client.answer(client.request("HEAD"))
        self.assertEqual((head.status, head.get("content-length"), head.body, head.ended), (200, "1234", b"", True))
        for status in (204, 304):
            answer = client.get(f"/{status}")
            self.assertEqual((answer.status, answer.body, answer.ended), (status, b"", True))

    def test_interim_answers_pass(self):
        def serve(connection):
            while True:
                connection.request()
                connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + ok("done"))
        client = self.http2(self.rondo(one_route(self.backend(serve).address)))
        answer = client.get()
        self.assertEqual([(i.status, i.get("link")) for i in answer.interim], [(103, "</a.css>")])
        self.assertEqual((answer.status, answer.text()), (200, "done"))

    def test_an_answer_before_the_request_s_end_stops_the_request(self):
        rondo = self.rondo(one_route(self.backend(lambda c: (c.head(), c.send(ok("enough", "Connection: close\r\n")))).address))
        client = self.http2(rondo)
        stream = client.open(request_fields("POST"), end=False)
        answer = client.answer(stream)
        self.assertEqual((answer.status, answer.text()), (200, "enough"))
        client.until(lambda: answer.reset is not None, "the request is stopped")
        self.assertEqual(answer.reset, Error.NO_ERROR)
        # What was on its way already is passed over.
        client.data(stream, b"more of it", end=True)
        client.ping()
        self.assertEqual(client.goaways, [])

    def test_an_answer_that_is_cut_is_never_taken_for_whole(self):
        def serve(connection):
            head = connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all" if head.target == "/length" else
                            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nnot all\r\n")
        client = self.http2(self.rondo(one_route(self.backend(serve).address)))
        for target in ("/length", "/chunked"):
            answer = client.get(target)
            self.assertEqual((answer.status, answer.ended, answer.reset), (200, False, Error.INTERNAL_ERROR), answer)

    def test_connect_is_not_implemented(self):
        client = self.http2(self.start())
        answer = client.answer(client.open([(":method", "CONNECT"), (":authority", "e2e.test:443")]))
        self.assertEqual(answer.status, 501)
        answer = client.answer(client.open([(":method", "CONNECT"), (":protocol", "h2c"), (":scheme", "http"), (":path", "/"),
                                            (":authority", "e2e.test")], end=False))
        self.assertEqual((answer.status, answer.reason()), (501, "connect_protocol"))
        answer = client.answer(client.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                            (":path", "/"), (":authority", "e2e.test")], end=False))
        self.assertEqual((answer.status, answer.reason()), (501, "upgrade_not_allowed"))
        self.assertEqual(self.whole, [])

    def test_heads_beyond_the_limits_are_answered_431(self):
        client = self.http2(self.start(top="limits: {header_bytes: 8KiB, header_count: 30}"))
        answer = client.get(headers={"x-large": "v" * 9000})
        self.assertEqual((answer.status, answer.reason()), (431, "headers_too_large"))
        answer = client.get(headers=[(f"x-{i}", "v") for i in range(40)])
        self.assertEqual((answer.status, answer.reason()), (431, "too_many_headers"))
        self.assertEqual(client.get("/next").text(), "/next")
        self.assertEqual(self.whole, ["/next"])


class Streams(FramesTest):
    def test_the_first_frames_are_settings_and_their_acknowledgement(self):
        client = self.http2(self.start(listener="http2: {max_streams: 7, stream_window: 128KiB, connection_window: 2MiB}"))
        client.until(lambda: client.settings_acks == 1 and client.updates[0], "settings, their acknowledgement, the window")
        self.assertEqual(client.first, Type.SETTINGS)
        self.assertEqual(client.settings[Setting.MAX_CONCURRENT_STREAMS], 7)
        self.assertEqual(client.settings[Setting.INITIAL_WINDOW_SIZE], 128 << 10)
        self.assertEqual(client.settings[Setting.ENABLE_CONNECT_PROTOCOL], 1)
        self.assertEqual(client.window, 2 << 20)

    def test_answers_come_as_they_are_ready(self):
        client = self.http2(self.start())
        held = client.request(target="/held")
        self.origin.wait_requests(1)
        for count in range(20):
            self.assertEqual(client.get(f"/{count}").text(), f"/{count}")
        self.assertFalse(client.streams[held].over)
        self.release.set()
        self.assertEqual(client.answer(held).text(), "/held")

    def test_streams_beyond_a_limit_that_the_client_does_not_know_yet_are_refused_unheard(self):
        client = self.http2(self.start(listener="http2: {max_streams: 5}"), begin=False)
        client.acknowledge = False
        client.begin()
        held = [client.request(target="/held") for _ in range(5)]
        self.origin.wait_requests(5)
        self.assertEqual(client.get("/beyond").reset, Error.REFUSED_STREAM)
        self.release.set()
        for stream in held:
            self.assertEqual(client.answer(stream).text(), "/held")
        self.assertEqual(client.get("/again").text(), "/again")
        self.assertNotIn("/beyond", self.whole)

    def test_streams_beyond_a_limit_that_the_client_has_agreed_to_are_an_error(self):
        client = self.http2(self.start(listener="http2: {max_streams: 5}"))
        client.until(lambda: client.settings_acks, "the settings").ping()
        for _ in range(5):
            client.request(target="/held")
        self.origin.wait_requests(5)
        # §5.1.2 asks for a stream error, §5.4 allows more.
        answer = client.get("/beyond")
        self.assertIn(answer.reset or client.end_code(), (Error.REFUSED_STREAM, Error.PROTOCOL_ERROR))
        self.assertNotIn("/beyond", self.whole)

    def test_a_smaller_number_begins_no_stream(self):
        client = self.http2(self.start())
        client.next_stream = 5
        self.assertEqual(client.get("/5").text(), "/5")
        client.next_stream = 3
        client.request(target="/3")
        self.assertIn(client.end_code(), (Error.PROTOCOL_ERROR, Error.STREAM_CLOSED))
        self.assertEqual(self.whole, ["/5"])

    def test_frames_that_were_on_their_way_when_a_stream_was_closed_do_no_harm(self):
        client = self.http2(self.start())
        self.assertEqual(client.get("/one").text(), "/one")
        client.write(window_update(1, 5) + reset(1) + frame(Type.PRIORITY, 0, 1, bytes(4) + b"\1"))
        self.assertEqual(client.get("/two").text(), "/two")
        self.assertEqual(client.goaways, [])

    def test_a_closed_stream_begins_no_other(self):
        client = self.http2(self.start())
        self.assertEqual(client.get("/one").text(), "/one")
        client.write(frame(Type.HEADERS, WHOLE, 1, literal(request_fields(target="/late"))))
        self.assertIn(client.end_code(), (Error.STREAM_CLOSED, Error.PROTOCOL_ERROR))
        self.assertEqual(self.whole, ["/one"])

    def test_a_stream_that_the_client_gives_up_frees_the_backend(self):
        given_up = threading.Event()

        def serve(connection):
            request = connection.request()
            if request.target == "/slow":
                connection.rest()
                given_up.set()
            connection.send(ok(request.target))
        client = self.http2(self.rondo(one_route(self.backend(serve).address)))
        stream = client.request(target="/slow")
        self.assertEqual(client.get("/quick").text(), "/quick")
        client.write(reset(stream))
        self.assertTrue(given_up.wait(harness.DEADLINE))
        self.assertEqual(client.get("/next").text(), "/next")

    def test_goaway_from_the_client_lets_its_streams_end(self):
        client = self.http2(self.start())
        held = client.request(target="/held")
        self.origin.wait_requests(1)
        client.write(frame(Type.GOAWAY, 0, 0, number(0) + number(Error.NO_ERROR)))
        self.release.set()
        self.assertEqual(client.answer(held).text(), "/held")
        self.assertIn(client.end_code(), (None, Error.NO_ERROR))


class FlowControl(FramesTest):
    def setUp(self):
        super().setUp()
        self.big = self.echo()

    def windows(self, **values):
        rondo = self.rondo(one_route(self.big.address))
        return self.http2(rondo, values={Setting[k.upper()]: v for k, v in values.items()}, open_windows=False)

    def test_no_more_is_sent_than_a_stream_s_window(self):
        client = self.windows(initial_window_size=10)
        answer = client.streams[client.request(target="/bytes/100")]
        client.until(lambda: len(answer.body) == 10, "the window's bytes").ping()
        self.assertEqual(len(answer.body), 10)
        client.write(window_update(1, 1))
        client.until(lambda: len(answer.body) == 11, "one more").ping()
        self.assertEqual(len(answer.body), 11)
        client.write(window_update(1, 89))
        self.assertEqual(client.answer(1).body, harness.pattern(100))

    def test_no_more_is_sent_than_the_connection_s_window(self):
        client = self.windows(initial_window_size=1 << 20)
        streams = [client.request(target="/bytes/40000") for _ in range(3)]
        client.until(lambda: sum(len(client.streams[s].body) for s in streams) == 65535, "the window's bytes").ping()
        self.assertEqual(sum(len(client.streams[s].body) for s in streams), 65535)
        client.write(window_update(0, 54465))
        self.assertEqual([client.answer(s).body for s in streams], [harness.pattern(40000)] * 3)

    def test_a_window_that_settings_make_negative_holds_until_it_is_positive(self):
        client = self.windows(initial_window_size=1000)
        answer = client.streams[client.request(target="/bytes/3000")]
        client.until(lambda: len(answer.body) == 1000, "the window's bytes")
        client.write(settings({Setting.INITIAL_WINDOW_SIZE: 400}) + window_update(1, 600))  # at 0 now
        client.ping()
        self.assertEqual(len(answer.body), 1000)
        client.write(settings({Setting.INITIAL_WINDOW_SIZE: 2400}))
        self.assertEqual(client.answer(1).body, harness.pattern(3000))

    def test_a_stream_without_a_window_holds_up_no_other(self):
        client = self.windows(initial_window_size=0)
        stuck = client.request(target="/bytes/1000")
        other = client.request(target="/bytes/1000")
        client.write(window_update(other, 1000))
        self.assertEqual(client.answer(other).body, harness.pattern(1000))
        self.assertEqual(client.streams[stuck].body, b"")

    def test_frames_are_no_longer_than_the_client_said(self):
        client = self.windows(initial_window_size=1 << 20)
        longest = 0
        take = client._take_data

        def measure(answer, stream, flags, payload):
            nonlocal longest
            longest = max(longest, len(payload))
            take(answer, stream, flags, payload)
        client._take_data = measure
        client.write(window_update(0, 1 << 20))
        self.assertEqual(client.answer(client.request(target="/bytes/300000")).body, harness.pattern(300000))
        self.assertLessEqual(longest, FRAME)

    def test_more_than_our_windows_is_an_error(self):
        stuck = self.backend(lambda connection: (connection.head(), self.release.wait(harness.DEADLINE)))
        client = self.http2(self.rondo(one_route(stuck.address)))
        stream = client.open(request_fields("POST", headers={"content-length": "100000000"}), end=False)
        for _ in range(100):
            # What the backend's socket takes, and the window, are full before long.
            for _ in range(60):
                client.data(stream, bytes(FRAME))
            client.ping()
            if client.over or client.streams[stream].over:
                break
        self.assertEqual(client.answer(stream).reset or client.end_code(), Error.FLOW_CONTROL_ERROR)
        self.release.set()

    def test_padding_counts_and_is_given_back(self):
        client = self.http2(self.start(listener="http2: {stream_window: 64KiB, connection_window: 64KiB}"))
        stream = client.open(request_fields("POST", "/padded"), end=False)
        # Ten times the window, most of it padding.
        for _ in range(2560):
            client.until(lambda: min(client.window, client.windows[stream]) >= 256, "windows open again")
            client.data(stream, b"\xfe" + b"x" + bytes(254), flags=Flag.PADDED)
        client.data(stream, b"", end=True)
        self.assertEqual(client.answer(stream).text(), "/padded")
        self.assertEqual(self.origin.requests[-1].body, b"x" * 2560)

    def test_bodies_of_any_size_both_ways(self):
        client = self.http2(self.rondo(one_route(self.big.address)))
        answer = client.answer(client.request("POST", "/", body=harness.pattern(2_000_001)))
        self.assertIn('"body_bytes":2000001', answer.text())
        self.assertEqual(client.get("/bytes/3000001").body, harness.pattern(3000001))


class Compression(FramesTest):
    def test_a_client_that_wants_no_table_gets_none(self):
        client = self.http2(self.start(), begin=False)
        client.decoder = hpack.Decoder()
        client.decoder.max_allowed_table_size = 0
        client.begin({Setting.HEADER_TABLE_SIZE: 0})
        for count in range(5):
            self.assertEqual(client.get(f"/{count}").text(), f"/{count}")  # the decoder objects to a larger table
        self.assertEqual(client.decoder.header_table_size, 0)

    def test_the_table_is_kept_over_requests_and_refusals(self):
        client = self.http2(self.start())
        for count in range(200):
            # Some of these are refused, but what they put into the table stays there (§4.3).
            headers = {"x-count": str(count), "x-same": "the same", **({"te": "gzip"} if count % 3 == 0 else {})}
            answer = client.get(f"/{count}", headers=headers)
            self.assertEqual(answer.status, 400 if count % 3 == 0 else 200)
            if answer.status == 200:
                self.assertEqual(self.origin.requests[-1].get("x-count"), str(count))

    def test_a_table_that_shrinks_and_grows(self):
        client = self.http2(self.start())
        for size in (0, 100, 4096, 50, 4096):
            client.encoder.header_table_size = size
            self.assertEqual(client.get("/", headers={"x-size": str(size)}).status, 200)
            self.assertEqual(self.origin.requests[-1].get("x-size"), str(size))


if __name__ == "__main__":
    harness.main()
