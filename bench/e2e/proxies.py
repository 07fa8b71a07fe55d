"""The proxies that are compared, each with one worker, tuned for this load; and the origin behind all of them."""
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import procfs


@dataclass(frozen=True)
class Way:
    """What a proxy speaks towards the client and towards the backends."""
    tls: bool = False
    h2: bool = False  # HTTP/2 is offered by ALPN
    h2c_out: bool = False  # backends are spoken to in HTTP/2 without TLS
    grpc: bool = False

    def label(self):
        return "h2c" if self.h2c_out else "HTTP/1.1"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process, seconds=10.0):
    """Returns once 127.0.0.1:port accepts; raises where the process ends or time runs out."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[-1]} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port} after {seconds:.0f} s")


class Process:
    """A program pinned to one core, its output in a file; stopped by its own pid."""

    def __init__(self, name, command, core, folder):
        self.name = name
        self.log = Path(folder) / f"{name}.log"
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, command)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)

    @property
    def pid(self):
        return self.popen.pid

    def pids(self):
        return procfs.tree(self.pid)

    def stop(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()

    def tail(self):
        return self.log.read_text(errors="replace")[-800:]


def start_origin(echo, core, folder, number):
    """`rondo echo` on a free port; returns (process, port)."""
    port = free_port()
    process = Process(f"origin{number}", [*echo, "--listen", f"127.0.0.1:{port}", "--name", f"o{number}"],
                      core, folder)
    wait_for_port(port, process.popen)
    return process, port


def start_h2c_origin(load, core, folder, number):
    """The cheap HTTP/2 server of rondo_load on a free port; returns (process, port)."""
    port = free_port()
    process = Process(f"h2c-origin{number}", [load, "h2c-origin", "--target", f"127.0.0.1:{port}"], core, folder)
    wait_for_port(port, process.popen)
    return process, port


def make_certificate(folder):
    """An ECDSA P-256 certificate of our own: tls.crt, tls.key, and both in tls.pem."""
    folder = Path(folder)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "30",
                    "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True)
    (folder / "tls.pem").write_text((folder / "tls.crt").read_text() + (folder / "tls.key").read_text())
    for name in ("tls.key", "tls.crt", "tls.pem"):
        (folder / name).chmod(0o644)  # nginx's worker is another user


NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/nginx.error.log error;
events {{ worker_connections {connections}; use epoll; multi_accept on; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream origin {{
{servers}
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
  }}
  server {{
    listen 127.0.0.1:{port} {listen} reuseport backlog=4096;
{certificate}
    http2_max_concurrent_streams 128;
    http2_chunk_size 16k;
    proxy_http_version 1.1;
    proxy_buffer_size 16k;
    proxy_buffers 16 64k;
    proxy_busy_buffers_size 256k;
    proxy_max_temp_file_size 0;
    proxy_request_buffering off;
    client_body_buffer_size 256k;
    proxy_read_timeout 1h;
    proxy_set_header Host $http_host;
{headers}
    location / {{
{onward}
    }}
    location /ws {{
      proxy_buffer_size 4k;  # held for as long as the WebSocket stands
      proxy_buffers 8 4k;
      proxy_busy_buffers_size 8k;
      proxy_set_header Connection upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_pass http://origin;
    }}
  }}
}}
"""
NGINX_TLS = """    ssl_certificate {folder}/tls.crt;
    ssl_certificate_key {folder}/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:64m;"""
NGINX_ONWARD = """      proxy_set_header Connection "";
      proxy_pass http://origin;"""
NGINX_GRPC = """      grpc_read_timeout 1h;
      grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      grpc_pass grpc://origin;"""
