"""HTTP/2 for the scripts: clients that send any frame, right or wrong, and backends that behave as they are told.

Peer is a client's half of a connection as a state machine over bytes, which keeps what it received stream by stream;
Client is one on a socket. Backend is a server on python3-h2 (which objects to what Rondo must not send) whose behaviour
is a function of its connection, like harness.Backend.
"""
import collections
import contextlib
import enum
import socket
import ssl

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack

import harness

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW = 65535  # where nothing else was agreed on
FRAME = 16384


class Type(enum.IntEnum):
    DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)


class Flag:
    END_STREAM = ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Error(enum.IntEnum):
    (NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
     REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY,
     HTTP_1_1_REQUIRED) = range(14)


class Setting(enum.IntEnum):
    HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
    ENABLE_CONNECT_PROTOCOL = 8


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def settings(values=(), flags=0, stream=0):
    pairs = values.items() if isinstance(values, dict) else values
    return frame(Type.SETTINGS, flags, stream, b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in pairs))


def number(value):
    return value.to_bytes(4, "big")


def window_update(stream, increment):
    return frame(Type.WINDOW_UPDATE, 0, stream, number(increment))


def reset(stream, code=Error.CANCEL):
    return frame(Type.RST_STREAM, 0, stream, number(code))


def literal(fields):
    """A header block that depends on nothing and that the peer's table does not remember: for bytes made by hand."""
    def text(value):
        value = value.encode("latin-1") if isinstance(value, str) else value
        size, prefix = len(value), b""
        if size < 127:
            return bytes([size]) + value
        size -= 127
        while size >= 128:
            prefix += bytes([size & 127 | 128])
            size >>= 7
        return b"\x7f" + prefix + bytes([size]) + value
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def request_fields(method="GET", target="/", headers=(), scheme="http", authority="e2e.test"):
    pseudo = [(":method", method), (":scheme", scheme), (":path", target), (":authority", authority)]
    return [(n, v) for n, v in pseudo if v is not None] + list(headers.items() if isinstance(headers, dict) else headers)


class Answer(harness.Response):
    """What has come on a stream so far."""

    def __init__(self):
        super().__init__(None, [], "HTTP/2")
        self.ended = False
        self.reset = None  # the code of RST_STREAM
        self.lost = False  # the connection ended before it

    @property
    def over(self):
        return self.ended or self.lost or self.reset is not None

    def __repr__(self):
        how = "whole" if self.ended else f"reset {self.reset}" if self.reset is not None else "lost" if self.lost else "open"
        return f"<{self.status} {self.headers} {self.body[:200]!r} {self.trailers} {how}>"


