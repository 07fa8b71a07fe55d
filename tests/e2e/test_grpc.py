"""gRPC from end to end: grpcio's own client and server with Rondo between them, plain and over TLS.

Messages are bytes, so that no code has to be generated. What a method does is its name.
"""
import json
import queue
import threading
import time
from concurrent import futures

import grpc

import harness
from certificates import Authority, certificates
from harness import eventually, ok, one_route
from http2 import Error, Http2Test

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"  # grpc.health.v1.HealthCheckResponse
BIG = harness.pattern(300_000)


class Service:
    """A gRPC server. `held`: calls of /t.T/Hold; `cancelled`: those of them whose client went away."""

    def __init__(self, name="", credentials=None, health=SERVING):
        self.name, self.health = name, health
        self.health_services, self.calls, self.metadata = [], 0, []
        self.held, self.cancelled, self.release = queue.Queue(), queue.Queue(), threading.Event()
        self.server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((self,))
        self.port = (self.server.add_secure_port("127.0.0.1:0", credentials) if credentials else
                     self.server.add_insecure_port("127.0.0.1:0"))
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def stop(self, grace=0):
        self.release.set()
        return self.server.stop(grace)

    # grpc.GenericRpcHandler
    def service_name(self):
        return None

    def service(self, details):
        self.calls += 1
        self.metadata.append(dict(details.invocation_metadata))
        return {
            "/t.T/Echo": grpc.unary_unary_rpc_method_handler(self._echo),
            "/t.T/Name": grpc.unary_unary_rpc_method_handler(lambda request, context: self.name.encode()),
            "/t.T/Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "/t.T/Hold": grpc.unary_unary_rpc_method_handler(self._hold),
            "/t.T/Count": grpc.unary_stream_rpc_method_handler(self._count),
            "/t.T/Break": grpc.unary_stream_rpc_method_handler(self._break),
            "/t.T/Sum": grpc.stream_unary_rpc_method_handler(self._sum),
            "/t.T/Talk": grpc.stream_stream_rpc_method_handler(self._talk),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(self._check),
        }.get(details.method)

    def _echo(self, request, context):
        context.send_initial_metadata((("x-initial", "first"),))
        context.set_trailing_metadata((("x-trailing", "last"), ("x-some-bin", b"\0\1\xff")))
        return request

    @staticmethod
    def _fail(request, context):
        context.set_trailing_metadata((("x-why", "because"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"not: {request.decode()} \u20ac %")

    def _hold(self, request, context):
        context.add_callback(lambda: None if self.release.is_set() else self.cancelled.put(request))
        self.held.put(context.time_remaining())
        self.release.wait(harness.DEADLINE)
        return request

    @staticmethod
    def _count(request, context):
        for number in range(int(request)):
            yield str(number).encode()

    @staticmethod
    def _break(request, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "in the middle")

    @staticmethod
    def _sum(requests, context):
        return str(sum(len(request) for request in requests)).encode()

    @staticmethod
    def _talk(requests, context):
        for request in requests:
            yield b"heard " + request

    def _check(self, request, context):
        self.health_services.append(request[2:].decode())
        if self.health is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return self.health


class Grpc(Http2Test):
    def service(self, name="", **options):
        service = Service(name, **options)
        self.addCleanup(lambda: service.stop().wait(harness.DEADLINE))
        return service

    def start(self, *backends, upstream="", **options):
        return self.rondo(one_route(*(b if isinstance(b, str) else b.address for b in backends),
                                    upstream=f"protocol: h2c\n{upstream}", **options), workers=2)

    def channel(self, rondo, credentials=None):
        # Each test its own connection: channels with equal options share one.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)]
        channel = (grpc.secure_channel(f"localhost:{rondo.port()}", credentials, options) if credentials else
                   grpc.insecure_channel(rondo.address(), options))
        # What is called in _stop goes before the programs are stopped.
        self._clients.append(channel)
        self.addCleanup(channel.close)
        return channel

    @staticmethod
    def call(channel, method, request=b"", timeout=harness.DEADLINE, **options):
        return channel.unary_unary(f"/t.T/{method}")(request, timeout=timeout, **options)

    def error(self, *arguments, **options):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(*arguments, **options)
        return caught.exception.code(), caught.exception.details()


class Calls(Grpc):
    def kinds(self, channel):
        self.assertEqual(self.call(channel, "Echo", b"hello"), b"hello")
        self.assertEqual(self.call(channel, "Echo", b""), b"")
        self.assertEqual(self.call(channel, "Echo", BIG), BIG)
        numbers = list(channel.unary_stream("/t.T/Count")(b"500", timeout=harness.DEADLINE))
        self.assertEqual(numbers, [str(n).encode() for n in range(500)])
        total = channel.stream_unary("/t.T/Sum")(iter([BIG, b"", b"abc"]), timeout=harness.DEADLINE)
        self.assertEqual(total, str(len(BIG) + 3).encode())
        # Each answer is waited for before the next message goes: nothing is held back on the way.
        messages = queue.Queue()
        talk = channel.stream_stream("/t.T/Talk")(iter(messages.get, None), timeout=harness.DEADLINE)
        for number in range(50):
            messages.put(b"%d" % number)
            self.assertEqual(next(talk), b"heard %d" % number)
        messages.put(None)
        self.assertEqual(list(talk), [])

    def test_all_four_kinds_of_call(self):
        rondo = self.start(self.service())
        self.kinds(self.channel(rondo))

    def test_all_four_kinds_of_call_over_tls_on_both_sides(self):
        authority = Authority(self.folder)
        cert, key = authority.leaf("inner")
        service = self.service(credentials=grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())]))
        rondo = self.rondo(one_route(
            service.address, upstream=f"protocol: h2\ntls: {{ca: \"{authority.file}\", sni: localhost}}",
            listener=f"tls: {{certificates: {certificates(authority.leaf('web'))}}}"), workers=2)
        self.kinds(self.channel(rondo, grpc.ssl_channel_credentials(authority.file.read_bytes())))

    def test_metadata_travels_both_ways(self):
        service = self.service()
        channel = self.channel(self.start(service))
        answer, call = channel.unary_unary("/t.T/Echo").with_call(
            b"x", timeout=harness.DEADLINE, metadata=(("x-up", "1"), ("x-up-bin", b"\0\xff")))
        self.assertEqual(answer, b"x")
        self.assertIn(("x-initial", "first"), [tuple(m) for m in call.initial_metadata()])
        trailing = [tuple(m) for m in call.trailing_metadata()]
        self.assertIn(("x-trailing", "last"), trailing)
        self.assertIn(("x-some-bin", b"\0\1\xff"), trailing)
        self.assertEqual((service.metadata[-1]["x-up"], service.metadata[-1]["x-up-bin"]), ("1", b"\0\xff"))

    def test_a_status_that_is_no_success_comes_through(self):
        channel = self.channel(self.start(self.service()))
        self.assertEqual(self.error(channel, "Fail", b"now"),
                         (grpc.StatusCode.FAILED_PRECONDITION, "not: now \u20ac %"))
        self.assertEqual(self.error(channel, "Missing")[0], grpc.StatusCode.UNIMPLEMENTED)
        stream = channel.unary_stream("/t.T/Break")(b"", timeout=harness.DEADLINE)
        self.assertEqual(next(stream), b"one")
        with self.assertRaises(grpc.RpcError) as caught:
            next(stream)
        self.assertEqual((caught.exception.code(), caught.exception.details()),
                         (grpc.StatusCode.DATA_LOSS, "in the middle"))

    def test_many_calls_at_once_share_connections(self):
        service = self.service()
        channel = self.channel(self.start(service))
        calls = [channel.unary_unary("/t.T/Echo").future(b"%d" % n, timeout=harness.DEADLINE) for n in range(300)]
        self.assertEqual([call.result() for call in calls], [b"%d" % n for n in range(300)])

    def test_calls_are_spread_over_backends_though_the_client_has_one_connection(self):
        services = [self.service(f"s{n}") for n in range(3)]
        channel = self.channel(self.start(*services))
        names = [self.call(channel, "Name") for _ in range(30)]
        self.assertEqual({name: names.count(name) for name in names}, {b"s0": 10, b"s1": 10, b"s2": 10})

    def test_a_cancelled_call_is_cancelled_at_the_backend(self):
        service = self.service()
        channel = self.channel(self.start(service))
        call = channel.unary_unary("/t.T/Hold").future(b"mine")
        service.held.get(timeout=harness.DEADLINE)
        call.cancel()
        self.assertEqual(service.cancelled.get(timeout=harness.DEADLINE), b"mine")
        self.assertEqual(self.call(channel, "Echo", b"next"), b"next")


