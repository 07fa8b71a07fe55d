"""The access log: what a line says, and that rotating it loses none."""
import json
import os
import re
import signal
from pathlib import Path

import harness
from harness import EndToEnd, ok, one_route, refused_address


class AccessLog(EndToEnd):
    def test_a_json_line_says_who_what_where_and_how_long(self):
        backend = self.backend(answer=lambda r: ok("hello"))
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(backend.address), access=log)
        client = self.client(rondo)
        client.request("POST", "/a?b=\"c", headers={"User-Agent": "e2e \"quoted\""}, body=b"12345").response()
        record = self.access_lines(log, 1)[0]
        self.assertEqual((record["method"], record["status"]), ("POST", 200))
        self.assertEqual((record["listener"], record["upstream"], record["backend"]), ("web", "app", backend.address))
        self.assertEqual((record["received_bytes"], record["retries"]), (5, 0))
        self.assertEqual(record["user_agent"], "e2e \"quoted\"")
        self.assertEqual(record["request_id"], backend.requests[0].get("X-Request-Id"))
        self.assertGreater(record["sent_bytes"], 5)
        for key in ("queue_ms", "connect_ms", "first_byte_ms", "total_ms"):
            self.assertIsInstance(record[key], float, key)
        self.assertNotIn("reason", {k for k, v in record.items() if v})

    def test_a_local_answer_carries_its_reason(self):
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(refused_address()), access=log)
        response = self.get(rondo)
        record = self.access_lines(log, 1)[0]
        self.assertEqual((record["status"], record["reason"]), (response.status, response.reason()))

    def test_a_request_cannot_forge_a_line(self):
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(self.backend().address), access=log)
        self.get(rondo, headers={"User-Agent": "a\",\"status\":999,\"b\":\"\\"})
        self.get(rondo, headers={"User-Agent": "\xff\xfe\x80"})
        self.assertEqual([r["status"] for r in self.access_lines(log, 2)], [200, 200])

    def test_the_combined_format_is_what_log_readers_know(self):
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(self.backend(answer=lambda r: ok("hello")).address), access=log,
                           access_format="combined")
        self.get(rondo, "/a", headers={"Referer": "http://r/", "User-Agent": "e2e"})
        line = harness.eventually(lambda: os.path.exists(log) and Path(log).read_text().partition("\n")[0], "a line")
        self.assertRegex(line, r'^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
                               r'"GET /a HTTP/1\.1" 200 \d+ "http://r/" "e2e"$')

    def test_sigusr1_reopens_the_file_and_no_line_is_lost(self):
        log, moved = f"{self.folder}/access.log", f"{self.folder}/access.log.1"
        rondo = self.rondo(one_route(self.backend().address), access=log, workers=2)
        client = self.client(rondo)
        for i in range(10):
            client.get(f"/before/{i}")
        self.access_lines(log, 10)
        os.rename(log, moved)
        rondo.signal(signal.SIGUSR1)
        harness.eventually(lambda: os.path.exists(log), "the new file")
        for i in range(10):
            client.get(f"/after/{i}")
        self.access_lines(log, 10)
        self.assertEqual(len(Path(moved).read_text().splitlines()), 10)

    def test_lines_are_written_before_the_process_ends(self):
        log = f"{self.folder}/access.log"
        rondo = self.rondo(one_route(self.backend().address), access=log)
        for _ in range(5):
            self.get(rondo)
        rondo.signal(signal.SIGTERM)
        self.assertEqual(rondo.wait(), 0)
        lines = Path(log).read_text().splitlines()
        self.assertEqual([json.loads(line)["status"] for line in lines], [200] * 5)

    def test_stdout_that_nobody_reads_stops_neither_the_requests_nor_the_end(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        rondo = self.rondo(one_route(self.backend().address), access="stdout", stdout=writer,
                           process="shutdown_grace: 1s")
        os.close(writer)
        client = self.client(rondo)
        for _ in range(600):  # about three times what a pipe holds
            self.assertEqual(client.get("/" + "a" * 100).status, 200)


class ProcessLog(EndToEnd):
    def test_one_line_tells_the_engine(self):
        rondo = self.rondo(one_route(self.backend().address))
        lines = [line for line in rondo.lines if re.search(rf"engine.*{harness.ENGINE}", line)]
        self.assertEqual(len(lines), 1, rondo.stderr())


if __name__ == "__main__":
    harness.main()