class Peer:
    """A client's half. `write` sends bytes. `open_windows`: what is received may be followed by as much at once."""

    def __init__(self, write, open_windows=True):
        self.write, self.open_windows = write, open_windows
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.encoder.header_table_size = 4096
        self.streams = collections.defaultdict(Answer)
        self.next_stream = 1
        self.settings, self.settings_acks, self.acknowledge = {}, 0, True
        self.window, self.windows = WINDOW, {}
        self.pongs, self.goaways = set(), []
        self.updates = collections.Counter()  # what WINDOW_UPDATE gave, by stream
        self.first = None  # the first frame's type
        self._input, self._block = b"", b""

    def begin(self, values=()):
        self.write(PREFACE + settings(values))
        return self

    # -- what is sent --
    def headers(self, stream, fields, flags=Flag.END_HEADERS):
        self.write(frame(Type.HEADERS, flags, stream, self.encoder.encode(fields)))

    def open(self, fields, end=True):
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.streams[stream] = Answer()
        self.windows[stream] = self.settings.get(Setting.INITIAL_WINDOW_SIZE, WINDOW)
        self.headers(stream, fields, Flag.END_HEADERS | (Flag.END_STREAM if end else 0))
        return stream

    def room(self, stream):
        return max(0, min(self.window, self.windows[stream], FRAME))

    def data(self, stream, data=b"", end=False, flags=0):
        self.window -= len(data)
        self.windows[stream] = self.windows.get(stream, WINDOW) - len(data)
        self.write(frame(Type.DATA, flags | (Flag.END_STREAM if end else 0), stream, data))

    # -- what is received --
    def feed(self, data):
        self._input += data
        while len(self._input) >= 9:
            size = int.from_bytes(self._input[:3], "big")
            if len(self._input) < 9 + size:
                return
            kind, flags = self._input[3], self._input[4]
            stream, payload = int.from_bytes(self._input[5:9], "big") & 0x7fffffff, self._input[9:9 + size]
            self._input = self._input[9 + size:]
            self.first = kind if self.first is None else self.first
            self._receive(kind, flags, stream, payload)

    def end(self):
        for answer in self.streams.values():
            answer.lost = not answer.over

    def _receive(self, kind, flags, stream, payload):
        if kind == Type.SETTINGS:
            self._take_settings(flags, payload)
        elif kind == Type.PING:
            if flags & Flag.ACK:
                self.pongs.add(payload)
            else:
                self.write(frame(Type.PING, Flag.ACK, 0, payload))
        elif kind == Type.GOAWAY:
            self.goaways.append((int.from_bytes(payload[:4], "big"), Error(int.from_bytes(payload[4:8], "big"))))
        elif kind == Type.WINDOW_UPDATE:
            self.updates[stream] += int.from_bytes(payload, "big")
            if stream == 0:
                self.window += int.from_bytes(payload, "big")
            elif stream in self.windows:
                self.windows[stream] += int.from_bytes(payload, "big")
        elif kind in (Type.HEADERS, Type.CONTINUATION):
            assert not flags & (Flag.PADDED | Flag.PRIORITY), "not expected from Rondo"
            self._block += payload
            if kind == Type.HEADERS:
                self._block_ends = flags & Flag.END_STREAM
            if flags & Flag.END_HEADERS:
                block, self._block = self._block, b""
                self._take_headers(self.streams[stream], self.decoder.decode(block, raw=True), self._block_ends)
        elif kind == Type.DATA:
            self._take_data(self.streams[stream], stream, flags, payload)
        elif kind == Type.RST_STREAM:
            self.streams[stream].reset = Error(int.from_bytes(payload, "big"))
        else:
            raise AssertionError(f"a frame of type {kind} that a server has no reason to send")

    def _take_settings(self, flags, payload):
        if flags & Flag.ACK:
            self.settings_acks += 1
            return
        before = self.settings.get(Setting.INITIAL_WINDOW_SIZE, WINDOW)
        for at in range(0, len(payload), 6):
            self.settings[int.from_bytes(payload[at:at + 2], "big")] = int.from_bytes(payload[at + 2:at + 6], "big")
        for stream in self.windows:
            self.windows[stream] += self.settings.get(Setting.INITIAL_WINDOW_SIZE, WINDOW) - before
        if self.acknowledge:
            self.write(settings((), Flag.ACK))

    @staticmethod
    def _take_headers(answer, fields, ends):
        assert not answer.ended, "headers behind the end"
        fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in fields]
        assert all(n == n.lower() for n, _ in fields), fields
        status = next((int(v) for n, v in fields if n == ":status"), None)
        if answer.status is not None:
            assert ends and status is None, f"trailers must end the stream and have no status: {fields}"
            answer.trailers = fields
        elif status < 200:
            interim = Answer()
            interim.status, interim.headers = status, fields[1:]
            answer.interim.append(interim)
        else:
            answer.status, answer.headers = status, fields[1:]
        answer.ended = bool(ends)

    def _take_data(self, answer, stream, flags, payload):
        assert answer.status is not None and not answer.ended, "DATA without a head, or behind the end"
        assert not flags & Flag.PADDED
        answer.body += payload
        answer.ended = bool(flags & Flag.END_STREAM)
        if payload and self.open_windows:
            self.write(window_update(0, len(payload)) + (b"" if answer.ended else window_update(stream, len(payload))))


