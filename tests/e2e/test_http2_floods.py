"""Clients of HTTP/2 that mean harm: what costs them nothing and us something is bounded.

Each attack shares the one worker with bystanders, of HTTP/1.1 and of HTTP/2, whose every request must succeed; the
process may not grow beyond a bound; and where an attack is one by its frames alone, its connection ends with GOAWAY
ENHANCE_YOUR_CALM.
"""
import os
import select
import threading
import time

import harness
from harness import eventually, one_route
from http2 import (Error, Flag, Http2Test, Setting, Type, connect, frame, literal, number, request_fields, reset, settings,
                   window_update)

SANITIZED = bool(os.environ.get("RONDO_SANITIZE"))
WHOLE = Flag.END_HEADERS | Flag.END_STREAM
MIB = 1 << 20


class Bystanders:
    """Two clients that ask one thing after the other until they are stopped; what fails is a finding."""

    def __init__(self, address):
        self.findings, self.counts, self.slowest = [], [0, 0], 0.0
        self._stop = threading.Event()
        first, second = harness.connect(address), connect(address)
        self._threads = [threading.Thread(target=self._ask, args=(index, client), daemon=True)
                         for index, client in enumerate((first, second))]
        for thread in self._threads:
            thread.start()

    def _ask(self, index, client):
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                answer = client.get("/bytes/100")
                if (answer.status, len(answer.body)) != (200, 100):
                    self.findings.append(repr(answer))
            except (OSError, EOFError, AssertionError) as error:
                self.findings.append(repr(error))
                return
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.counts[index] += 1
        client.close()

    def wait_more(self, count=20):
        """Until each of them was answered so many times more."""
        wanted = [n + count for n in self.counts]
        eventually(lambda: self.findings or all(n >= w for n, w in zip(self.counts, wanted)), "bystanders are served")

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(harness.DEADLINE)


class FloodTest(Http2Test):
    def start(self, backend=None, **options):
        address = (backend or self.echo()).address
        self.program = self.rondo(one_route(address, **options), workers=1)
        bystanders = Bystanders(self.program.address())
        bystanders.wait_more()
        self.addCleanup(self.look_at, bystanders)
        self.bystanders = bystanders
        self.before = self.program.rss_bytes()
        return self.program

    def look_at(self, bystanders):
        if not bystanders.findings and self.program.process.poll() is None:
            bystanders.wait_more()
        bystanders.stop()
        self.assertEqual(bystanders.findings, [])
        self.assertLess(bystanders.slowest, 10 if SANITIZED else 2)

    def check_memory(self, room=0):
        self.assertLess(self.program.rss_bytes() - self.before, harness.MEMORY_ROOM + room)

    @staticmethod
    def flood(client, make, rounds, one_by_one=False):
        """Sends make(i) for each round until the server ends the connection; tells whether it did."""
        for i in range(rounds):
            client.send(make(i))
            if one_by_one:
                client.ping()
            while not client.over and select.select([client.sock], [], [], 0)[0]:
                client.pump()
            if client.over or client.goaways:
                return True
        client.ping()
        return client.over or bool(client.goaways)

    def check_calmed(self, make, rounds=1000, prepare=None, codes=(Error.ENHANCE_YOUR_CALM,), one_by_one=False):
        client = self.http2(self.program)
        client.ping()
        if prepare:
            prepare(client)
        self.assertTrue(self.flood(client, make, rounds, one_by_one), "the flood is taken without end")
        self.assertIn(client.end_code(), codes)
        self.check_memory()


