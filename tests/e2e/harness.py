# Long on purpose: everything that the scripts need stands in one file.
"""Runs the real binary on real sockets: Rondo, backends with scripted behaviour, and raw clients.

The binary is named by RONDO_BIN, the engine by RONDO_ENGINE (io_uring or epoll). Nothing here sleeps to wait
for something: it reads, accepts or waits on a condition with a deadline. Each test's processes are stopped by
their own pid, must exit with 0 and must leave no sanitizer report.
"""
import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

BINARY = os.environ.get("RONDO_BIN", "")
ENGINE = os.environ.get("RONDO_ENGINE", "epoll")
DEADLINE = float(os.environ.get("RONDO_E2E_DEADLINE", "20"))  # seconds after which something hangs
# What a stalled transfer may add to the process; sanitizers hold freed memory back.
MEMORY_ROOM = (64 if os.environ.get("RONDO_SANITIZE") else 8) << 20
REPORT = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehavior|runtime error:|check failed",
                    re.IGNORECASE)


def main():
    if not os.access(BINARY, os.X_OK):
        sys.exit("RONDO_BIN must name the rondo binary: RONDO_BIN=build/rondo python3 tests/e2e/test_balance.py")
    unittest.main(verbosity=2 if os.environ.get("RONDO_E2E_VERBOSE") else 1)