NGINX_HEADERS = {
    "lean": "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "same": """    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Request-Id $request_id;""",
}

HAPROXY = """
global
  nbthread 1
  no strict-limits
  maxconn {connections}
  tune.maxaccept 200
  tune.h2.max-concurrent-streams 128
  tune.h2.initial-window-size 1048576
defaults
  mode http
  no log
  option http-keep-alive
  http-reuse always
  {splice}
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  timeout tunnel 1h
frontend web
  bind 127.0.0.1:{port} backlog 4096 {tls}
{headers}
  default_backend origin
backend origin
  balance roundrobin
{servers}
"""
HAPROXY_HEADERS = {
    "lean": "  option forwardfor",
    "same": """  option forwardfor
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Real-IP %[src]""",
}

RONDO = """
process: {{workers: 1, engine: {engine}}}
logging: {{access: {{path: "off"}}}}
timeouts: {{keepalive: 300s}}
admin: {{listen: off}}
listeners:
  web:
    listen: ["127.0.0.1:{port}"]
    {tls}
    routes:
      - {{match: {{path: /ws}}, upstream: origin, upgrades: [websocket]}}
      - upstream: origin
upstreams:
  origin:
    balance: round_robin
    backends: [{backends}]
    keepalive: {{idle: 1024}}
    {protocol}
"""


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    text = (done.stdout + done.stderr).strip()
    return text.splitlines()[0] if text else "unknown"


class Nginx:
    name = "nginx"

    def available(self):
        return shutil.which("nginx") is not None

    def can(self, way):
        return not way.h2c_out or way.grpc  # proxy_pass speaks HTTP/1 only

    def version(self):
        return re.sub(r"^nginx version: ", "", first_line("nginx", "-v"))

    def command(self, port, origins, certificates, folder, settings, way):
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(
            folder=folder, port=port, files=settings.files, connections=settings.files - 200,
            servers="\n".join(f"    server 127.0.0.1:{p};" for p in origins),
            listen=("ssl" if way.tls else "") + (" http2" if way.h2 else ""),
            certificate=NGINX_TLS.format(folder=certificates) if way.tls else "",
            headers=NGINX_HEADERS[settings.forwarded], onward=NGINX_GRPC if way.grpc else NGINX_ONWARD))
        return ["nginx", "-p", str(folder), "-c", str(config), "-e", f"{folder}/nginx.error.log"]


class Haproxy:
    name = "haproxy"

    def available(self):
        return shutil.which("haproxy") is not None

    def can(self, way):
        return True

    def version(self):
        return first_line("haproxy", "-v").split(" - ")[0]

    def command(self, port, origins, certificates, folder, settings, way):
        config = Path(folder) / "haproxy.cfg"
        alpn = " alpn h2,http/1.1" if way.h2 else ""
        config.write_text(HAPROXY.format(
            port=port, connections=settings.files - 200,
            splice="option splice-auto" if settings.splice else "no option splice-auto",
            servers="\n".join(f"  server o{p} 127.0.0.1:{p}{' proto h2' if way.h2c_out else ''}" for p in origins),
            tls=f"ssl crt {certificates}/tls.pem ssl-min-ver TLSv1.2{alpn}" if way.tls else "",
            headers=HAPROXY_HEADERS[settings.forwarded]))
        return ["haproxy", "-db", "-q", "-f", str(config)]


class Rondo:
    def __init__(self, engine, binary):
        self.engine = engine
        self.name = f"rondo {engine}"
        self.binary = binary

    def available(self):
        return os.access(self.binary, os.X_OK)

    def version(self):
        return first_line(self.binary, "version")

    def can(self, way):
        return True

    def command(self, port, origins, certificates, folder, settings, way):
        config = Path(folder) / "rondo.yaml"
        certificate = f"{{cert: {certificates}/tls.crt, key: {certificates}/tls.key}}"
        config.write_text(RONDO.format(
            engine=self.engine, port=port, backends=", ".join(f"127.0.0.1:{p}" for p in origins),
            tls=f"tls: {{certificates: [{certificate}]}}" if way.tls else "",
            protocol="protocol: h2c" if way.h2c_out else ""))
        return [self.binary, "run", "-c", str(config)]


class Running:
    """A proxy that has been started on a free port and answers."""

    def __init__(self, proxy, origins, folder, settings, way=Way()):
        self.proxy = proxy
        self.name = proxy.name
        self.port = free_port()
        self.tls = way.tls
        own = Path(folder) / f"{proxy.name}-{self.port}".replace(" ", "-")
        own.mkdir()
        own.chmod(0o755)  # nginx's worker is another user
        self.process = Process(proxy.name.replace(" ", "-"),
                               proxy.command(self.port, origins, folder, own, settings, way), settings.proxy_core, own)
        try:
            wait_for_port(self.port, self.process.popen)
        except RuntimeError as error:
            self.process.stop()
            raise RuntimeError(f"{self.name}: {error}\n{self.process.tail()}") from error

    def stop(self):
        self.process.stop()
