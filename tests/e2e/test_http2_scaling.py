"""The promises of scaling over HTTP/2: few connections with streams always in flight, WebSockets among them, in front of
h2c and HTTP/1.1 backends that come and go; reloads, connections that reach their age, and SIGTERM lose no stream."""
import os
import signal
import threading

import harness
import test_scaling
from harness import eventually, ok, one_route
from http2 import Error, Http2Test, request_fields, window_update
from http2_load import Http2Load

LAST = (1 << 31) - 1  # the stream of a first GOAWAY, which names no last one yet


class ScalingHttp2(test_scaling.Scaling):
    """`app` and `still` speak h2c, `named` HTTP/1.1. Connections are replaced as they reach their age."""
    test_what_was_acknowledged_is_there_after_a_restart = None

    listener_keys = "http2: {max_age: 1s}"
    still_keys = "protocol: h2c"
    load_class = Http2Load

    def echo(self, *arguments, **options):
        program = super().echo(*arguments, **options)
        # Those of `named` stay as they are; the others get a Rondo in front that speaks h2c for them.
        if "listen" in options:
            return program
        front = self.rondo(one_route(program.address, route="upgrades: [websocket]"), process="shutdown_grace: 2s")
        return Front(front)

    def start_fleet(self, count, delay="20ms", upstream=""):
        super().start_fleet(count, delay, f"protocol: h2c\n{upstream}")

    def start_load(self, **options):
        return super().start_load(**{"connections": 5, **options})

    def operate(self, count):
        super().operate(max(count // 3, 40))

    def check(self, load, at_least):
        super().check(load, at_least)
        self.assertGreater(load.opened, 5, "connections were replaced")


class Front:
    """Stands where an echo would."""

    def __init__(self, program):
        self.address, self.signal, self.wait = program.address(), program.signal, program.wait


class Lifetimes(Http2Test):
    def setUp(self):
        super().setUp()
        self.release = threading.Event()
        self.addCleanup(self.release.set)

        def serve(connection):
            while True:
                request = connection.request()
                if request.target == "/held":
                    self.release.wait(harness.DEADLINE)
                connection.send(ok(request.body or request.target))
        self.origin = self.backend(serve)
        self.big = self.echo()

    def config(self, more="", listener=""):
        return (f"listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n{harness.indent(listener, 4)}    routes:\n"
                "      - match: {path_prefix: /bytes}\n        upstream: big\n"
                f"      - match: {{path: /ws}}\n        upstream: big\n        upgrades: [websocket]\n{more}"
                "      - upstream: app\n"
                f"upstreams:\n  app: {{backends: [\"{self.origin.address}\"]}}\n  big: {{backends: [\"{self.big.address}\"]}}\n")

    def begin_streams(self, client):
        """One that waits for its answer, one whose request is half sent, one whose answer is half read."""
        held = client.request(target="/held")
        upload = client.open(request_fields("POST", "/upload"), end=False)
        client.data(upload, b"first half, ")
        download = client.request(target="/bytes/1000000")
        client.head(download)
        self.origin.wait_requests(2)
        client.open_windows = False
        while client.room(upload) and len(client.streams[download].body) < 10000:
            client.pump()
        client.write(window_update(0, 1 << 20))  # for the others; the download's own window is shut
        return held, upload, download

    def finish_streams(self, client, streams):
        held, upload, download = streams
        self.release.set()
        client.data(upload, b"second half", end=True)
        client.open_windows = True
        taken = len(client.streams[download].body)
        client.write(b"".join(window_update(stream, taken) for stream in (0, download)))
        self.assertEqual(client.answer(held).text(), "/held")
        self.assertEqual(client.answer(upload).text(), "first half, second half")
        self.assertEqual(client.answer(download).body, harness.pattern(1000000))

    def test_sigterm_says_goaway_and_finishes_every_stream(self):
        rondo = self.rondo(self.config(), workers=2)
        client, idle = self.http2(rondo), self.http2(rondo)
        self.assertEqual(idle.get("/idle").text(), "/idle")
        streams = self.begin_streams(client)
        rondo.signal(signal.SIGTERM)
        client.until(lambda: client.goaways, "the first GOAWAY")
        self.assertEqual(client.goaways[0], (LAST, Error.NO_ERROR))
        self.assertEqual(idle.end_code(), Error.NO_ERROR)
        self.finish_streams(client, streams)
        self.assertEqual(client.end_code(), Error.NO_ERROR)
        self.assertLess(client.goaways[-1][0], LAST)
        self.assertGreaterEqual(client.goaways[-1][0], max(streams))
        self.assertEqual(rondo.wait(), 0)

    def test_a_request_on_its_way_when_goaway_was_said_is_served_or_said_to_be_left_out(self):
        rondo = self.rondo(self.config())
        client = self.http2(rondo)
        held = client.request(target="/held")
        self.origin.wait_requests(1)
        rondo.signal(signal.SIGTERM)
        client.until(lambda: client.goaways, "the first GOAWAY")
        late = client.request(target="/late")
        self.release.set()
        self.assertEqual(client.answer(held).text(), "/held")
        answer = client.answer(late)
        client.end_code()
        self.assertTrue(answer.text() == "/late" or client.goaways[-1][0] < late, (answer, client.goaways))
        self.assertEqual(rondo.wait(), 0)

    def test_sigterm_under_load_fails_nothing(self):
        rondo = self.rondo(self.config().replace("upstream: app", "upstream: big"), workers=2)
        load = Http2Load(rondo.address(), connections=5).start()
        eventually(lambda: load.requests > 200, "it is under load")
        load.refused_is_the_end = True
        rondo.signal(signal.SIGTERM)
        self.assertEqual(rondo.wait(), 0)
        self.assertEqual(load.stop().findings, [])

    def test_what_does_not_end_in_its_grace_is_cut(self):
        rondo = self.rondo(self.config(), process="shutdown_grace: 300ms")
        client = self.http2(rondo)
        held = client.request(target="/held")
        self.origin.wait_requests(1)
        rondo.signal(signal.SIGTERM)
        answer = client.answer(held)
        self.assertFalse(answer.ended)
        self.assertEqual(rondo.wait(), 0)

    def test_a_reload_touches_no_stream(self):
        rondo = self.rondo(self.config())
        client = self.http2(rondo)
        streams = self.begin_streams(client)
        tunnel = client.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/ws"),
                              (":authority", "e2e.test"), ("sec-websocket-version", "13")], end=False)
        self.assertEqual(client.head(tunnel).status, 200)
        text = rondo.config.read_text()
        for count in range(3):
            fresh = rondo.config.with_suffix(".new")
            fresh.write_text(text.replace("      - upstream: app\n", "      - match: {path: /generation}\n        respond: "
                                          f"{{body: \"{count}\"}}\n      - upstream: app\n"))
            os.replace(fresh, rondo.config)
            rondo.signal(signal.SIGHUP)
            # On the same connection, by the new routes.
            eventually(lambda: client.get("/generation").text() == str(count), "the reload")  # pylint: disable=cell-var-from-loop
        self.finish_streams(client, streams)
        client.data(tunnel, b"\x81\x82\0\0\0\0hi")
        client.until(lambda: client.streams[tunnel].body == b"\x81\x02hi", "the WebSocket's echo")
        self.assertEqual(client.goaways, [])
        client.close()

    def test_a_listener_that_a_reload_takes_away_finishes_its_streams(self):
        other = f"  other:\n    listen: [\"unix:{self.folder}/other.sock\"]\n    routes: [{{upstream: app}}]\n"
        rondo = self.rondo(self.config().replace("listeners:\n", f"listeners:\n{other}"), listeners=2)
        client = self.http2(rondo, "other")
        held = client.request(target="/held")
        self.origin.wait_requests(1)
        rondo.config.write_text(rondo.config.read_text().replace(other, ""))
        rondo.signal(signal.SIGHUP)
        client.until(lambda: client.goaways, "GOAWAY")
        self.release.set()
        self.assertEqual(client.answer(held).text(), "/held")
        self.assertEqual(client.end_code(), Error.NO_ERROR)
        self.assertEqual(self.http2(rondo).get("/held").text(), "/held")

    def test_a_connection_that_reaches_its_age_finishes_its_streams(self):
        rondo = self.rondo(self.config(listener="http2: {max_age: 1s}"))
        client = self.http2(rondo)
        streams = self.begin_streams(client)
        client.until(lambda: client.goaways, "GOAWAY")
        self.finish_streams(client, streams)
        self.assertEqual(client.end_code(), Error.NO_ERROR)
        self.assertEqual(self.http2(rondo).get("/next").text(), "/next")


if __name__ == "__main__":
    harness.main()
