"""What RFC 9113 and RFC 7541 ask of a server, as far as it shows from outside: frames in, and what becomes of them.

The tables go by section. A connection error is GOAWAY with one of the codes and the connection's end; a stream error is
RST_STREAM with one of them, with the connection going on (or the same as a connection error, which §5.4 leaves to the
server). Whatever is refused, the backend hears nothing of it, and others are served.
"""
import threading

import harness
from certificates import Authority, certificates, secure
from harness import ok, one_route
from http2 import (Error, Flag, FRAME, Http2Test, PREFACE, Setting, Type, frame, literal, number, request_fields, reset,
                   settings, window_update)

GET = literal(request_fields())
POST = literal(request_fields("POST"))
WHOLE = Flag.END_HEADERS | Flag.END_STREAM
OPEN = frame(Type.HEADERS, Flag.END_HEADERS, 1, POST)  # a stream whose body is to come
HELD = frame(Type.HEADERS, WHOLE, 1, literal(request_fields(target="/held")))  # one that the backend does not answer

PROTOCOL, FLOW, CLOSED, SIZE, COMPRESSION = (Error.PROTOCOL_ERROR, Error.FLOW_CONTROL_ERROR, Error.STREAM_CLOSED,
                                             Error.FRAME_SIZE_ERROR, Error.COMPRESSION_ERROR)