class Failures(Grpc):
    """What Rondo itself has to say, it says as gRPC."""

    def test_no_backend_is_unavailable_with_the_reason(self):
        channel = self.channel(self.start(harness.refused_address()))
        code, details = self.error(channel, "Echo", b"x")
        self.assertEqual(code, grpc.StatusCode.UNAVAILABLE)
        self.assertIn("connect_refused", details)

    def test_no_route_is_unimplemented(self):
        channel = self.channel(self.start(self.service(), route="match: {path_prefix: /other}"))
        code, details = self.error(channel, "Echo", b"x")
        self.assertEqual(code, grpc.StatusCode.UNIMPLEMENTED)
        self.assertIn("no_route", details)

    def test_a_rate_limit_is_unavailable(self):
        channel = self.channel(self.start(self.service(), route="rate_limit: {rate: 1/m, burst: 2, key: client_ip}"))
        codes = []
        for _ in range(6):
            try:
                self.call(channel, "Echo", b"x")
            except grpc.RpcError as error:
                codes.append(error.code())
        self.assertEqual(set(codes), {grpc.StatusCode.UNAVAILABLE})

    def test_a_backend_that_breaks_off_is_unavailable(self):
        backend = self.http2_backend(lambda c: (c.request(), None))
        channel = self.channel(self.start(backend))
        self.assertEqual(self.error(channel, "Echo", b"x")[0], grpc.StatusCode.UNAVAILABLE)

    def test_a_backend_that_speaks_no_http2_is_unavailable(self):
        channel = self.channel(self.start(self.backend(lambda c: (c.take(10), c.send(ok("what?"))))))
        self.assertEqual(self.error(channel, "Echo", b"x")[0], grpc.StatusCode.UNAVAILABLE)

    def test_an_answer_that_takes_longer_than_the_route_allows_is_a_missed_deadline(self):
        service = self.service()
        channel = self.channel(self.start(service, upstream="timeouts: {response: 300ms}"))
        code, details = self.error(channel, "Hold", b"x")
        self.assertEqual(code, grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertIn("response_timeout", details)
        self.assertEqual(service.cancelled.get(timeout=harness.DEADLINE), b"x")

    def test_failures_are_logged_as_what_they_are(self):
        log = f"{self.folder}/access.log"
        channel = self.channel(self.rondo(one_route(harness.refused_address(), upstream="protocol: h2c"), access=log))
        self.error(channel, "Echo", b"x")
        record = self.access_lines(log, 1)[0]
        self.assertEqual((record["status"], record["reason"]), (503, "connect_refused"))


class Deadlines(Grpc):
    def test_the_backend_learns_the_deadline(self):
        service = self.service()
        channel = self.channel(self.start(service))
        call = channel.unary_unary("/t.T/Hold").future(b"x", timeout=15)
        # grpcio counts back from a deadline by another clock: it may find a little more than was asked for.
        remaining = service.held.get(timeout=harness.DEADLINE)
        self.assertGreater(remaining, 10)
        self.assertLessEqual(remaining, 16)
        service.release.set()
        self.assertEqual(call.result(), b"x")

    def test_rondo_itself_ends_a_call_whose_deadline_has_passed(self):
        # A client that only says the deadline, and does not look at its own watch.
        service = self.service()
        client = self.http2(self.start(service))
        began = time.monotonic()
        answer = client.answer(client.request("POST", "/t.T/Hold", {
            "content-type": "application/grpc", "te": "trailers", "grpc-timeout": "300m"}, body=bytes(5)))
        self.assertLess(time.monotonic() - began, harness.DEADLINE / 2)
        fields = dict(answer.headers + answer.trailers)
        self.assertEqual((answer.status, fields.get("grpc-status")), (200, "4"), answer)
        self.assertEqual(service.cancelled.get(timeout=harness.DEADLINE), b"")

    def test_a_deadline_in_the_future_ends_nothing(self):
        channel = self.channel(self.start(self.service()))
        for timeout in (5, 3600, 10_000_000):
            self.assertEqual(self.call(channel, "Echo", b"x", timeout=timeout), b"x")


class Retries(Grpc):
    def test_a_refused_stream_is_retried_elsewhere(self):
        def refuse(connection):
            while True:
                connection.reset(connection.head(), Error.REFUSED_STREAM)
        backend, service = self.http2_backend(refuse), self.service("good")
        channel = self.channel(self.start(backend, service))
        self.assertEqual([self.call(channel, "Name", b"x") for _ in range(6)], [b"good"] * 6)
        self.assertGreater(len(backend.requests), 0)

    def test_a_goaway_that_leaves_a_call_out_is_retried(self):
        def leave(connection):
            connection.head()
            connection.go_away(0)
            connection.wait_end()
        backend, service = self.http2_backend(leave), self.service("good")
        channel = self.channel(self.start(backend, service))
        self.assertEqual([self.call(channel, "Name", b"x") for _ in range(6)], [b"good"] * 6)
        self.assertGreater(len(backend.requests), 0)

    def test_a_call_that_may_have_been_acted_on_is_not_retried(self):
        backend = self.http2_backend(lambda c: c.reset(c.request(), Error.INTERNAL_ERROR) or c.wait_end())
        channel = self.channel(self.start(backend))
        self.assertEqual(self.error(channel, "Name", b"x")[0], grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(len(backend.requests), 1)

    def test_a_server_that_stops_gracefully_fails_no_call(self):
        first, second = self.service("first"), self.service("second")
        channel = self.channel(self.start(first, second))
        findings, answers, stop = [], [], threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    answers.append(self.call(channel, "Name", b"x"))
                except grpc.RpcError as error:
                    # A call that it has taken and not yet begun is answered with this by the server itself.
                    if error.code() != grpc.StatusCode.CANCELLED:
                        findings.append(f"{error.code()} {error.details()}")
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(set(answers)) == 2 or findings, "both answer")
        first.server.stop(harness.DEADLINE).wait(harness.DEADLINE)  # GOAWAY, then it finishes what it has
        at = len(answers)
        eventually(lambda: len(answers) > at + 50 or findings, "the other one goes on")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(findings, [])


class Health(Grpc):
    CHECK = "health_check: {{type: grpc, interval: 100ms, timeout: 5s, service: \"{}\", unhealthy_threshold: 1, healthy_threshold: 1}}"

    def states(self, rondo):
        client = harness.connect(rondo.admin())
        answer = client.get("/v1/upstreams/app/backends", host="localhost")
        client.close()
        return {b["address"]: b["state"] for b in json.loads(answer.text())["backends"]}

    def test_the_health_service_decides(self):
        service = self.service("one")
        rondo = self.start(service, upstream=self.CHECK.format("t.T"))
        eventually(lambda: self.states(rondo)[service.address] == "up", "up")
        self.assertEqual(set(service.health_services), {"t.T"})
        self.assertEqual(self.call(self.channel(rondo), "Name"), b"one")
        for health in (NOT_SERVING, None):
            service.health = health
            eventually(lambda: self.states(rondo)[service.address] == "down", "down")
            service.health = SERVING
            eventually(lambda: self.states(rondo)[service.address] == "up", "up again")

    def test_a_backend_without_the_health_service_gets_no_calls(self):
        backend = self.http2_backend(answer=lambda r: {"headers": [("content-type", "application/grpc"), ("grpc-status", "12")]})
        service = self.service("one")
        rondo = self.start(backend, service, upstream=self.CHECK.format(""))
        eventually(lambda: len(backend.requests) > 1 and self.states(rondo)[service.address] == "up", "both were checked")
        self.assertEqual(self.states(rondo)[backend.address], "checking")
        channel = self.channel(rondo)
        self.assertEqual([self.call(channel, "Name") for _ in range(4)], [b"one"] * 4)

    def test_a_server_that_is_gone_is_down_and_comes_back(self):
        service, other = self.service("one"), self.service("other")
        rondo = self.start(service, other, upstream=self.CHECK.format(""))
        eventually(lambda: self.states(rondo)[service.address] == "up", "up")
        service.server.stop(0).wait()
        eventually(lambda: self.states(rondo)[service.address] == "down", "down")
        self.assertEqual(self.call(self.channel(rondo), "Name"), b"other")


if __name__ == "__main__":
    harness.main()
