"""A steady load that checks every answer: what stands in front of operators who scale.

Keepalive connections send requests of all kinds, WebSockets echo; whatever is not as it should be is a finding, a
sentence. Runs in a thread of its own (asyncio), so that the test can work on the admin API meanwhile.
"""
import asyncio
import json
import os
import random
import struct
import threading
import time

from harness import DEADLINE, pattern

CLOSE_GOING_AWAY = 1001


class Load:
    """`connections` HTTP clients and `sockets` WebSockets for each path in `socket_paths`.

    `may_close`: WebSocket paths whose backends come and go: there a close with 1001 is no finding; the client connects
    again. `may_fail(request)`: whether a failed request is expected (a backend was killed under it). `context`: all of it
    over TLS.
    """

    def __init__(self, address, connections=32, paths=("/",), socket_paths=(), sockets=0, may_close=(), seed=1,
                 may_fail=None, context=None):
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._connections, self._paths = connections, paths
        self._socket_paths, self._sockets, self._may_close = socket_paths, sockets, may_close
        self._seed = seed
        self._may_fail = may_fail or (lambda request: False)
        self._tls = {"ssl": context, "server_hostname": "localhost"} if context else {}
        self.findings = []
        self.excused = []
        self.requests = 0
        self.messages = 0
        self.moved = 0  # WebSockets that were told to go elsewhere
        self.by_backend = {}
        self._stop = threading.Event()
        self._open_sockets = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def start(self):
        self._thread.start()
        return self

    def wait_sockets(self):
        wanted = self._sockets * len(self._socket_paths)
        deadline = time.monotonic() + DEADLINE
        while self._open_sockets < wanted:
            assert time.monotonic() < deadline, f"{self._open_sockets} of {wanted} WebSockets stand: {self.findings[:3]}"
            time.sleep(0.01)

    def stop(self):
        self._stop.set()
        self._thread.join(DEADLINE * 2)
        assert not self._thread.is_alive(), "the load does not end: an answer never came"
        return self

    def find(self, what):
        if len(self.findings) < 50:
            self.findings.append(f"{time.strftime('%H:%M:%S')} {what}")

    async def _main(self):
        tasks = [asyncio.create_task(self._client(i)) for i in range(self._connections)]
        tasks += [asyncio.create_task(self._socket(path, i)) for path in self._socket_paths
                  for i in range(self._sockets)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                self.find(f"the load itself failed: {result!r}")

    # -- HTTP --
    async def _client(self, number):
        rng = random.Random(self._seed * 1000 + number)
        reader = writer = None
        while not self._stop.is_set():
            if writer is None:
                try:
                    reader, writer = await asyncio.open_connection(self._host, self._port, **self._tls)
                except OSError as error:
                    self.find(f"cannot connect: {error}")
                    await asyncio.sleep(0.05)
                    continue
            request = self._draw(rng, number)
            try:
                keep = await asyncio.wait_for(self._exchange(reader, writer, request), DEADLINE)
            except (OSError, EOFError, asyncio.TimeoutError, ValueError) as error:
                self._failed(request, f"{error!r}")
                keep = False
            if not keep:
                writer.close()
                reader = writer = None
        if writer is not None:
            writer.close()

    def _draw(self, rng, number):
        path = rng.choice(self._paths)
        kind = rng.choices(["get", "post", "chunked", "bytes", "post_chunked"], [6, 3, 1, 1, 1])[0]
        size = rng.randrange(1, 3000)
        return {"path": path, "kind": kind, "size": size, "client": number, "close": rng.random() < 0.03}

    def _failed(self, request, what):
        text = f"{request['kind']} {request['path']}: {what}"
        if self._may_fail(request):
            self.excused.append(text)
        else:
            self.find(text)

    async def _exchange(self, reader, writer, request):
        kind, size = request["kind"], request["size"]
        target = request["path"]
        base = target.rstrip("/")
        head = ""
        body = b""
        method = "GET"
        if kind == "chunked":
            target = f"{base}/chunked/{size}"
        elif kind == "bytes":
            target = f"{base}/bytes/{size}"
        elif kind == "post":
            method, body = "POST", pattern(size)
            head = f"Content-Length: {size}\r\n"
        elif kind == "post_chunked":
            method = "POST"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, pattern(size))
            head = "Transfer-Encoding: chunked\r\n"
        if request["close"]:
            head += "Connection: close\r\n"
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: scaling.test\r\n{head}\r\n".encode() + body)
        status, headers, answer = await read_response(reader)
        self.requests += 1
        if status != 200:
            self._failed(request, f"{status} {answer[:200]!r}")
        elif kind in ("chunked", "bytes"):
            if answer != pattern(size):
                self.find(f"{kind}: {len(answer)} of {size} bytes, or others")
        else:
            told = json.loads(answer)
            if told["method"] != method or told["body_bytes"] != (size if method == "POST" else 0):
                self.find(f"{kind}: the backend saw {told}, {size} were sent")
        backend = headers.get("x-backend", "")
        self.by_backend[backend] = self.by_backend.get(backend, 0) + 1
        return headers.get("connection", "").lower() != "close"

    # -- WebSockets --
    async def _socket(self, path, number):
        rng = random.Random(self._seed * 77 + number)
        while not self._stop.is_set():
            try:
                again = await self._socket_life(path, rng)
            except (OSError, EOFError, asyncio.TimeoutError, ValueError) as error:
                self._socket_lost(path, f"{error!r}")
                again = True
            if not again:
                return
            await asyncio.sleep(0.02)

    def _socket_lost(self, path, what):
        if self._may_fail({"kind": "websocket", "path": path}):
            self.excused.append(f"WebSocket {path}: {what}")
        else:
            self.find(f"WebSocket {path}: {what}")

    async def _socket_life(self, path, rng):
        reader, writer = await asyncio.open_connection(self._host, self._port, **self._tls)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: scaling.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
            status, headers, body = await asyncio.wait_for(read_response(reader), DEADLINE)
            if status != 101:
                self._socket_lost(path, f"no upgrade: {status} {body[:200]!r}")
                return True
            backend = headers.get("x-backend", "")
            self._open_sockets += 1
            try:
                return await self._echo(reader, writer, path, backend, rng)
            finally:
                self._open_sockets -= 1
        finally:
            writer.close()

    async def _echo(self, reader, writer, path, backend, rng):
        frames = Frames(reader)
        while not self._stop.is_set():
            text = os.urandom(4).hex().encode() * rng.randrange(1, 40)
            writer.write(masked_frame(0x1, text))
            frame = await frames.next(DEADLINE)
            if frame is None:
                raise asyncio.TimeoutError
            if frame == (0x1, text):
                self.messages += 1
                # A close may come at any moment; watch for it while idle.
                frame = await frames.next(rng.uniform(0.05, 0.4))
                if frame is None:
                    continue
            opcode, data = frame
            code = struct.unpack("!H", data[:2])[0] if opcode == 0x8 and len(data) >= 2 else None
            if opcode == 0x8:
                writer.write(masked_frame(0x8, data[:2]))
            if code == CLOSE_GOING_AWAY and path in self._may_close:
                self.moved += 1
            else:
                self._socket_lost(path, f"frame {opcode} with {len(data)} bytes, close code {code}, backend {backend}")
            frames.cancel()
            return True
        frames.cancel()
        return False