CONNECTION_ERRORS = [
    ("3.4", "the preface is followed by SETTINGS", None, [PROTOCOL]),
    ("4.2", "HEADERS longer than SETTINGS_MAX_FRAME_SIZE", frame(Type.HEADERS, WHOLE, 1, bytes(FRAME + 1)), [SIZE]),
    ("4.2", "SETTINGS longer than that", frame(Type.SETTINGS, 0, 0, bytes(6 * 2731)), [SIZE, Error.ENHANCE_YOUR_CALM]),
    ("4.3", "a header block that is no HPACK", frame(Type.HEADERS, WHOLE, 1, b"\x7f\xff\xff\xff\xff\xff\xff"), [COMPRESSION]),
    ("4.3", "a header block that breaks off within a field", frame(Type.HEADERS, WHOLE, 1, GET[:-3]), [COMPRESSION]),
    ("4.3", "a frame of another type within a header block",
     frame(Type.HEADERS, Flag.END_STREAM, 1, GET[:5]) + frame(Type.PRIORITY, 0, 1, b"\0\0\0\0\0"), [PROTOCOL]),
    ("4.3", "a frame of another stream within a header block",
     frame(Type.HEADERS, Flag.END_STREAM, 1, GET[:5]) + frame(Type.HEADERS, WHOLE, 3, GET), [PROTOCOL]),
    ("5.1", "DATA on an idle stream", frame(Type.DATA, Flag.END_STREAM, 1, b"x"), [PROTOCOL, CLOSED]),
    ("5.1", "RST_STREAM on an idle stream", reset(1), [PROTOCOL]),
    ("5.1", "WINDOW_UPDATE on an idle stream", window_update(1, 100), [PROTOCOL]),
    ("5.1", "CONTINUATION on an idle stream", frame(Type.CONTINUATION, Flag.END_HEADERS, 1, GET), [PROTOCOL]),
    ("5.1.1", "a stream with an even number", frame(Type.HEADERS, WHOLE, 2, GET), [PROTOCOL]),
    ("5.5", "a frame of an unknown type within a header block",
     frame(Type.HEADERS, Flag.END_STREAM, 1, GET[:5]) + frame(0x16, 0, 0, b"?"), [PROTOCOL]),
    ("6.1", "DATA on stream 0", frame(Type.DATA, 0, 0, b"x"), [PROTOCOL]),
    ("6.1", "DATA whose padding is as long as itself", OPEN + frame(Type.DATA, Flag.PADDED, 1, b"\x06aaaaa"), [PROTOCOL]),
    ("6.2", "HEADERS on stream 0", frame(Type.HEADERS, WHOLE, 0, GET), [PROTOCOL]),
    ("6.2", "HEADERS whose padding is longer than themselves", frame(Type.HEADERS, WHOLE | Flag.PADDED, 1, b"\xff" + GET),
     [PROTOCOL]),
    ("6.3", "PRIORITY on stream 0", frame(Type.PRIORITY, 0, 0, bytes(5)), [PROTOCOL]),
    ("6.4", "RST_STREAM on stream 0", reset(0), [PROTOCOL]),
    ("6.4", "RST_STREAM of other than 4 bytes", HELD + frame(Type.RST_STREAM, 0, 1, bytes(3)), [SIZE]),
    ("6.5", "SETTINGS of other than whole entries", frame(Type.SETTINGS, 0, 0, bytes(5)), [SIZE]),
    ("6.5", "an acknowledgement with a payload", settings({1: 1}, Flag.ACK), [SIZE]),
    ("6.5", "SETTINGS on a stream", settings({}, stream=1), [PROTOCOL]),
    ("6.5.2", "ENABLE_PUSH of 2", settings({Setting.ENABLE_PUSH: 2}), [PROTOCOL]),
    ("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", settings({Setting.INITIAL_WINDOW_SIZE: 1 << 31}), [FLOW]),
    ("6.5.2", "MAX_FRAME_SIZE below 2^14", settings({Setting.MAX_FRAME_SIZE: FRAME - 1}), [PROTOCOL]),
    ("6.5.2", "MAX_FRAME_SIZE above 2^24 - 1", settings({Setting.MAX_FRAME_SIZE: 1 << 24}), [PROTOCOL]),
    ("8441 3", "ENABLE_CONNECT_PROTOCOL of 2", settings({Setting.ENABLE_CONNECT_PROTOCOL: 2}), [PROTOCOL]),
    ("6.6", "PUSH_PROMISE from a client", HELD + frame(Type.PUSH_PROMISE, Flag.END_HEADERS, 1, number(2) + GET), [PROTOCOL]),
    ("6.7", "PING on a stream", frame(Type.PING, 0, 1, bytes(8)), [PROTOCOL]),
    ("6.7", "PING of other than 8 bytes", frame(Type.PING, 0, 0, bytes(6)), [SIZE]),
    ("6.8", "GOAWAY on a stream", frame(Type.GOAWAY, 0, 1, bytes(8)), [PROTOCOL]),
    ("6.8", "GOAWAY without a code", frame(Type.GOAWAY, 0, 0, bytes(4)), [SIZE]),
    ("6.9", "WINDOW_UPDATE by 0 of the connection", window_update(0, 0), [PROTOCOL]),
    ("6.9", "WINDOW_UPDATE of other than 4 bytes", frame(Type.WINDOW_UPDATE, 0, 0, bytes(3)), [SIZE]),
    ("6.9.1", "a connection's window beyond 2^31 - 1", window_update(0, (1 << 31) - 1), [FLOW]),
    ("6.10", "CONTINUATION on stream 0", frame(Type.HEADERS, Flag.END_STREAM, 1, GET[:5]) +
     frame(Type.CONTINUATION, Flag.END_HEADERS, 0, GET[5:]), [PROTOCOL]),
    ("6.10", "CONTINUATION behind a header block's end", frame(Type.HEADERS, Flag.END_HEADERS, 1, POST) +
     frame(Type.CONTINUATION, Flag.END_HEADERS, 1, b""), [PROTOCOL]),
    ("6.10", "CONTINUATION behind DATA", OPEN + frame(Type.DATA, 0, 1, b"x") +
     frame(Type.CONTINUATION, Flag.END_HEADERS, 1, b""), [PROTOCOL]),
    ("7541 2.3.3", "an index that the tables do not reach", frame(Type.HEADERS, WHOLE, 1, GET + b"\xff\x00"), [COMPRESSION]),
    ("7541 4.2", "a table size update behind a field", frame(Type.HEADERS, WHOLE, 1, GET + b"\x20"), [COMPRESSION]),
    ("7541 5.1", "an integer that does not end", frame(Type.HEADERS, WHOLE, 1, GET + b"\xff" + b"\xff" * 20 + b"\x7f"), [COMPRESSION]),
    ("7541 5.2", "Huffman padding of more than 7 bits", frame(Type.HEADERS, WHOLE, 1, GET + b"\0\x81x\x82\x1f\xff"), [COMPRESSION]),
    ("7541 5.2", "Huffman padding of zeros", frame(Type.HEADERS, WHOLE, 1, GET + b"\0\x01x\x81\x18"), [COMPRESSION]),
    ("7541 5.2", "EOS in a string", frame(Type.HEADERS, WHOLE, 1, GET + b"\0\x01x\x84\xff\xff\xff\xff"), [COMPRESSION]),
    ("7541 6.1", "index 0", frame(Type.HEADERS, WHOLE, 1, GET + b"\x80"), [COMPRESSION]),
    ("7541 6.3", "a table size beyond what was offered", frame(Type.HEADERS, WHOLE, 1, b"\x3f\xff\xff\x03" + GET), [COMPRESSION]),
]

