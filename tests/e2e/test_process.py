"""The process: command line, listeners of every kind, stopping, running out of descriptors."""
import os
import resource
import signal
import socket
import subprocess
import threading
from pathlib import Path

import harness
from harness import BINARY, EndToEnd, limit_files, ok, one_route


def rondo_output(*arguments):
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


class CommandLine(EndToEnd):
    def test_one_line_without_a_file_serves(self):
        a, b = self.backend(answer=lambda r: ok("a")), self.backend(answer=lambda r: ok("b"))
        program = self.program("run", "--listen", "127.0.0.1:0", "--backend", a.address, "--backend", b.address,
                               "--balance", "least_connections")
        address = program.wait_line(r"listening on (\S+)")[0][1]
        client = harness.connect(address)
        self.assertEqual({client.get().text() for _ in range(4)} <= {"a", "b"}, True)
        client.close()

    def test_bad_usage_is_2_and_says_what_would_be_right(self):
        for arguments in ((), ("nonsense",), ("run",), ("run", "--listen", "127.0.0.1:0"), ("run", "--nonsense"),
                          ("run", "--listen", "nowhere", "--backend", "127.0.0.1:1"), ("echo", "--listen", "x")):
            with self.subTest(arguments):
                code, _, errors = rondo_output(*arguments)
                self.assertEqual(code, 2, errors)
                self.assertTrue(errors.strip())

    def test_every_command_has_help_with_an_example(self):
        for command in ("run", "check", "echo", "version"):
            with self.subTest(command):
                code, output, _ = rondo_output(command, "--help")
                self.assertEqual(code, 0)
                self.assertIn(f"rondo {command}", output)

    def test_version_names_itself(self):
        code, output, _ = rondo_output("version")
        self.assertEqual(code, 0)
        self.assertRegex(output, r"rondo \d+\.\d+")

    def test_check_accepts_a_good_file_and_lists_every_error_of_a_bad_one(self):
        good, bad = Path(self.folder) / "good.yaml", Path(self.folder) / "bad.yaml"
        good.write_text(one_route("127.0.0.1:1"))
        self.assertEqual(rondo_output("check", "-c", str(good))[0], 0)
        bad.write_text("listeners:\n  web:\n    lisen: [\":8080\"]\n    routes: [{upstream: none}]\n"
                       "upstreams:\n  app:\n    balance: fastest\n    backends: [\"127.0.0.1:99999\"]\n")
        code, _, errors = rondo_output("check", "-c", str(bad))
        self.assertEqual(code, 1)
        self.assertRegex(errors, r"bad\.yaml:3:5: .*lisen.*listen")
        self.assertRegex(errors, r"bad\.yaml:7:14: .*fastest")
        self.assertRegex(errors, r"bad\.yaml:8:\d+: ")
        self.assertRegex(errors, r"bad\.yaml:4:\d+: .*none")

    def test_a_file_that_cannot_be_read_is_a_clear_error(self):
        for name in ("missing.yaml", "."):
            code, _, errors = rondo_output("run", "-c", f"{self.folder}/{name}")
            self.assertEqual(code, 1)
            self.assertTrue(errors.strip())

    def test_an_address_in_use_is_a_clear_error(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            path = Path(self.folder) / "taken.yaml"
            port = taken.getsockname()[1]
            path.write_text(one_route("127.0.0.1:1", listen=f"127.0.0.1:{port}"))
            code, _, errors = rondo_output("run", "-c", str(path))
            self.assertEqual(code, 1)
            self.assertIn(str(port), errors)


class Listeners(EndToEnd):
    def test_unix_sockets_on_both_sides(self):
        backend = self.backend(path=f"{self.folder}/backend.sock")
        rondo = self.rondo(one_route(backend.address, listen=f"unix:{self.folder}/front.sock"))
        client = self.client(rondo)
        for i in range(3):
            self.assertEqual(client.get(f"/{i}").text(), f"/{i}")
        self.assertEqual(backend.connections, 1)

    def test_ipv6_on_both_sides(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6 here")
        backend = self.backend(family=socket.AF_INET6)
        rondo = self.rondo(one_route(backend.address, listen="[::1]:0"))
        self.assertEqual(self.get(rondo).status, 200)
        self.assertEqual(backend.requests[0].get("X-Forwarded-For"), "::1")

    def test_a_port_alone_takes_both_families_and_names_an_ipv4_client_as_such(self):
        backend = self.backend()
        rondo = self.rondo(one_route(backend.address, listen=":0"))
        port = rondo.port()
        for host in ("127.0.0.1", "[::1]") if os.path.exists("/proc/net/if_inet6") else ("127.0.0.1",):
            client = harness.connect(f"{host}:{port}")
            self.assertEqual(client.get().status, 200)
            client.close()
        self.assertEqual(backend.requests[0].get("X-Forwarded-For"), "127.0.0.1")

    def test_several_workers_and_listeners_serve(self):
        config = one_route(self.backend().address).replace("[\"127.0.0.1:0\"]", "[\"127.0.0.1:0\", \"127.0.0.1:0\"]")
        rondo = self.rondo(config, workers=3, listeners=2)
        for index in (0, 1):
            for _ in range(10):
                client = self.client(rondo, index=index)
                self.assertEqual(client.get().status, 200)
                client.close()


class Stopping(EndToEnd):
    def test_sigterm_finishes_what_is_in_flight_and_takes_nothing_new(self):
        release = threading.Event()

        def serve(connection):
            connection.request()
            release.wait(harness.DEADLINE)
            connection.send(ok("finished"))
        backend = self.backend(serve)
        rondo = self.rondo(one_route(backend.address))
        client = self.client(rondo)
        client.request()
        backend.wait_requests(1)
        rondo.signal(signal.SIGTERM)

        def refused():
            try:
                harness.connect(rondo.address()).close()
            except (ConnectionRefusedError, ConnectionResetError):
                return True
            return False
        harness.eventually(refused, "new connections are refused")
        self.assertIsNone(rondo.process.poll())
        release.set()
        response = client.response()
        self.assertEqual((response.text(), response.get("Connection")), ("finished", "close"))
        self.assertTrue(client.ended())
        self.assertEqual(rondo.wait(), 0)

    def test_an_idle_connection_may_send_one_more_request(self):
        rondo = self.rondo(one_route(self.backend().address))
        client = self.client(rondo)
        client.get()
        rondo.signal(signal.SIGTERM)
        rondo.wait_line(r"(?i)stopping|drain")
        response = client.get("/last")
        self.assertEqual((response.text(), response.get("Connection")), ("/last", "close"))
        self.assertEqual(rondo.wait(), 0)

    def test_an_idle_connection_does_not_hold_the_end_up(self):
        rondo = self.rondo(one_route(self.backend().address))
        client = self.client(rondo)
        client.get()
        rondo.signal(signal.SIGINT)
        self.assertTrue(client.ended())
        self.assertEqual(rondo.wait(), 0)

    def test_what_takes_too_long_is_cut_after_the_grace(self):
        backend = self.backend(lambda c: (c.request(), c.rest()))
        rondo = self.rondo(one_route(backend.address), process="shutdown_grace: 300ms")
        client = self.client(rondo)
        client.request()
        backend.wait_requests(1)
        rondo.signal(signal.SIGTERM)
        client.rest()
        self.assertEqual(rondo.wait(), 0)

    def test_a_second_signal_ends_it_at_once(self):
        backend = self.backend(lambda c: (c.request(), c.rest()))
        rondo = self.rondo(one_route(backend.address))
        rondo.expected_status = 1
        self.client(rondo).request()
        backend.wait_requests(1)
        rondo.signal(signal.SIGTERM)
        rondo.wait_line(r"(?i)stopping|drain")
        rondo.signal(signal.SIGTERM)
        self.assertNotEqual(rondo.wait(5), None)


class Descriptors(EndToEnd):
    def test_running_out_of_descriptors_pauses_accepting_and_recovers(self):
        backend = self.backend()
        rondo = self.rondo(one_route(backend.address), preexec=limit_files(48))
        first = self.client(rondo)
        self.assertEqual(first.get().status, 200)
        crowd = [self.client(rondo) for _ in range(80)]  # the kernel takes them, the process cannot
        harness.eventually(lambda: rondo.descriptors() >= 46, "the descriptors are used up")
        self.assertEqual(first.get().status, 200, "a connection that stands is still served")
        for client in crowd:
            client.close()
        self.check_alive(rondo)

    def test_the_soft_limit_is_raised_to_the_hard_one(self):
        def soft_limit():
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        rondo = self.rondo(one_route(self.backend().address), preexec=soft_limit)
        limits = Path(f"/proc/{rondo.pid}/limits").read_text()
        soft, hard = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5]
        self.assertEqual(soft, hard)

    def test_nothing_is_left_open_when_clients_have_gone(self):
        rondo = self.rondo(one_route(self.backend().address, upstream="keepalive: {idle_timeout: 100ms}"))
        self.get(rondo)
        rest = 25  # engine, listeners, log, signals: far fewer than the thirty pairs
        for _ in range(3):
            clients = [self.client(rondo) for _ in range(30)]
            for client in clients:
                self.assertEqual(client.get().status, 200)
            for client in clients:
                client.close()
            harness.eventually(lambda: rondo.descriptors() <= rest, "all connections are closed")


if __name__ == "__main__":
    harness.main()
