"""The loads. Each runs against one proxy and returns a flat dictionary of numbers."""
import json
import re
import subprocess
import threading
import time

import procfs
from proxies import Way


def wrk(settings, port, path, connections, seconds, scheme="http"):
    command = ["taskset", "-c", str(settings.load_core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
               "--timeout", "10s", "--latency", f"{scheme}://127.0.0.1:{port}{path}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return parse_wrk(text)


def parse_wrk(text):
    """Numbers from wrk's report."""
    def micros(percent):
        found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.M)
        return float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[found[2]] if found else 0.0
    done = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", text)
    errors = sum(int(n) for line in re.findall(r"Socket errors: (.*)", text) for n in re.findall(r"\d+", line))
    errors += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    seconds = float(done[2]) * {"ms": 1e-3, "s": 1, "m": 60}[done[3]]
    return {"requests": int(done[1]), "rps": int(done[1]) / seconds, "p50_us": micros(50), "p99_us": micros(99),
            "errors": errors}


def load(settings, mode, port, **options):
    """Runs rondo_load to its end."""
    done = subprocess.run(load_command(settings, mode, port, options), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    lines = done.stdout.strip().splitlines()
    if not lines:
        raise RuntimeError(f"rondo_load {mode}: {done.stderr.strip() or 'no output'}")
    return json.loads(lines[-1])


def load_command(settings, mode, port, options):
    command = ["taskset", "-c", str(settings.load_core), str(settings.load), mode,
               "--target", f"127.0.0.1:{port}"]
    for key, value in options.items():
        command += ["--" + key.replace("_", "-"), str(value)]
    return command


def measured(settings, running, work):
    """Runs work() and adds what it cost the proxy and its core, in total and for each request."""
    pids = running.process.pids()
    cpu, core = procfs.cpu_seconds(pids), procfs.core_busy_seconds(settings.proxy_core)
    result = work()
    cpu = procfs.cpu_seconds(pids) - cpu
    core = procfs.core_busy_seconds(settings.proxy_core) - core
    requests = max(result["requests"], 1)
    result["cpu_us_per_request"] = cpu * 1e6 / requests
    result["core_us_per_request"] = core * 1e6 / requests
    result["cpu_seconds"] = cpu
    return result


class Requests:
    """As many requests as go through in a while."""
    memory = False

    def __init__(self, name, title, run, *ways):
        self.name, self.title, self.run_load, self.ways = name, title, run, ways or (Way(),)

    def run(self, settings, running):
        self.run_load(settings, running.port, settings.warmup)
        return measured(settings, running, lambda: self.run_load(settings, running.port, settings.seconds))


def through_wrk(path, connections, scheme="http"):
    return lambda settings, port, seconds: wrk(settings, port, path, connections, seconds, scheme)


def through_load(mode, **options):
    return lambda settings, port, seconds: load(settings, mode, port, seconds=seconds, **options)


class Held:
    """Many connections that stand: memory for each, and for WebSockets live echoes over them."""
    memory = True

    def __init__(self, name, title, mode, count, rate, way=Way()):
        self.name, self.title, self.mode, self.count, self.rate, self.ways = name, title, mode, count, rate, (way,)

    def run(self, settings, running):
        count = min(self.count, settings.held or self.count)
        # What a proxy allocates once, for its first requests, is not the price of a connection.
        wrk(settings, running.port, "/bytes/128", 64, 1, "https" if running.tls else "http")
        time.sleep(0.3)
        rss, pss = procfs.memory_bytes(running.process.pids())
        options = {"connections": count, "hold": 1, "sources": 4, "seconds": settings.seconds,
                   "rate": self.rate, "path": "/ws" if self.mode == "ws" else "/bytes/128"}
        holder = subprocess.Popen(load_command(settings, self.mode, running.port, options), text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # A proxy that never answers must not hold the whole run up.
        guard = threading.Timer(120, holder.kill)
        guard.start()
        try:
            ready = json.loads(holder.stdout.readline() or "{}").get("ready", 0)
            time.sleep(0.5)
            after_rss, after_pss = procfs.memory_bytes(running.process.pids())

            def finish():
                output, _ = holder.communicate("go\n")
                return json.loads(output.strip().splitlines()[-1])
            result = measured(settings, running, finish)
        finally:
            guard.cancel()
            holder.kill()
            holder.wait()
        result["held"] = ready
        result["bytes_each_rss"] = (after_rss - rss) / max(ready, 1)
        result["bytes_each_pss"] = (after_pss - pss) / max(ready, 1)
        result["errors"] += count - ready
        return result


TLS = Way(tls=True)
H2_TLS = Way(tls=True, h2=True)
GRPC = Way(tls=True, h2=True, h2c_out=True, grpc=True)
H2 = {"connections": 16, "streams": 8, "tls": 1}

ALL = [
    Requests("small64", "128 B, 64 connections", through_wrk("/bytes/128", 64)),
    Requests("small1000", "128 B, 1000 connections", through_wrk("/bytes/128", 1000)),
    Requests("10k", "10 KB, 64 connections", through_wrk("/bytes/10240", 64)),
    Requests("1m-down", "1 MB down, 16 connections", through_wrk("/bytes/1048576", 16)),
    Requests("1m-up", "1 MB up, 16 connections",
             through_load("upload", path="/sink", connections=16, body_bytes=1048576)),
    Requests("connect", "a connection for each request, 64 at a time",
             through_load("connect", connections=64, sources=100)),
    Held("idle", "10,000 idle keepalive connections", "idle", 10000, 1),
    Requests("tls64", "TLS 1.3, 128 B, 64 connections", through_wrk("/bytes/128", 64, "https"), TLS),
    Requests("tls10k", "TLS 1.3, 10 KB, 64 connections", through_wrk("/bytes/10240", 64, "https"), TLS),
    Requests("tls1m", "TLS 1.3, 1 MB down, 16 connections", through_wrk("/bytes/1048576", 16, "https"), TLS),
    Requests("tls-full", "TLS 1.3, a connection and a full handshake for each request, 32 at a time",
             through_load("tls-connect", connections=32, sources=50), TLS),
    Requests("tls-resumed", "TLS 1.3, a connection and a resumed handshake for each request, 32 at a time",
             through_load("tls-connect", connections=32, sources=50, resume=1), TLS),
    Held("tls-idle", "5,000 idle TLS 1.3 keepalive connections", "tls-idle", 5000, 1, TLS),
    Requests("h2-tls", "HTTP/2 over TLS 1.3, 128 B, 16 connections x 8 streams",
             through_load("h2", path="/bytes/128", **H2), H2_TLS),
    Requests("h2-tls10k", "HTTP/2 over TLS 1.3, 10 KB, 16 connections x 8 streams",
             through_load("h2", path="/bytes/10240", **H2), H2_TLS),
    Requests("h2-tls1m", "HTTP/2 over TLS 1.3, 1 MB down, 4 connections x 4 streams",
             through_load("h2", path="/bytes/1048576", connections=4, streams=4, tls=1), H2_TLS),
    Requests("grpc", "gRPC unary, 32 B each way, over TLS 1.3 in and h2c out, 16 connections x 8 streams",
             through_load("grpc", path="/bench.Echo/Unary", payload_bytes=32, **H2), GRPC),
    Requests("h2c-backend", "128 B, 64 HTTP/1.1 connections in, HTTP/1.1 or h2c out",
             through_wrk("/bytes/128", 64), Way(), Way(h2c_out=True)),
    Held("ws", "9,000 WebSockets, 3,000 echoes/s", "ws", 9000, 3000),
]