STREAM_ERRORS = [
    ("4.2", "DATA longer than SETTINGS_MAX_FRAME_SIZE", OPEN + frame(Type.DATA, 0, 1, bytes(FRAME + 1)), [SIZE]),
    ("5.1", "DATA behind the end of a request", HELD + frame(Type.DATA, Flag.END_STREAM, 1, b"x"), [CLOSED]),
    ("5.1", "HEADERS behind the end of a request", HELD + frame(Type.HEADERS, WHOLE, 1, GET), [CLOSED]),
    ("6.3", "PRIORITY of other than 5 bytes", HELD + frame(Type.PRIORITY, 0, 1, bytes(4)), [SIZE]),
    ("6.9", "WINDOW_UPDATE by 0 of a stream", HELD + window_update(1, 0), [PROTOCOL]),
    ("6.9.1", "a stream's window beyond 2^31 - 1", HELD + window_update(1, (1 << 31) - 1), [FLOW]),
    # §6.9.2 asks for a connection error; nghttp2 ends the stream.
    ("6.9.2", "a SETTINGS that drives a stream's window beyond 2^31 - 1",
     settings({Setting.INITIAL_WINDOW_SIZE: 0}) + HELD + window_update(1, 1 << 30) +
     settings({Setting.INITIAL_WINDOW_SIZE: (1 << 31) - 1}), [FLOW]),
    ("8.1", "a second head that does not end the stream",
     OPEN + frame(Type.HEADERS, Flag.END_HEADERS, 1, literal([("x", "y")])), [PROTOCOL]),
    ("8.1", "trailers with a pseudo-header", OPEN + frame(Type.HEADERS, WHOLE, 1, literal([(":path", "/")])), [PROTOCOL]),
    ("8.1.1", "less DATA than Content-Length says",
     frame(Type.HEADERS, Flag.END_HEADERS, 1, literal(request_fields("POST", headers={"content-length": "5"}))) +
     frame(Type.DATA, Flag.END_STREAM, 1, b"four"), [PROTOCOL]),
    ("8.1.1", "more DATA than Content-Length says",
     frame(Type.HEADERS, Flag.END_HEADERS, 1, literal(request_fields("POST", headers={"content-length": "3"}))) +
     frame(Type.DATA, Flag.END_STREAM, 1, b"four"), [PROTOCOL]),
    ("8.1.1", "more DATA than Content-Length says, in a frame of its own",
     frame(Type.HEADERS, Flag.END_HEADERS, 1, literal(request_fields("POST", headers={"content-length": "3"}))) +
     frame(Type.DATA, 0, 1, b"thr") + frame(Type.DATA, Flag.END_STREAM, 1, b"GET /smuggled HTTP/1.1\r\n\r\n"), [PROTOCOL]),
]

# Frames around a request that is then served.
HARMLESS = [
    ("4.1", "a frame of an unknown type", frame(0x16, 0xff, 0, b"what is this") + frame(0xbe, 0, 7, bytes(1000))),
    ("4.1", "flags that are not defined", frame(Type.PING, 0xfe, 0, b"12345678") + settings({}, 0xfe)),
    ("4.1", "the reserved bit of a stream's number", frame(Type.PING, 0, 1 << 31, b"12345678")),
    ("5.1", "PRIORITY on idle streams", frame(Type.PRIORITY, 0, 9, number(3) + b"\x10")),
    ("5.1.1", "streams that were left out", b""),
    ("6.5.2", "a setting that nobody knows", settings({0x99: 7, 0xffff: 0xffffffff})),
    ("6.5.2", "the same setting several times", settings([(Setting.INITIAL_WINDOW_SIZE, 1), (Setting.INITIAL_WINDOW_SIZE, 9)])),
    ("6.5.2", "the bounds of MAX_FRAME_SIZE", settings({Setting.MAX_FRAME_SIZE: FRAME}) +
     settings({Setting.MAX_FRAME_SIZE: (1 << 24) - 1})),
    ("6.7", "a PING that is an answer to none", frame(Type.PING, Flag.ACK, 0, b"12345678")),
    ("7", "RST_STREAM with a code that nobody knows", frame(Type.HEADERS, WHOLE, 1, GET) + reset(1, 0xabcdef)),
    ("9218", "PRIORITY_UPDATE", frame(0x10, 0, 0, number(3) + b"u=1, i")),
    ("7541 4.2", "a table of no size", frame(Type.HEADERS, WHOLE, 1, b"\x20" + GET)),
    ("7541 4.2", "two table size updates", frame(Type.HEADERS, WHOLE, 1, b"\x20\x3f\xe1\x1f" + GET)),
]

