"""Certificates for tests: an authority of our own, and leaves of it, made by openssl."""
import os
import socket
import ssl
import subprocess
from pathlib import Path

import harness


def openssl(*arguments, **options):
    """What it said on stdout; an AssertionError with what it said on stderr where it fails."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, timeout=60, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"openssl {arguments}: {done.stderr.decode()}")
    return done.stdout


class Authority:
    """Its files stand in `folder`: NAME.pem and NAME.key."""

    def __init__(self, folder, name="ca"):
        self.folder = Path(folder)
        self.file, self.key = self._make(name, f"/CN=Test authority {name}", "ec", "-addext",
                                         "basicConstraints=critical,CA:TRUE", "-addext",
                                         "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")

    def _make(self, name, subject, kind, *more):
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        parameters = (("ec", "-pkeyopt", "ec_paramgen_curve:P-256") if kind == "ec" else ("rsa:2048",))
        openssl("req", "-x509", "-newkey", *parameters, "-nodes", "-sha256", "-days", "365", "-subj", subject,
                "-keyout", f"{key}.new", "-out", f"{cert}.new", *more)
        os.replace(f"{key}.new", key)
        os.replace(f"{cert}.new", cert)
        return cert, key

    def leaf(self, name, hosts=("localhost", "127.0.0.1"), kind="ec", subject=None):
        """(certificate, key) for names and addresses, good for servers and clients. Without any: for a client."""
        alternatives = ",".join(("IP:" if host[0].isdigit() or ":" in host else "DNS:") + host for host in hosts)
        return self._make(name, subject or f"/CN={hosts[0] if hosts else name}", kind, "-CA", self.file, "-CAkey",
                          self.key, "-addext", "basicConstraints=critical,CA:FALSE",
                          *(("-addext", f"subjectAltName={alternatives}") if hosts else ()))

    def context(self, version=None, client=None):
        """For Python's clients: trusts this authority alone."""
        context = ssl.create_default_context(cafile=str(self.file))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if client is not None:
            context.load_cert_chain(*client)
        return context

    @staticmethod
    def common_name(der):
        """Of a certificate as Python's ssl shows it."""
        return openssl("x509", "-inform", "der", "-noout", "-subject", input=der).decode().rsplit("=", 1)[1].strip()


def secure(address, context, name="localhost", session=None):
    """A client over TLS."""
    host, _, port = address.rpartition(":")
    plain = socket.create_connection((host.strip("[]"), int(port)), harness.DEADLINE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return harness.Client(context.wrap_socket(plain, server_hostname=name, session=session))


def certificates(*pairs):
    """The value of `certificates` in a configuration."""
    return "[" + ", ".join(f"{{cert: \"{cert}\", key: \"{key}\"}}" for cert, key in pairs) + "]"