class Client(Peer):
    """On a socket; each call that waits reads until what it waits for is there."""

    def __init__(self, sock, values=(), begin=True, **options):
        self.sock = sock
        sock.settimeout(harness.DEADLINE)
        super().__init__(self.send, **options)
        self.over, self._pings = False, 1 << 60
        if begin:
            self.begin(values)

    def send(self, data):
        # A server that ended the connection says so in what it sent before.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self.sock.sendall(data)

    def request(self, method="GET", target="/", headers=(), body=None, **options):
        """Sends a whole request; returns its stream."""
        stream = self.open(request_fields(method, target, headers, **options), end=body is None)
        if body is not None:
            self.body(stream, body)
        return stream

    def body(self, stream, body, end=True):
        """Sends as the windows allow."""
        at = 0
        while at < len(body) and not self.streams[stream].over:
            if self.room(stream) == 0:
                self.pump()
                continue
            piece = body[at:at + self.room(stream)]
            at += len(piece)
            self.data(stream, piece, end and at == len(body))
        if not body and end:
            self.data(stream, b"", True)

    def pump(self):
        """Takes what comes next; False at the end of the connection."""
        if self.over:
            return False
        try:
            data = self.sock.recv(1 << 18)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        if data:
            self.feed(data)
        else:
            self.over = True
            self.end()
        return not self.over

    def until(self, condition, what):
        while not condition():
            if not self.pump():
                assert condition(), f"the connection ended with {self.goaways} before: {what}"
        return self

    def answer(self, stream):
        """Once it is over, whole or not."""
        while not self.streams[stream].over and self.pump():
            pass
        return self.streams[stream]

    def head(self, stream):
        """Once a final head is there."""
        while self.streams[stream].status is None and not self.streams[stream].over and self.pump():
            pass
        return self.streams[stream]

    def get(self, target="/", **options):
        return self.answer(self.request("GET", target, **options))

    def ping(self):
        """Waits until all that was sent before has been taken, or the connection has ended."""
        self._pings += 1
        payload = self._pings.to_bytes(8, "big")
        self.write(frame(Type.PING, 0, 0, payload))
        return self.until(lambda: payload in self.pongs or self.over, "the answer to a PING")

    def end_code(self):
        """The code of GOAWAY once the connection has ended; None where it ended without one."""
        while self.pump():
            pass
        return self.goaways[-1][1] if self.goaways else None

    def close(self):
        self.sock.close()


def connect(address, context=None, name="localhost", **options):
    """A client by prior knowledge, or by ALPN where there is a TLS context."""
    sock = harness.connect(address).sock
    if context:
        context.set_alpn_protocols(["h2"])
        sock = context.wrap_socket(sock, server_hostname=name)
        assert sock.selected_alpn_protocol() == "h2", sock.selected_alpn_protocol()
    return Client(sock, **options)


class Request(harness.Request):
    """A request as a backend received it; `stream` is where it is answered."""

    def __init__(self, stream, fields):
        pseudo = {n: v for n, v in fields if n.startswith(":")}
        self.pseudo = pseudo
        super().__init__(f"{pseudo[':method']} {pseudo.get(':path', '')} HTTP/2",
                         [(n, v) for n, v in fields if not n.startswith(":")])
        self.stream, self.whole, self.reset = stream, False, None