# Requests that two recipients could read differently, refused with 400 and a reason.
PLAIN = request_fields()
REFUSED = [
    ("8.2.1", "a name in upper case", [*PLAIN, ("X-Upper", "1")], "header_name"),
    ("8.2.1", "an empty name", [*PLAIN, ("", "1")], "header_name"),
    ("8.2.1", "a name with a space", [*PLAIN, ("a b", "1")], "header_name"),
    ("8.2.1", "a name with a colon within", [*PLAIN, ("a:b", "1")], "header_name"),
    ("8.2.1", "a name with CR LF", [*PLAIN, ("x\r\nhost", "other")], "header_name"),
    ("8.2.1", "a name with NUL", [*PLAIN, ("a\0b", "1")], "header_name"),
    ("8.2.1", "a name beyond ASCII", [*PLAIN, ("\xe9", "1")], "header_name"),
    ("8.2.1", "a value with LF", [*PLAIN, ("x", "1\nhost: other")], "header_value"),
    ("8.2.1", "a value with CR", [*PLAIN, ("x", "1\rhost: other")], "header_value"),
    ("8.2.1", "a value with CR LF and a request",
     [*PLAIN, ("x", "1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")], "header_value"),
    ("8.2.1", "a value with NUL", [*PLAIN, ("x", "a\0b")], "header_value"),
    ("8.2.1", "a value that begins with a space", [*PLAIN, ("x", " a")], "header_value"),
    ("8.2.1", "a value that ends with a tab", [*PLAIN, ("x", "a\t")], "header_value"),
    ("8.2.2", "connection", [*PLAIN, ("connection", "close")], "connection_header"),
    ("8.2.2", "transfer-encoding", [*request_fields("POST"), ("transfer-encoding", "chunked")], "connection_header"),
    ("8.2.2", "keep-alive", [*PLAIN, ("keep-alive", "timeout=5")], "connection_header"),
    ("8.2.2", "proxy-connection", [*PLAIN, ("proxy-connection", "keep-alive")], "connection_header"),
    ("8.2.2", "upgrade", [*PLAIN, ("upgrade", "websocket")], "connection_header"),
    ("8.2.2", "te other than trailers", [*PLAIN, ("te", "gzip")], "connection_header"),
    ("8.3", "a pseudo-header that is not defined", [*PLAIN[:1], (":test", "ok"), *PLAIN[1:]], "pseudo_header"),
    ("8.3", "a response's pseudo-header", [*PLAIN, (":status", "200")], "pseudo_header"),
    ("8.3", "a pseudo-header behind a field", [PLAIN[0], PLAIN[1], ("x", "1"), *PLAIN[2:]], "pseudo_header"),
    ("8.3.1", "no :method", PLAIN[1:], "pseudo_header"),
    ("8.3.1", "no :scheme", [PLAIN[0], *PLAIN[2:]], "pseudo_header"),
    ("8.3.1", "no :path", [*PLAIN[:2], PLAIN[3]], "pseudo_header"),
    ("8.3.1", "an empty :path", request_fields(target=""), "pseudo_header"),
    ("8.3.1", "two :method", [PLAIN[0], *PLAIN], "pseudo_header"),
    ("8.3.1", "two :path", [*PLAIN[:3], (":path", "/other"), PLAIN[3]], "pseudo_header"),
    ("8.3.1", "two :authority", [*PLAIN, (":authority", "other")], "pseudo_header"),
    ("8.3.1", "a :method with a space and more", request_fields("GET /smuggled HTTP/1.1\r\nx:"), "pseudo_header"),
    ("8.3.1", "a :path with a space", request_fields(target="/a HTTP/1.1"), "pseudo_header"),
    ("8.3.1", "a :path with CR LF", request_fields(target="/a HTTP/1.1\r\nhost: other\r\n\r\n"), "pseudo_header"),
    ("8.3.1", "a :path without a slash", request_fields(target="a"), "pseudo_header"),
    ("8.3.1", "an :authority with CR LF", request_fields(authority="e2e.test\r\nx: y"), "pseudo_header"),
    ("8.3.1", "a :scheme with a colon", request_fields(scheme="http://other/?"), "pseudo_header"),
    ("8.3.1", "an :authority and another host", [*PLAIN, ("host", "other.test")], "authority_and_host_differ"),
    ("8.3.1", "an :authority with a user", request_fields(authority="user@e2e.test"), "no_authority"),
    ("8.3.1", "neither :authority nor host", request_fields(authority=None), "no_authority"),
    ("8.1.1", "a Content-Length that is no number", request_fields("POST", headers={"content-length": "+5"}), "content_length"),
    ("8.1.1", "two Content-Lengths that differ",
     request_fields("POST", headers=[("content-length", "5"), ("content-length", "6")]), "content_length"),
    ("8.1.1", "a Content-Length where the head ends the stream", request_fields("POST", headers={"content-length": "5"}),
     "content_length"),
]