class Frames:
    """The frames of a WebSocket; a wait that ends early loses no byte, since the same read goes on."""

    def __init__(self, reader):
        self._reader, self._pending = reader, None

    async def next(self, seconds):
        """(opcode, data), or None where none came in time."""
        if self._pending is None:
            self._pending = asyncio.create_task(read_frame(self._reader))
        await asyncio.wait({self._pending}, timeout=seconds)
        if not self._pending.done():
            return None
        frame, self._pending = self._pending.result(), None
        return frame

    def cancel(self):
        if self._pending is not None:
            self._pending.cancel()


async def read_response(reader):
    head = await read_until(reader, b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if status == 101 or status == 204:
        return status, headers, b""
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while True:
            size = int((await read_until(reader, b"\r\n")).split(b";")[0], 16)
            if size == 0:
                while await read_until(reader, b"\r\n"):
                    pass
                return status, headers, body
            body += await reader.readexactly(size)
            await reader.readexactly(2)
    if "content-length" in headers:
        return status, headers, await reader.readexactly(int(headers["content-length"]))
    return status, headers, await reader.read()


async def read_until(reader, mark):
    data = await reader.readuntil(mark)
    return data[:-len(mark)]


def masked_frame(opcode, data):
    mask = os.urandom(4)
    length = (bytes([0x80 | len(data)]) if len(data) < 126 else
              bytes([0x80 | 126]) + struct.pack("!H", len(data)))
    return bytes([0x80 | opcode]) + length + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data))


async def read_frame(reader):
    first, second = await reader.readexactly(2)
    size = second & 127
    if size == 126:
        size = struct.unpack("!H", await reader.readexactly(2))[0]
    elif size == 127:
        size = struct.unpack("!Q", await reader.readexactly(8))[0]
    return first & 15, await reader.readexactly(size)
