"""docs/admin-api.md is true: its examples are run as they stand, and answer what it shows."""
import os
import re
import subprocess
from pathlib import Path

import harness
from harness import EndToEnd, ok

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "admin-api.md"


def examples():
    """(line number, command, expected output) for each `$` line of the console blocks."""
    found, inside = [], False
    for number, line in enumerate(DOCUMENT.read_text().splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            found.append([number, line[2:], ""])
        elif inside:
            found[-1][2] += line + "\n"
    return found


def pattern_of(expected):
    """What stands in the document, where three dots are anything."""
    return ".*?".join(re.escape(part.strip("\n")) for part in expected.split("..."))


class AdminDocs(EndToEnd):
    def test_every_example_answers_what_the_document_shows(self):
        backends = [self.backend(answer=lambda request: ok("ok")) for _ in range(3)]
        listed = ", ".join(f'"{b.address}"' for b in backends[:2])
        rondo = self.rondo("listeners: {web: {listen: [\"127.0.0.1:0\"], routes: [{upstream: api}]}}\n"
                           "upstreams:\n  api:\n    drain_timeout: 10s\n"
                           "    health_check: {path: /health, interval: 1s}\n"
                           f"    backends: [{listed}]\n")
        admin = f"http://{rondo.admin()}"
        harness.eventually(lambda: subprocess.run(["curl", "-sf", f"{admin}/readyz?all"], capture_output=True,
                                                  check=False).returncode == 0, "backends up")
        places = {f"127.0.0.1:{3001 + i}": b.address for i, b in enumerate(backends)}
        self.assertGreater(len(examples()), 15)
        for number, command, expected in examples():
            for shown, real in places.items():
                command, expected = command.replace(shown, real), expected.replace(shown, real)
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=harness.DEADLINE * 3,
                                  env={**os.environ, "ADMIN": admin}, check=False)
            self.assertRegex(done.stdout, re.compile(pattern_of(expected), re.DOTALL),
                             f"admin-api.md:{number}: {command}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    harness.main()