class FramesTest(Http2Test):
    def setUp(self):
        super().setUp()
        self.release = threading.Event()
        self.addCleanup(self.release.set)
        self.whole = []  # targets of requests that arrived with all of their body

        def serve(connection):
            while True:
                request = connection.request()
                self.whole.append(request.target)
                if request.target == "/held":
                    self.release.wait(harness.DEADLINE)
                connection.send(ok(request.target))
        self.origin = self.backend(serve)

    def start(self, **options):
        return self.rondo(one_route(self.origin.address, **options))


class Errors(FramesTest):
    def refused(self, rondo, data):
        """A client that has sent `data` behind the preface and its settings (None: no settings), and what the backend had."""
        self.whole.clear()
        client = self.http2(rondo, begin=False)
        client.send(PREFACE + (settings({}) + data if data is not None else frame(Type.HEADERS, WHOLE, 1, GET)))
        return client

    def test_errors_that_end_the_connection(self):
        rondo = self.start()
        for section, what, data, codes in CONNECTION_ERRORS:
            with self.subTest(section=section, what=what):
                client = self.refused(rondo, data)
                self.assertIn(client.end_code(), codes)
                self.assertEqual(client.first, Type.SETTINGS)
                self.assertLessEqual(set(self.whole), {"/held"})
        self.check_alive(rondo)

    def test_errors_that_end_a_stream(self):
        rondo = self.start()
        for section, what, data, codes in STREAM_ERRORS:
            with self.subTest(section=section, what=what):
                client = self.refused(rondo, data)
                answer = client.answer(1)
                if answer.reset is not None:
                    self.assertIn(answer.reset, codes)
                    self.assertEqual(client.answer(self.later(client)).status, 200)
                else:
                    self.assertIn(client.end_code(), codes, answer)
                self.assertLessEqual(set(self.whole), {"/held", "/"})
        self.check_alive(rondo)

    def later(self, client):
        client.next_stream = 11
        return client.request(target="/")

    def test_what_must_do_no_harm(self):
        rondo = self.start()
        for section, what, data in HARMLESS:
            with self.subTest(section=section, what=what):
                client = self.http2(rondo)
                client.send(data)
                client.next_stream = 11
                self.assertEqual(client.get("/after").text(), "/after")
                client.ping()
                self.assertEqual(client.goaways, [])

    def test_requests_that_could_be_read_two_ways_reach_nobody(self):
        rondo = self.start()
        client = self.http2(rondo)
        for section, what, fields, reason in REFUSED:
            with self.subTest(section=section, what=what):
                if client.over or client.goaways:
                    client = self.http2(rondo)
                stream, client.next_stream = client.next_stream, client.next_stream + 2
                client.write(frame(Type.HEADERS, WHOLE, stream, literal(fields)))
                answer = client.answer(stream)
                self.assertEqual((answer.status, answer.reason() if answer.body else answer.reset), (400, reason), answer)
                # The connection goes on, and what the backend has had is this request alone.
                self.assertEqual(client.get("/next").text(), "/next")
                self.assertEqual(self.whole, ["/next"])
                self.whole.clear()
        self.assertEqual(self.origin.failures, [])

    def test_a_preface_that_is_none(self):
        rondo = self.start()
        for data in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI / HTTP/2.0\r\nHost: x\r\n\r\nSM\r\n\r\n",
                     b"INVALID CONNECTION PREFACE\r\n\r\n"):
            client = self.client(rondo)
            client.send(data)
            answer = client.rest()
            self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 5") or
                            answer[3] == Type.SETTINGS, answer)
            self.assertEqual(self.whole, [])
        self.check_alive(rondo)

    def test_over_tls_it_is_spoken_by_agreement_alone(self):
        authority = Authority(self.folder)
        rondo = self.start(listener=f"tls: {{certificates: {certificates(authority.leaf('web'))}}}")
        client = self.http2(rondo, context=authority.context())
        self.assertEqual(client.get("/agreed", scheme="https").text(), "/agreed")
        context = authority.context()
        context.set_alpn_protocols(["h2"])
        liar = secure(rondo.address(), context)
        liar.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertNotIn(b"200 OK", liar.rest())
        context = authority.context()
        context.set_alpn_protocols(["http/1.1"])
        liar = secure(rondo.address(), context)
        liar.send(PREFACE + settings({}) + frame(Type.HEADERS, WHOLE, 1, GET))
        self.assertNotIn(b"200", liar.rest())
        self.assertEqual(self.whole, ["/agreed"])


if __name__ == "__main__":
    harness.main()
