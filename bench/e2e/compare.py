"""The command line of bench/run: starts everything, runs the rounds, prints and writes the report."""
import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import procfs
import proxies
import report
import scenarios

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "taskset": "util-linux", "openssl": "openssl"}


def parse_arguments():
    names = ", ".join(s.name for s in scenarios.ALL)
    parser = argparse.ArgumentParser(
        prog="bench/run", description="Rondo, nginx and HAProxy under the same load, in one run.",
        epilog="example: bench/run --only small64,1m-down --rounds 3 --seconds 5")
    parser.add_argument("--quick", action="store_true", help="one round of 2 s each, 2,000 held connections")
    parser.add_argument("--only", default="", help=f"scenarios, with commas between: {names}")
    parser.add_argument("--proxies", default="", help="names with commas between: rondo io_uring, rondo epoll, nginx, haproxy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--rondo", default=str(ROOT / "build" / "rondo"), help="the binary to measure")
    parser.add_argument("--echo", default="", help="the origin's command (default: the same binary's echo)")
    parser.add_argument("--origins", type=int, default=1, help="origin processes on the load's core")
    parser.add_argument("--forwarded", choices=["lean", "same"], default="lean",
                        help="headers that nginx and HAProxy add: X-Forwarded-For alone, or all that Rondo adds")
    parser.add_argument("--no-splice", action="store_true", help="HAProxy without option splice-auto")
    parser.add_argument("--out", default=str(ROOT / "build" / "bench"), help="folder for result.json and result.md")
    return parser.parse_args()


class Settings:
    def __init__(self, arguments):
        self.seconds = 2 if arguments.quick else arguments.seconds
        self.rounds = 1 if arguments.quick else arguments.rounds
        self.warmup = 1
        self.held = 2000 if arguments.quick else None
        self.forwarded = arguments.forwarded
        self.splice = not arguments.no_splice
        self.proxy_core, self.load_core = 0, 1
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.files = hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.load = None