def eventually(condition, what, seconds=DEADLINE):
    """Waits for something outside of this process that cannot be waited on in any other way."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.01)


class Response:
    """A parsed HTTP/1 response."""

    def __init__(self, status, headers, version):
        self.status, self.headers, self.version = status, headers, version
        self.body, self.trailers, self.interim = b"", [], []

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def text(self):
        return self.body.decode("latin-1")

    def reason(self):
        """Why Rondo itself answered, from the body of its answer."""
        text = self.text()
        if text.startswith("{"):
            return json.loads(text).get("error", {}).get("code")
        return text.split(":", 1)[0].strip()

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


def parse_head(raw):
    """First line and headers of a head without its empty line."""
    lines = raw.decode("latin-1").split("\r\n")
    headers = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.append((name, value.strip(" \t")))
    return lines[0], headers


class Wire:
    """A socket with a read buffer, for clients and for backends alike."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(DEADLINE)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def fill(self):
        data = self.sock.recv(1 << 18)
        self.buffer += data
        return bool(data)

    def take(self, size):
        while len(self.buffer) < size:
            if not self.fill():
                raise EOFError(f"end after {len(self.buffer)} of {size} bytes: {self.buffer[:300]!r}")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def take_until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise EOFError(f"end before {mark!r}: {self.buffer[:300]!r}")
        data, self.buffer = self.buffer.split(mark, 1)
        return data

    def rest(self):
        """All until the end of the stream; a reset counts as an end."""
        with contextlib.suppress(ConnectionResetError):
            while self.fill():
                pass
        data, self.buffer = self.buffer, b""
        return data

    def ended(self):
        """Waits for the end of the stream and tells whether nothing came before it."""
        return self.rest() == b""

    def quiet(self, seconds=0.2):
        """Whether nothing comes for a while. Only for what must not happen."""
        if self.buffer:
            return False
        return not select.select([self.sock], [], [], seconds)[0]

    def chunks(self):
        """A chunked body; returns (body, trailers)."""
        body = b""
        while True:
            size = int(self.take_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            body += self.take(size)
            assert self.take(2) == b"\r\n"
        trailers = []
        while line := self.take_until(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            trailers.append((name, value.strip()))
        return body, trailers

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self):
        # A close alone would not wake a thread that reads the same socket.
        self.sock.close()


class Client(Wire):
    """A raw client."""

    def response(self, method="GET"):
        """The next final response; those before it (1xx) are in its `interim`."""
        interim = []
        while True:
            first, headers = parse_head(self.take_until(b"\r\n\r\n"))
            version, status = first.split(" ")[:2]
            response = Response(int(status), headers, version)
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if "chunked" in (response.get("Transfer-Encoding") or "").lower():
            response.body, response.trailers = self.chunks()
        elif response.get("Content-Length") is not None:
            response.body = self.take(int(response.get("Content-Length")))
        else:
            response.body = self.rest()
        return response

    def request(self, method="GET", target="/", headers=(), body=None, host="e2e.test"):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{n}: {v}" for n, v in (headers.items() if isinstance(headers, dict) else headers)]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines) + "\r\n\r\n")
        if body:
            self.send(body)
        return self

    def get(self, target="/", **options):
        return self.request("GET", target, **options).response()


class Request:
    """A request as a backend received it."""

    def __init__(self, first, headers):
        self.first, self.headers = first, headers
        self.method, self.target, self.version = first.split(" ")
        self.body, self.trailers = b"", []

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default


class BackendConnection(Wire):
    def __init__(self, sock, backend):
        super().__init__(sock)
        self.backend = backend

    def head(self):
        request = Request(*parse_head(self.take_until(b"\r\n\r\n")))
        self.backend.note(request)
        return request

    def body(self, request):
        if "chunked" in (request.get("Transfer-Encoding") or "").lower():
            request.body, request.trailers = self.chunks()
        else:
            request.body = self.take(int(request.get("Content-Length") or 0))
        return request

    def request(self):
        return self.body(self.head())


class Backend:
    """A backend whose behaviour is a function of its connection, run in a thread for each connection.

    serve(connection) is called for each accepted connection, which is closed when it returns. The end of the
    stream within it is no error. Where `answer` is given instead, it is a function from Request to bytes.
    """

    def __init__(self, serve=None, answer=None, name="", path=None, family=socket.AF_INET):
        self.name = name
        self._serve = serve or self._answering(answer or (lambda request: ok(request.target)))
        self._condition = threading.Condition()
        self.requests, self.connections, self.closed = [], 0, 0
        self.failures = []
        self._wires = []
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.address = f"unix:{path}"
        else:
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            self.address = f"[::1]:{self.port}" if family == socket.AF_INET6 else f"127.0.0.1:{self.port}"
        self.listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def _answering(answer):
        def serve(connection):
            while True:
                connection.send(answer(connection.request()))
        return serve

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            wire = BackendConnection(sock, self)
            with self._condition:
                self.connections += 1
                self._wires.append(wire)
                self._condition.notify_all()
            threading.Thread(target=self._run, args=(wire,), daemon=True).start()

    def _run(self, wire):
        try:
            self._serve(wire)
        except (OSError, EOFError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(error)
        wire.close()
        with self._condition:
            self.closed += 1
            self._condition.notify_all()

    def note(self, request):
        with self._condition:
            self.requests.append(request)
            self._condition.notify_all()

    def wait_for(self, condition, what="what the backend waits for"):
        with self._condition:
            if not self._condition.wait_for(condition, DEADLINE):
                raise AssertionError(f"after {DEADLINE:.0f} s still not: {what}")

    def wait_requests(self, count):
        self.wait_for(lambda: len(self.requests) >= count, f"{count} requests at the backend")
        return self.requests

    def stop_listening(self):
        # shutdown wakes the thread that accepts; from then on connections are refused.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def stop(self):
        self.stop_listening()
        for wire in self._wires:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)


def ok(body=b"ok", headers="", status="200 OK"):
    """A response with a Content-Length."""
    body = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode("latin-1") + body


def refused_address():
    """An address at which nothing listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


class Program:
    """A started rondo, its stderr read line by line."""

    def __init__(self, arguments, stdout=None, preexec=None, env=None):
        self.lines = []
        self._condition = threading.Condition()
        self.process = subprocess.Popen(
            [BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL,
            stderr=subprocess.PIPE, preexec_fn=preexec, env={**os.environ, **(env or {})})
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._condition:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._condition.notify_all()
        self.process.stderr.close()
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        return "\n".join(self.lines)

    def wait_line(self, pattern, count=1, seconds=DEADLINE):
        """The first `count` matches of `pattern` in stderr."""
        def matches():
            return [m for m in (re.search(pattern, line) for line in list(self.lines)) if m]
        with self._condition:
            self._condition.wait_for(lambda: len(matches()) >= count or self._ended, seconds)
        found = matches()
        if len(found) < count:
            raise AssertionError(f"stderr never showed {count} x {pattern!r}:\n{self.stderr()}")
        return found

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=DEADLINE):
        """The exit status."""
        status = self.process.wait(seconds)
        self._reader.join(5)
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Rondo(Program):
    """`rondo run -c` on a configuration; every listener's address is known once this returns."""

    def __init__(self, config, folder, workers=1, process="", access="off", access_format="json",
                 listeners=1, level="info", **options):
        self.config = Path(folder) / f"rondo-{id(self)}.yaml"
        if "process:" not in config:
            config = (f"process: {{workers: {workers}, engine: {ENGINE}{', ' + process if process else ''}}}\n"
                      f"logging: {{level: {level}, access: {{path: \"{access}\", format: {access_format}}}}}\n{config}")
        if "admin:" not in config:
            # Scripts run side by side: the default address is there once.
            config = f'admin: {{listen: "127.0.0.1:0"}}\n{config}'
        self.config.write_text(config)
        super().__init__(["run", "-c", str(self.config)], **options)
        self.addresses = {}
        try:
            found = self.wait_line(r"listening on (\S+) \((\S+)\)", listeners)
        except AssertionError:
            self.kill()
            raise
        for match in found:
            self.addresses.setdefault(match[2], []).append(match[1])

    def address(self, listener="web", index=0):
        return self.addresses[listener][index]

    def admin(self):
        """Where the admin API listens: HOST:PORT or unix:PATH."""
        return self.wait_line(r"admin API on (\S+)")[0][1]

    def port(self, listener="web"):
        return int(self.address(listener).rsplit(":", 1)[1])

    def rss_bytes(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def connect(address, source=None):
    """A raw client to "127.0.0.1:80", "[::1]:80" or "unix:/path"."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address[5:])
        return Client(sock)
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout=DEADLINE,
                                    source_address=(source, 0) if source else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Client(sock)


class EndToEnd(unittest.TestCase):
    """One test: what it starts is stopped, and checked, when it ends."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rondo-e2e-")
        self._clients = []
        self._programs = []
        self.addCleanup(self._remove_folder)

    def _remove_folder(self):
        for path in Path(self.folder).iterdir():
            path.unlink()
        os.rmdir(self.folder)

    def backend(self, serve=None, **options):
        backend = Backend(serve, **options)

        def finish():
            backend.stop()
            self.assertEqual(backend.failures, [])
        self.addCleanup(finish)
        return backend

    def echo(self, *arguments, listen="127.0.0.1:0"):
        """A `rondo echo`; returns it with its address."""
        program = Program(["echo", "--listen", listen, *arguments])
        self._watch(program)
        program.address = program.wait_line(r"listening on (\S+)")[0][1]
        return program

    def rondo(self, config, **options):
        program = Rondo(config, self.folder, **options)
        self._watch(program)
        return program

    def program(self, *arguments, **options):
        program = Program(list(arguments), **options)
        self._watch(program)
        return program

    def _watch(self, program):
        self._programs.append(program)
        self.addCleanup(self._stop, program)

    def _stop(self, program):
        for client in self._clients:
            client.close()
        if program.process.poll() is None:
            program.signal(signal.SIGTERM)
        try:
            status = program.wait()
        except subprocess.TimeoutExpired:
            program.kill()
            self.fail(f"SIGTERM did not end it:\n{program.stderr()}")
        self.assertEqual(status, getattr(program, "expected_status", 0), program.stderr())
        self.assertIsNone(REPORT.search(program.stderr()), program.stderr())

    def client(self, rondo, listener="web", source=None, index=0):
        client = connect(rondo.address(listener, index), source)
        self._clients.append(client)
        return client

    def get(self, rondo, target="/", **options):
        """One GET over a connection of its own."""
        client = self.client(rondo)
        response = client.get(target, **options)
        client.close()
        return response

    def check_alive(self, rondo, target="/"):
        """After whatever happened: others are served."""
        self.assertIsNone(rondo.process.poll(), rondo.stderr())
        self.assertEqual(self.get(rondo, target).status, 200)

    def raw(self, rondo, data, method="GET"):
        """Sends bytes over a connection of their own; returns the response and whether the connection then ended."""
        client = self.client(rondo)
        client.send(data)
        response = client.response(method)
        return response, client

    def access_lines(self, path, count):
        """The first `count` records of a JSON access log, once they are there."""
        def read():
            text = Path(path).read_text() if os.path.exists(path) else ""
            lines = [line for line in text.split("\n")[:-1] if line]
            return [json.loads(line) for line in lines] if len(lines) >= count else None
        return eventually(read, f"{count} lines in {path}")


def one_route(*addresses, listen="127.0.0.1:0", upstream="", route="", listener="", top=""):
    """A configuration with one listener `web`, one route, and one upstream `app`."""
    backends = "".join(f"      - {a}\n" for a in (quoted(a) for a in addresses))
    return (f"{top}\nlisteners:\n  web:\n    listen: [\"{listen}\"]\n{indent(listener, 4)}"
            f"    routes:\n      - upstream: app\n{indent(route, 8)}"
            f"upstreams:\n  app:\n{indent(upstream, 4)}    backends:\n{backends}")


def quoted(address):
    return address if address.startswith("{") else f'"{address}"'


def indent(text, width):
    return "".join(" " * width + line.strip("\n") + "\n" for line in text.split("\n") if line.strip())


def limit_files(count):
    """For preexec: so many descriptors and no more, soft and hard."""
    def apply():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    return apply


PATTERN = bytes((i ^ (i >> 8)) & 255 for i in range(65536))


def pattern(size):
    """What `rondo echo` answers to /bytes/SIZE."""
    return (PATTERN * (size // 65536 + 1))[:size]


def fnv64(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return f"{value:016x}"