class BackendConnection:
    """One connection to a Backend. Calls that wait take what comes meanwhile on all streams."""

    def __init__(self, wire, backend, values):
        self.wire, self.backend = wire, backend
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
        self.open_windows = True
        self.settings_acks = 0
        self.requests = {}
        self.goaway = None
        self._heads, self._whole = collections.deque(), collections.deque()
        self._input = b""
        self.h2.initiate_connection()
        # In force, and looked after, once they were acknowledged.
        self.h2.update_settings({h2.settings.SettingCodes(k): v for k, v in values.items()})
        self.flush()

    def flush(self):
        self.wire.send(self.h2.data_to_send())

    def send(self, data):
        """Frames that python3-h2 would not send itself."""
        self.flush()
        self.wire.send(data)

    def pump(self):
        if not self.wire.fill():
            raise EOFError("the connection's end")
        data, self.wire.buffer = self._input + self.wire.buffer, b""
        if self.h2.state_machine.state == h2.connection.ConnectionState.IDLE and data.startswith(PREFACE):
            self.h2.receive_data(PREFACE)
            data = data[len(PREFACE):]
        # Frame by frame, since python3-h2 would take nothing more behind a GOAWAY, and answer nothing.
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            size = 9 + int.from_bytes(data[:3], "big")
            if data[3] == Type.GOAWAY:
                self.goaway = int.from_bytes(data[13:17], "big")
            else:
                for event in self.h2.receive_data(data[:size]):
                    self._take(event)
            data = data[size:]
        self._input = data
        self.flush()

    def _take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            request = self.requests[event.stream_id] = Request(event.stream_id, event.headers)
            self.backend.note(request)
            self._heads.append(request)
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id].body += event.data
            if self.open_windows and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.requests[event.stream_id].trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            request = self.requests[event.stream_id]
            request.whole = True
            self._whole.append(request)
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.settings_acks += 1
        elif isinstance(event, h2.events.StreamReset):
            self.requests[event.stream_id].reset = Error(event.error_code)

    def until(self, condition):
        while not condition():
            self.pump()

    def wait_end(self):
        """Until the other side closes."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.pump()

    def head(self):
        """The next request's head."""
        self.until(lambda: self._heads)
        return self._heads.popleft()

    def request(self):
        """The next request that is whole."""
        self.until(lambda: self._whole)
        return self._whole.popleft()

    def answer(self, request, status=200, headers=(), body=b"", trailers=(), end=True):
        body = body.encode() if isinstance(body, str) else body
        self.h2.send_headers(request.stream, [(":status", str(status)), *headers],
                             end_stream=end and not body and not trailers)
        self.body(request, body, end=end and not trailers)
        if trailers:
            self.h2.send_headers(request.stream, list(trailers), end_stream=True)
        self.flush()

    def body(self, request, body, end=True):
        stream = request.stream
        while body and request.reset is None:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.flush()
                self.pump()
                continue
            self.h2.send_data(stream, body[:room], end_stream=end and len(body) <= room)
            body = body[room:]
        self.flush()

    def reset(self, request, code=Error.CANCEL):
        self.h2.reset_stream(request.stream, code)
        self.flush()

    def go_away(self, last, code=Error.NO_ERROR):
        self.send(frame(Type.GOAWAY, 0, 0, number(last) + number(code)))


class Backend(harness.Backend):
    """serve(connection), or answer(request) giving the arguments of BackendConnection.answer as a dict."""

    def __init__(self, serve=None, answer=None, values=None, context=None, **options):
        answer = answer or (lambda request: {"body": request.target})

        def answering(connection):
            while True:
                request = connection.request()
                connection.answer(request, **answer(request))
        script = serve or answering

        def speak(wire):
            if context:
                wire.sock = context.wrap_socket(wire.sock, server_side=True)
            connection = BackendConnection(wire, self, values or {})
            try:
                script(connection)
            except ssl.SSLError:
                pass  # ended without a word; the scripts look at what Rondo makes of it
        super().__init__(speak, **options)

    def stop(self):
        super().stop()
        for wire in self._wires:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)


class Http2Test(harness.EndToEnd):
    def http2_backend(self, serve=None, **options):
        backend = Backend(serve, **options)

        def finish():
            backend.stop()
            self.assertEqual(backend.failures, [])
        self.addCleanup(finish)
        return backend

    def http2(self, rondo, listener="web", **options):
        client = connect(rondo.address(listener), **options)
        self._clients.append(client)
        self.addCleanup(client.close)
        return client
