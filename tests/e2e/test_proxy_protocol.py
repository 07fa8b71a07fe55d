"""The PROXY protocol in (from trusted peers alone, with a deadline) and out (before anything else, for each client)."""
import socket
import struct

import harness
from certificates import Authority, certificates
from harness import EndToEnd, eventually, ok

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source, destination, tail=b"", command=0x21):
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    addresses = b"".join(socket.inet_pton(family, a[0]) for a in (source, destination))
    body = addresses + struct.pack("!HH", source[1], destination[1]) + tail
    return SIGNATURE + bytes([command, 0x21 if family == socket.AF_INET6 else 0x11]) + struct.pack("!H", len(body)) + body


class In(EndToEnd):
    def start(self, backend, trusted="127.0.0.0/8", top="", tls=""):
        return self.rondo(
            f"{top}\nlisteners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n    proxy_protocol: on\n"
            f"    trusted_proxies: [{trusted}]\n{tls}    routes: [{{upstream: app}}]\n"
            f"upstreams: {{app: {{backends: [\"{backend.address}\"]}}}}\n")

    def seen(self, rondo, backend, header, **options):
        client = self.client(rondo, **options)
        client.send(header)
        self.assertEqual(client.get("/").status, 200)
        client.close()
        return backend.requests[-1].get("X-Forwarded-For")

    def test_both_versions_tell_who_the_client_is(self):
        backend = self.backend()
        rondo = self.start(backend)
        for header, expected in (
                (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n", "192.0.2.7"),
                (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "2001:db8::7"),
                (v2(("192.0.2.8", 4711), ("198.51.100.1", 443)), "192.0.2.8"),
                (v2(("2001:db8::8", 4711), ("2001:db8::1", 443), tail=b"\x04\x00\x03abc"), "2001:db8::8"),
                # Nobody knows who that is; but LOCAL is the proxy itself.
                (b"PROXY UNKNOWN\r\n", None),
                (v2(("192.0.2.8", 1), ("192.0.2.9", 2)).replace(b"\x21\x11", b"\x21\x00"), None),
                (v2(("192.0.2.8", 1), ("192.0.2.9", 2), command=0x20), "127.0.0.1")):
            self.assertEqual(self.seen(rondo, backend, header), expected, header)

    def test_a_client_that_the_proxy_does_not_know_is_not_believed(self):
        backend = self.backend()
        rondo = self.start(backend, tls="    allow: [127.0.0.0/8, 203.0.113.0/24]\n")
        for header, status in ((v2(("192.0.2.8", 1), ("192.0.2.9", 2), command=0x20), 200), (b"PROXY UNKNOWN\r\n", 403)):
            client = self.client(rondo)
            client.send(header)
            self.assertEqual(client.get("/", headers={"X-Forwarded-For": "203.0.113.7"}).status, status)
            client.close()
        self.assertEqual([r.get("X-Forwarded-For") for r in backend.requests], ["203.0.113.7, 127.0.0.1"])

    def test_a_header_in_pieces_and_with_the_request_behind_it(self):
        backend = self.backend()
        rondo = self.start(backend)
        header = v2(("192.0.2.8", 4711), ("198.51.100.1", 443))
        for cut in range(1, len(header)):
            client = self.client(rondo)
            client.send(header[:cut])
            client.send(header[cut:] + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(client.response().status, 200)
            client.close()
        self.assertEqual({r.get("X-Forwarded-For") for r in backend.requests}, {"192.0.2.8"})

    def test_trusted_peers_without_one_are_closed_and_others_are_not_believed(self):
        backend = self.backend()
        rondo = self.start(backend, trusted="127.0.0.2/32", top="timeouts: {handshake: 1s}")
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PROXY TCP9 a b c d\r\n", b"PROXY TCP4 192.0.2.7 19", b""):
            client = self.client(rondo, source="127.0.0.2")
            client.send(data)
            self.assertTrue(client.ended(), data)
        self.assertEqual(backend.requests, [])
        # Who is not asked for a header gets no other name by one.
        client = self.client(rondo)
        client.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(client.response().status, 400)
        self.assertEqual(self.get(rondo).status, 200)

    def test_in_front_of_tls(self):
        authority = Authority(self.folder)
        backend = self.backend()
        rondo = self.start(backend, tls=f"    tls: {{certificates: {certificates(authority.leaf('web'))}}}\n")
        host, port = rondo.address().rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), harness.DEADLINE)
        plain.sendall(v2(("192.0.2.9", 4711), ("198.51.100.1", 443)))
        client = harness.Client(authority.context().wrap_socket(plain, server_hostname="localhost"))
        self.assertEqual(client.get("/").status, 200)
        self.assertEqual(backend.requests[0].get("X-Forwarded-For"), "192.0.2.9")
        client.close()


class Out(EndToEnd):
    def serve(self, connection):
        """Reads a header of either version, notes it, then answers requests."""
        start = connection.take(12)
        if start == SIGNATURE:
            command, family, size = struct.unpack("!BBH", connection.take(4))
            body = connection.take(size)
            if command & 15 == 0:
                told = "local"
            else:
                width = 16 if family == 0x21 else 4
                told = socket.inet_ntop(socket.AF_INET6 if width == 16 else socket.AF_INET, body[:width])
        else:
            words = (start + connection.take_until(b"\r\n")).decode().split(" ")
            told = "local" if words[1] == "UNKNOWN" else words[2]
        self.told.append(told)
        while True:
            request = connection.request()
            connection.send(ok(f"{told} {request.target}"))

    def start(self, version, more=""):
        self.told = []
        backend = self.backend(self.serve)
        return self.rondo(
            "listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n    trusted_proxies: [127.0.0.9]\n"
            "    routes: [{upstream: app}]\n"
            f"upstreams:\n  app:\n    send_proxy: {version}\n{more}    backends: [\"{backend.address}\"]\n")

    def test_the_backend_is_told_of_each_client(self):
        for version in ("v1", "v2"):
            rondo = self.start(version)
            for source in ("127.0.0.1", "127.0.0.5", "127.0.0.1"):
                client = self.client(rondo, source=source)
                for number in range(3):
                    self.assertEqual(client.get(f"/{number}").text(), f"{source} /{number}")
                client.close()
            # A kept connection served its own client again, and never another.
            self.assertEqual(self.told[:2], ["127.0.0.1", "127.0.0.5"])
            self.assertLessEqual(len(self.told), 3)
            client = self.client(rondo, source="127.0.0.9")
            self.assertEqual(client.get("/", headers={"X-Forwarded-For": "192.0.2.44"}).text(), "192.0.2.44 /")

    def test_checks_say_that_they_are_our_own(self):
        for version in ("v1", "v2"):
            rondo = self.start(version, "    health_check: {path: /health, interval: 1s}\n")
            eventually(lambda: "local" in self.told, "a check with a header of its own")
            eventually(lambda: self.get(rondo).status == 200, "the backend up")
            self.assertIn("127.0.0.1", self.told)


if __name__ == "__main__":
    harness.main()
