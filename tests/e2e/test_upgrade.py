"""Upgrades: WebSocket through a route that names it, and nothing through one that does not."""
import http.client
import json
import os
import re

import harness
from harness import EndToEnd, eventually, ok, one_route

HANDSHAKE = ("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ROUTE = "upgrades: [websocket]"


def frame(opcode, payload):
    """A masked client frame."""
    mask = os.urandom(4)
    size = len(payload)
    head = bytes([0x80 | opcode]) + (bytes([0x80 | size]) if size < 126 else bytes([0xfe]) + size.to_bytes(2, "big")
                                     if size < 65536 else bytes([0xff]) + size.to_bytes(8, "big"))
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


class WebSocket(EndToEnd):
    def open(self, config):
        client = self.client(config if hasattr(config, "pid") else self.rondo(config))
        client.send(HANDSHAKE)
        response = client.response()
        self.assertEqual(response.status, 101, response)
        self.assertEqual(response.get("Sec-WebSocket-Accept"), ACCEPT)
        self.assertEqual(response.get("Upgrade").lower(), "websocket")
        self.assertEqual(response.get("Connection").lower(), "upgrade")
        return client

    def read_frame(self, client):
        first, size = client.take(2)
        if size == 126:
            size = int.from_bytes(client.take(2), "big")
        elif size == 127:
            size = int.from_bytes(client.take(8), "big")
        return first & 15, client.take(size)

    def test_frames_travel_both_ways_until_the_close(self):
        client = self.open(one_route(self.echo().address, route=ROUTE))
        for size in (0, 1, 125, 126, 65535, 65536, 300000):
            payload = os.urandom(size)
            client.send(frame(2, payload))
            self.assertEqual(self.read_frame(client), (2, payload))
        client.send(frame(9, b"ping"))
        self.assertEqual(self.read_frame(client), (10, b"ping"))
        client.send(frame(8, b"\x03\xe8"))
        self.assertEqual(self.read_frame(client), (8, b"\x03\xe8"))
        self.assertTrue(client.ended())

    def test_many_at_once_do_not_mix(self):
        rondo = self.rondo(one_route(self.echo().address, route=ROUTE), workers=2)
        clients = [self.open(rondo) for _ in range(100)]
        for number, client in enumerate(clients):
            client.send(frame(1, f"client {number}".encode()))
        for number, client in enumerate(clients):
            self.assertEqual(self.read_frame(client), (1, f"client {number}".encode()))

    def test_bytes_behind_the_request_wait_for_the_101(self):
        def serve(connection):
            connection.head()
            self.assertTrue(connection.quiet(0.3))
            connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\nserver first")
            self.assertEqual(connection.take(5), b"early")
            connection.send("got it")
        client = self.client(self.rondo(one_route(self.backend(serve).address, route=ROUTE)))
        client.send(HANDSHAKE + "early")
        self.assertEqual(client.response().status, 101)
        self.assertEqual(client.rest(), b"server firstgot it")

    def test_a_backend_that_refuses_the_upgrade_answers_as_usual(self):
        backend = self.backend(answer=lambda r: ok("no", status="400 Bad Request"))
        client = self.client(self.rondo(one_route(backend.address, route=ROUTE)))
        client.send(HANDSHAKE)
        response = client.response()
        self.assertEqual((response.status, response.text()), (400, "no"))
        self.assertEqual(backend.requests[0].get("Upgrade"), "websocket")
        self.assertEqual(client.get("/next").status, 400)

    def test_a_route_that_does_not_name_it_removes_the_upgrade(self):
        backend = self.backend()
        client = self.client(self.rondo(one_route(backend.address)))
        client.send(HANDSHAKE)
        self.assertEqual(client.response().status, 200)
        self.assertIsNone(backend.requests[0].get("Upgrade"))
        self.assertIsNone(backend.requests[0].get("Connection"))

    def test_h2c_is_never_forwarded(self):
        backend = self.backend()
        response, _ = self.raw(self.rondo(one_route(backend.address, route=ROUTE)),
                               "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                               "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        self.assertEqual(response.status, 200)
        self.assertIsNone(backend.requests[0].get("Upgrade"))
        self.assertIsNone(backend.requests[0].get("HTTP2-Settings"))

    def test_the_end_of_one_side_reaches_the_other(self):
        def serve(connection):
            connection.head()
            connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n")
            connection.send(b"heard " + connection.rest())
        backend = self.backend(serve)
        rondo = self.rondo(one_route(backend.address, route=ROUTE))
        client = self.open(rondo)
        client.send("last words").half_close()
        self.assertEqual(client.rest(), b"heard last words")
        gone = self.open(rondo)
        gone.reset()
        backend.wait_for(lambda: backend.closed == 2, "the backend sees that the client is gone")

    def test_an_idle_tunnel_ends_after_its_timeout(self):
        client = self.open(one_route(self.echo().address, route=ROUTE, upstream="timeouts: {tunnel: 300ms}"))
        self.assertTrue(client.ended())

    def admin(self, rondo, method, target, body=None):
        connection = http.client.HTTPConnection(rondo.admin(), timeout=harness.DEADLINE)
        connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        self.assertLess(response.status, 300, text)
        return text

    def upstream(self, rondo):
        return next(iter(json.loads(self.admin(rondo, "GET", "/v1/upstreams"))["upstreams"]))["name"]

    def test_a_tunnel_counts_as_a_connection_in_use(self):
        rondo = self.rondo(one_route(self.echo().address, route=ROUTE))
        client = self.open(rondo)

        def active():
            return int(re.search(r"^rondo_pool_active\{.*\} (\d+)$", self.admin(rondo, "GET", "/metrics"), re.M)[1])
        self.assertEqual(active(), 1)
        client.close()
        eventually(lambda: active() == 0, "the tunnel's end in the metrics")

    def test_a_backend_that_is_removed_out_of_maintenance_tells_its_websockets(self):
        echo = self.echo()
        rondo = self.rondo(one_route(echo.address, route=ROUTE))
        client = self.open(rondo)
        backend = f"/v1/upstreams/{self.upstream(rondo)}/backends/{echo.address}"
        self.admin(rondo, "PATCH", backend, '{"state": "maintenance"}')
        client.send(frame(1, b"still here"))
        self.assertEqual(self.read_frame(client), (1, b"still here"))
        self.admin(rondo, "DELETE", f"{backend}?drain=4s")
        self.assertEqual(self.read_frame(client), (8, b"\x03\xe9"))

    def test_a_drain_that_is_given_more_time_tells_its_websockets_later(self):
        echo = self.echo()
        rondo = self.rondo(one_route(echo.address, route=ROUTE))
        client = self.open(rondo)
        backend = f"/v1/upstreams/{self.upstream(rondo)}/backends/{echo.address}"
        self.admin(rondo, "DELETE", f"{backend}?drain=3s")
        self.admin(rondo, "DELETE", f"{backend}?drain=12s")
        self.assertTrue(client.quiet(5))
        self.assertEqual(self.read_frame(client), (8, b"\x03\xe9"))


if __name__ == "__main__":
    harness.main()
