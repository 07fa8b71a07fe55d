"""scaling.Load over HTTP/2: few connections, each with several requests always in flight, WebSockets among them (RFC
8441). Every answer is checked. A GOAWAY is followed as a client should: what it leaves out is asked again on another
connection, and all else must come whole."""
import asyncio
import json
import random

from harness import DEADLINE, pattern
from http2 import Error, Peer, reset
from scaling import Load

STREAMS = 8  # requests in flight on each connection


class Connection(Peer):
    """A client's connection in asyncio."""

    def __init__(self, reader, writer):
        super().__init__(writer.write)
        self._reader, self._writer = reader, writer
        self._waiting = []
        self.over = False
        self.tunnels = {}
        self.begin()
        self._task = asyncio.create_task(self._read())

    @property
    def leaving(self):
        return self.over or bool(self.goaways)

    def unprocessed(self, stream):
        """Whether the server said that it did nothing with it."""
        return any(stream > last for last, _ in self.goaways)

    async def _read(self):
        try:
            while data := await self._reader.read(1 << 16):
                self.feed(data)
                self._wake()
        except (OSError, AssertionError, KeyError) as error:
            self.broken = repr(error)
        self.over = True
        self.end()
        for reader in self.tunnels.values():
            reader.feed_eof()
        self._wake()
        self._writer.close()

    broken = None

    def _wake(self):
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, condition):
        while not condition():
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def _take_data(self, answer, stream, flags, payload):
        super()._take_data(answer, stream, flags, payload)
        if stream in self.tunnels:
            self.tunnels[stream].feed_data(payload)
            if answer.ended:
                self.tunnels[stream].feed_eof()

    async def body(self, stream, body):
        at = 0
        while at < len(body):
            await self.until(lambda: self.room(stream) or self.streams[stream].over)
            if self.streams[stream].over:
                return
            piece = body[at:at + self.room(stream)]
            at += len(piece)
            self.data(stream, piece, at == len(body))

    def close(self):
        self._task.cancel()
        self._writer.close()


class Tunnel:
    """Stands where a StreamWriter would."""

    def __init__(self, connection, stream):
        self._connection, self._stream = connection, stream

    def write(self, data):
        assert self._connection.room(self._stream) >= len(data), "no window for a small frame"
        self._connection.data(self._stream, data)

    def close(self):
        if not self._connection.streams[self._stream].over:
            self._connection.write(reset(self._stream, Error.CANCEL))


class Http2Load(Load):
    """`connections` of them with STREAMS clients on each. `unprocessed` counts requests that a GOAWAY left out."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        if self._tls:
            self._tls["ssl"].set_alpn_protocols(["h2"])
        self._shared = [None] * self._connections
        self._locks = [asyncio.Lock() for _ in self._shared]
        self._connections *= STREAMS
        self.unprocessed = self.opened = self.cancelled = 0
        self.refused_is_the_end = False  # from a SIGTERM on
        self._made = []

    async def _main(self):
        await super()._main()
        for connection in self._made:
            connection.close()

    async def _connection(self, number):
        """One that takes requests, or None where there is none any more."""
        index = number % len(self._shared)
        async with self._locks[index]:
            connection = self._shared[index]
            if connection is None or connection.leaving:
                try:
                    connection = Connection(*await asyncio.open_connection(self._host, self._port, **self._tls))
                except OSError as error:
                    if self.refused_is_the_end:
                        self._stop.set()
                        return None
                    raise error
                self.opened += 1
                self._made.append(connection)
                self._shared[index] = connection
            return connection

    async def _client(self, number):
        rng = random.Random(self._seed * 1000 + number)
        while not self._stop.is_set():
            request = self._draw(rng, number)
            request["cancel"] = rng.random() < 0.02
            try:
                connection = await self._connection(number)
                if connection is None:
                    return
                await asyncio.wait_for(self._exchange_on(connection, request), DEADLINE)
            except (OSError, EOFError, asyncio.TimeoutError, ValueError, AssertionError) as error:
                self._failed(request, f"{error!r}")
                await asyncio.sleep(0.01)

    async def _exchange_on(self, connection, request):
        kind, size, path = request["kind"], request["size"], request["path"]
        base = path.rstrip("/")
        method, headers, body = "GET", [], None
        if kind == "chunked":
            path = f"{base}/chunked/{size}"
        elif kind == "bytes":
            size *= 100
            path = f"{base}/bytes/{size}"
        elif kind.startswith("post"):
            method, body = "POST", pattern(size)
            headers = [("content-length", str(size))] if kind == "post" else []
        scheme = "https" if self._tls else "http"
        stream = connection.open([(":method", method), (":scheme", scheme), (":path", path),
                                  (":authority", "scaling.test"), *headers], end=body is None)
        if request["cancel"]:
            # Between any two moments of its life.
            await asyncio.sleep(size % 30 / 1000)
            if not connection.streams[stream].over:
                connection.write(reset(stream, Error.CANCEL))
                self.cancelled += 1
                del connection.windows[stream]
                return
        if body is not None:
            await connection.body(stream, body)
        answer = connection.streams[stream]
        await connection.until(lambda: answer.over)
        del connection.windows[stream]
        if not answer.ended and connection.unprocessed(stream):
            self.unprocessed += 1
            return
        self._check(request, answer, method, size, connection)

    def _check(self, request, answer, method, size, connection):
        self.requests += 1
        kind = request["kind"]
        if answer.status != 200 or not answer.ended:
            self._failed(request, f"{answer} GOAWAY {connection.goaways} {connection.broken or ''}")
        elif kind in ("chunked", "bytes"):
            if answer.body != pattern(size):
                self.find(f"{kind}: {len(answer.body)} of {size} bytes, or others")
        else:
            told = json.loads(answer.body)
            if told["method"] != method or told["body_bytes"] != (size if method == "POST" else 0):
                self.find(f"{kind}: the backend saw {told}, {size} were sent")
        backend = answer.get("x-backend", "")
        self.by_backend[backend] = self.by_backend.get(backend, 0) + 1

    async def _socket_life(self, path, rng):
        connection = await self._connection(rng.randrange(len(self._shared)))
        if connection is None:
            return False
        await connection.until(lambda: connection.settings or connection.over)
        stream = connection.open([(":method", "CONNECT"), (":protocol", "websocket"), (":path", path),
                                  (":scheme", "https" if self._tls else "http"), (":authority", "scaling.test"),
                                  ("sec-websocket-version", "13")], end=False)
        reader = connection.tunnels[stream] = asyncio.StreamReader()
        answer = connection.streams[stream]
        tunnel = Tunnel(connection, stream)
        try:
            await asyncio.wait_for(connection.until(lambda: answer.over or answer.status), DEADLINE)
            if connection.unprocessed(stream):
                self.unprocessed += 1
                return True
            if answer.status != 200 or answer.over:
                self._socket_lost(path, f"no upgrade: {answer}")
                return True
            self._open_sockets += 1
            try:
                return await self._echo(reader, tunnel, path, answer.get("x-backend", ""), rng)
            finally:
                self._open_sockets -= 1
        finally:
            tunnel.close()