class Frames(FloodTest):
    def start_holding(self):
        """A backend that never answers to /held; what asked for it, and what of that was given up."""
        held, given_up = [], []

        def serve(connection):
            while True:
                request = connection.request()
                if request.target == "/held":
                    held.append(1)
                    connection.rest()
                    given_up.append(1)
                    return
                connection.send(harness.ok(b"x" * 100))
        self.start(self.backend(serve))
        return held, given_up

    def test_rapid_reset(self):
        """CVE-2023-44487. What is begun and given up in one breath reaches no backend, whatever its code."""
        held, given_up = self.start_holding()
        block = literal(request_fields(target="/held"))
        for code in (Error.CANCEL, Error.NO_ERROR):
            self.check_calmed(lambda i, code=code: b"".join(
                frame(Type.HEADERS, WHOLE, 200 * i + 2 * n + 1, block) + reset(200 * i + 2 * n + 1, code)
                for n in range(100)))
        # Those whose reset was not in the same read.
        self.assertLess(len(held), 100)
        eventually(lambda: len(given_up) == len(held), "what reached the backend is given up there")

    def test_rapid_reset_behind_what_the_backend_got(self):
        held, given_up = self.start_holding()
        block = literal(request_fields(target="/held"))

        def make(i):
            streams = [200 * (i // 2) + 2 * n + 1 for n in range(100)]
            return b"".join(reset(s) if i % 2 else frame(Type.HEADERS, WHOLE, s, block) for s in streams)
        self.check_calmed(make, rounds=100, one_by_one=True)
        # 11 of 10,000 for each, and what comes back meanwhile.
        self.assertLess(len(held), 2500)
        eventually(lambda: len(given_up) == len(held), "the backend serves nothing any more")

    def test_streams_that_the_server_is_made_to_reset(self):
        """CVE-2025-8671."""
        self.start()
        block = literal(request_fields("POST"))

        def make(i):
            return b"".join(frame(Type.HEADERS, Flag.END_HEADERS, 200 * i + 2 * n + 1, block) +
                            window_update(200 * i + 2 * n + 1, 0) for n in range(100))
        self.check_calmed(make, codes=(Error.ENHANCE_YOUR_CALM, Error.PROTOCOL_ERROR))

    def test_requests_without_end_that_are_malformed(self):
        self.start()
        block = literal([*request_fields(), ("connection", "close")])
        # Each is answered, so that no more than 50 are open at any time.
        self.check_calmed(lambda i: b"".join(frame(Type.HEADERS, WHOLE, 100 * i + 2 * n + 1, block) for n in range(50)),
                          one_by_one=True)

    def test_settings(self):
        """CVE-2019-9515."""
        self.start()
        self.check_calmed(lambda i: settings({}) * 100)

    def test_settings_that_change_all_windows(self):
        self.start()

        def prepare(client):
            for _ in range(100):
                client.open(request_fields("POST"), end=False)
            client.ping()
        self.check_calmed(lambda i: (settings({Setting.INITIAL_WINDOW_SIZE: 1}) +
                                     settings({Setting.INITIAL_WINDOW_SIZE: 65535})) * 50, prepare=prepare)

    def test_pings(self):
        """CVE-2019-9512."""
        self.start()
        self.check_calmed(lambda i: frame(Type.PING, 0, 0, bytes(8)) * 100)

    def test_pings_whose_answers_are_not_read(self):
        self.start()
        client = self.http2(self.program)
        client.ping()
        pings = frame(Type.PING, 0, 0, bytes(8)) * 1000
        client.sock.settimeout(0.5)
        sent = 0
        try:
            while sent < 64 * MIB:
                sent += client.sock.send(pings)
        except OSError:
            pass  # it is not read any more, or was ended
        self.assertLess(sent, 64 * MIB)
        self.check_memory()

    def test_empty_data(self):
        """CVE-2019-9518."""
        self.start()
        self.check_calmed(lambda i: frame(Type.DATA, 0, 1) * 100, prepare=lambda c: c.open(request_fields("POST"), end=False))

    def test_data_that_is_padding_alone(self):
        self.start()
        self.check_calmed(lambda i: frame(Type.DATA, Flag.PADDED, 1, b"\0") * 100,
                          prepare=lambda c: c.open(request_fields("POST"), end=False))

    def test_window_updates_by_one(self):
        self.start()
        self.check_calmed(lambda i: (window_update(0, 1) + window_update(1, 1)) * 100,
                          prepare=lambda c: c.open(request_fields("POST"), end=False))

    def test_priorities(self):
        """CVE-2019-9513."""
        self.start()
        self.check_calmed(lambda i: frame(Type.PRIORITY, 0, 1, number(0) + bytes([i & 255])) * 100,
                          prepare=lambda c: c.open(request_fields("POST"), end=False))


class Heads(FloodTest):
    # nghttp2 has a bound of its own for CONTINUATION, and names it otherwise.
    ENDED = (Error.ENHANCE_YOUR_CALM, Error.PROTOCOL_ERROR, Error.INTERNAL_ERROR)

    def test_continuations_that_are_empty(self):
        """CVE-2024-24549 and others."""
        self.start()
        self.check_calmed(lambda i: frame(Type.CONTINUATION, 0, 1) * 100, codes=self.ENDED,
                          prepare=lambda c: c.send(frame(Type.HEADERS, Flag.END_STREAM, 1, literal(request_fields()))))

    def test_continuations_that_are_full(self):
        self.start()
        block = literal([("x-more", "m" * 4000)]) * 4
        self.check_calmed(lambda i: frame(Type.CONTINUATION, 0, 1, block), codes=self.ENDED,
                          prepare=lambda c: c.send(frame(Type.HEADERS, Flag.END_STREAM, 1, literal(request_fields()))))

    def test_a_table_entry_that_is_named_a_thousand_times(self):
        """What 16 KB of indices become, were they written out, is 60 MB."""
        self.start()
        client = self.http2(self.program)
        entry = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000  # literal with indexing: x, 4000 bytes

        def ask(times):
            stream, client.next_stream = client.next_stream, client.next_stream + 2
            client.send(frame(Type.HEADERS, WHOLE, stream, literal(request_fields()) + entry + b"\xbe" * times))
            return client.answer(stream)
        for _ in range(20):
            answer = ask(50)
            self.assertEqual((answer.status, answer.over, answer.lost), (431, True, False), answer)
        answer = ask(12000)
        self.assertEqual((answer.status, answer.lost), (None, True), answer)
        self.assertEqual(client.end_code(), Error.ENHANCE_YOUR_CALM)
        self.check_memory()

    def test_heads_that_never_end_are_ended(self):
        self.start(top="timeouts: {request_header: 1s}")
        slow = [self.http2(self.program) for _ in range(50)]
        for index, client in enumerate(slow):
            client.ping()
            client.send(frame(Type.HEADERS, Flag.END_STREAM, 1, literal(request_fields())[:index]))
        for client in slow:
            client.end_code()
        self.check_memory()

    def test_connections_that_say_nothing_are_ended(self):
        self.start(top="timeouts: {request_header: 1s, keepalive: 1s}")
        mute = [self.http2(self.program, begin=False) for _ in range(50)]
        for client in mute:
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        idle = [self.http2(self.program) for _ in range(50)]
        for client in idle:
            self.assertEqual(client.get("/bytes/10").status, 200)
        for client in mute:
            client.end_code()
        for client in idle:
            self.assertEqual(client.end_code(), Error.NO_ERROR)


class Bodies(FloodTest):
    def test_windows_of_nothing_hold_little(self):
        """CVE-2019-9511, 9517: many large answers asked for, and none of it taken."""
        self.start()
        client = self.http2(self.program, values={Setting.INITIAL_WINDOW_SIZE: 0})
        streams = [client.request(target="/bytes/50000000") for _ in range(100)]
        for stream in streams:
            client.head(stream)
        self.bystanders.wait_more()
        self.check_memory(32 * MIB)
        client.close()
        eventually(lambda: self.program.descriptors() < 30, "the backend's connections are closed")

    def test_windows_of_one_byte(self):
        self.start()
        client = self.http2(self.program, values={Setting.INITIAL_WINDOW_SIZE: 1}, open_windows=True)
        streams = [client.request(target="/bytes/50") for _ in range(20)]
        for stream in streams:
            self.assertEqual(client.answer(stream).body, harness.pattern(50))
        self.check_memory()

    def test_an_answer_that_is_not_read_at_all(self):
        self.start()
        # The windows are as wide as they can be, and then the socket is left alone.
        client = self.http2(self.program, values={Setting.INITIAL_WINDOW_SIZE: (1 << 31) - 1})
        client.send(window_update(0, (1 << 31) - 1 - 65535))
        for _ in range(50):
            client.request(target="/bytes/50000000")
        self.bystanders.wait_more(50)
        self.check_memory(32 * MIB)

    def test_streams_that_never_end(self):
        """Bodies that go on to a backend which does not read them: no more is taken than the windows say."""
        release = threading.Event()
        self.addCleanup(release.set)

        def serve(connection):
            while True:
                request = connection.head()
                if request.target == "/held":
                    release.wait(harness.DEADLINE)
                    return
                connection.send(harness.ok(b"x" * 100))
        self.start(self.backend(serve))
        clients = [self.http2(self.program) for _ in range(3)]
        for client in clients:
            client.ping()
            streams = [client.open(request_fields("POST", "/held"), end=False) for _ in range(100)]
            for stream in streams:
                while client.room(stream):
                    client.data(stream, bytes(client.room(stream)))
            client.ping()
        self.bystanders.wait_more()
        self.check_memory((len(clients) + 1) * MIB)


if __name__ == "__main__":
    harness.main()