def require(arguments):
    """Ends the program, saying what to install, where something is missing."""
    missing = sorted({package for tool, package in PACKAGES.items() if shutil.which(tool) is None})
    if missing:
        sys.exit(f"bench/run needs packages that are not installed: apt-get install {' '.join(missing)}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("bench/run needs two cores: one for the proxy, one for the load and the origins")
    if not os.access(arguments.rondo, os.X_OK) and not arguments.echo:
        sys.exit(f"{arguments.rondo} is not there: build it first, or name another with --rondo")


def build_load():
    """Compiles bench/load where its sources are newer than the program."""
    sources = sorted((ROOT / "bench" / "load").glob("*.cc"))
    newest = max(f.stat().st_mtime for f in (ROOT / "bench" / "load").iterdir())
    program = ROOT / "build" / "rondo_load"
    if not program.exists() or program.stat().st_mtime < newest:
        compiler = shutil.which("clang++-19") or shutil.which("c++")
        if compiler is None:
            sys.exit("bench/run needs a C++20 compiler: apt-get install clang-19")
        program.parent.mkdir(exist_ok=True)
        libraries = ["-lssl", "-lcrypto", "-lnghttp2"]
        subprocess.run([compiler, "-std=c++20", "-O2", *map(str, sources), "-o", str(program), *libraries], check=True)
    return program


def chosen_proxies(arguments):
    every = [proxies.Rondo("io_uring", arguments.rondo), proxies.Rondo("epoll", arguments.rondo),
             proxies.Nginx(), proxies.Haproxy()]
    wanted = [n.strip() for n in arguments.proxies.split(",") if n.strip()]
    unknown = [n for n in wanted if n not in [p.name for p in every]]
    if unknown:
        sys.exit(f"no such proxy: {', '.join(unknown)}; there are {', '.join(p.name for p in every)}")
    return [p for p in every if p.available() and (not wanted or p.name in wanted)]


def chosen_scenarios(arguments):
    wanted = [n.strip() for n in arguments.only.split(",") if n.strip()]
    unknown = [n for n in wanted if n not in [s.name for s in scenarios.ALL]]
    if unknown:
        sys.exit(f"no such scenario: {', '.join(unknown)}; there are {', '.join(s.name for s in scenarios.ALL)}")
    return [s for s in scenarios.ALL if not wanted or s.name in wanted]


def measure_one(scenario, running, settings):
    try:
        result = scenario.run(settings, running)
    except (RuntimeError, subprocess.CalledProcessError, ValueError, KeyError, TypeError) as error:
        result = {"failed": f"{type(error).__name__}: {error}"}
    print(f"  {scenario.name:11} {running.name:24} {report.one_line(result)}", file=sys.stderr, flush=True)
    return result


def starts(scenario, chosen):
    """Which proxy speaks what, and what it is called in the table."""
    for way in scenario.ways:
        for proxy in chosen:
            if proxy.can(way):
                yield proxy, way, f"{proxy.name}, {way.label()}" if len(scenario.ways) > 1 else proxy.name


def start(proxy, way, name, origins, folder, settings):
    running = proxies.Running(proxy, origins[way.h2c_out], folder, settings, way)
    running.name = name
    return running


def run_requests(scenario, chosen, origins, folder, settings):
    """All proxies stay up, an idle one costs nothing; each round visits each of them once."""
    results = {}
    up = []
    try:
        for proxy, way, name in starts(scenario, chosen):
            results[name] = []
            try:
                up.append(start(proxy, way, name, origins, folder, settings))
            except RuntimeError as error:
                print(error, file=sys.stderr)
                results[name].append({"failed": str(error).splitlines()[0]})
        for number in range(settings.rounds):
            # Another one goes first each round, so that none always follows the same neighbour.
            for running in up[number % len(up):] + up[:number % len(up)] if up else []:
                results[running.name].append(measure_one(scenario, running, settings))
    finally:
        for running in up:
            running.stop()
    return results


def run_memory(scenario, chosen, origins, folder, settings):
    """Memory is measured on a proxy that has just started, each round anew."""
    results = {name: [] for _, _, name in starts(scenario, chosen)}
    for _ in range(min(settings.rounds, 3)):
        for proxy, way, name in starts(scenario, chosen):
            try:
                running = start(proxy, way, name, origins, folder, settings)
            except RuntimeError as error:
                print(error, file=sys.stderr)
                results[name].append({"failed": str(error).splitlines()[0]})
                continue
            try:
                results[name].append(measure_one(scenario, running, settings))
            finally:
                running.stop()
    return results


def main():
    arguments = parse_arguments()
    require(arguments)
    settings = Settings(arguments)
    settings.load = build_load()
    chosen, selected = chosen_proxies(arguments), chosen_scenarios(arguments)
    os.sched_setaffinity(0, {settings.load_core})
    echo = shlex.split(arguments.echo) if arguments.echo else [arguments.rondo, "echo"]
    everything = {
        "machine": procfs.machine(), "when": time.strftime("%Y-%m-%d"),
        "versions": {p.name: p.version() for p in chosen},
        "settings": {"rounds": settings.rounds, "seconds": settings.seconds, "forwarded": settings.forwarded,
                     "origins": arguments.origins, "haproxy_splice": settings.splice, "open_files": settings.files},
        "scenarios": {},
    }
    origins = {False: [], True: []}  # those of HTTP/1.1, those of h2c
    with tempfile.TemporaryDirectory(prefix="rondo-bench-") as folder:
        os.chmod(folder, 0o755)  # nginx's worker is another user
        try:
            proxies.make_certificate(folder)
            for number in range(arguments.origins):
                origins[False].append(proxies.start_origin(echo, settings.load_core, folder, number))
                origins[True].append(proxies.start_h2c_origin(settings.load, settings.load_core, folder, number))
            ports = {h2c: [port for _, port in started] for h2c, started in origins.items()}
            for scenario in selected:
                run = run_memory if scenario.memory else run_requests
                everything["scenarios"][scenario.name] = {
                    "title": scenario.title, "memory": scenario.memory,
                    "rounds": run(scenario, chosen, ports, folder, settings)}
        finally:
            for process, _ in origins[False] + origins[True]:
                process.stop()
    text = report.markdown(everything)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "result.json").write_text(json.dumps(everything, indent=1) + "\n")
    (out / "result.md").write_text(text)
    print(text)
    print(f"written to {out}/result.md and {out}/result.json", file=sys.stderr)
    return 1 if report.failures(everything) else 0
