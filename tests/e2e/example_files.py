"""Copies conf/ to a folder and makes the files beside it that the examples name: certificates of one authority
and their keys, a revocation list, an OCSP answer, ticket keys. All made by openssl."""
import datetime
import os
import shutil
from pathlib import Path

from certificates import Authority, openssl

CONF = Path(__file__).resolve().parents[2] / "conf"
AUTHORITIES = ("authority", "services", "clients", "operators", "backends")
LEAVES = {
    "web": ("web.example.com", "localhost"),
    "wildcard": ("*.example.com",),
    "www.example.com": ("www.example.com", "example.com"),
    "api.example.com": ("api.example.com",),
    "admin": ("localhost",),
    "orders": ("orders.internal",),
    "payments": ("payments.internal",),
    "prices": ("prices.internal",),
    "rondo": ("rondo.internal",),
}
CA_SETTINGS = """[ca]
default_ca = d
[d]
database = {folder}/index.txt
default_md = sha256
"""


class ExampleFiles:
    """In `folder`: the files of conf/, and certs/."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.certs = self.folder / "certs"
        self.certs.mkdir()
        for file in CONF.glob("*.yaml"):
            shutil.copy(file, self.folder)
        (self.folder / "backends.yaml").write_text("[]\n")
        self._made = Authority(self.certs, "authority")
        self.authority = self._made.file
        for name in AUTHORITIES[1:]:
            shutil.copy(self.authority, self.certs / f"{name}.pem")
        for name, hosts in LEAVES.items():
            self.leaf(name, hosts)
        (self.certs / "tickets.key").write_bytes(os.urandom(80))
        self._revocations()
        self._staple("web")

    def leaf(self, name, hosts=()):
        """A certificate for `hosts`, good for servers and clients. Without any: for a client."""
        return self._made.leaf(name, hosts)

    def _revocations(self):
        """Lists on which nobody stands."""
        (self.folder / "index.txt").write_text("")
        settings = self.folder / "ca.cnf"
        settings.write_text(CA_SETTINGS.format(folder=self.folder))
        for name in ("services", "clients"):
            openssl("ca", "-config", settings, "-gencrl", "-crldays", 1, "-cert", self.authority, "-keyfile",
                    self.certs / "authority.key", "-out", self.certs / f"{name}.crl")

    def _staple(self, name):
        """What a responder says of a certificate that nobody revoked."""
        leaf = self.certs / f"{name}.pem"
        serial = openssl("x509", "-in", leaf, "-noout", "-serial").decode().strip().split("=")[1]
        ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
        index = self.folder / "ocsp.txt"
        index.write_text(f"V\t{ends:%y%m%d%H%M%SZ}\t\t{serial}\tunknown\t/CN={name}\n")
        request = self.folder / "request.der"
        openssl("ocsp", "-issuer", self.authority, "-cert", leaf, "-reqout", request)
        openssl("ocsp", "-index", index, "-rsigner", self.authority, "-rkey", self.certs / "authority.key", "-CA",
                self.authority, "-reqin", request, "-ndays", 1, "-respout", self.certs / f"{name}.ocsp")
