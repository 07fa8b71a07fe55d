"""Headless Chromium loads a page and talks over a WebSocket through Rondo: over HTTP/2 as by itself, and over HTTP/1.1."""
import base64
import hashlib
import json
import subprocess
import tempfile

import harness
from certificates import Authority, certificates, openssl
from harness import EndToEnd, eventually, ok

PAGE = """<!doctype html><title>Rondo</title><script>
const told = what => fetch("/told", {method: "POST", body: JSON.stringify(what)});
const socket = new WebSocket("wss://localhost:" + location.port + "/ws");
socket.onopen = () => socket.send("from the page: \\u20ac " + "x".repeat(70000));
socket.onmessage = async event => {
  const big = await (await fetch("/bytes/300000")).arrayBuffer();
  const spoken = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  await told({echo: event.data.length, secure: isSecureContext, big: big.byteLength,
              protocols: [...new Set(spoken.map(entry => entry.nextHopProtocol))]});
  socket.close(1000);
};
socket.onerror = () => told({error: "the WebSocket failed"});
</script>"""


class Browser(EndToEnd):
    def test_a_page_and_its_websocket_over_http2(self):
        # The WebSocket too (RFC 8441).
        records = self.browse("h2", "[h2, http/1.1]")
        self.assertEqual({record["protocol"] for record in records}, {"HTTP/2.0"})

    def test_a_page_and_its_websocket_over_http1(self):
        records = self.browse("http/1.1", "[http/1.1]")
        self.assertEqual({record["protocol"] for record in records}, {"HTTP/1.1"})

    def browse(self, protocol, alpn):
        """What the page has to tell is looked at here; returns the access log's records."""
        authority = Authority(self.folder)
        cert, key = authority.leaf("web")
        pages = self.backend(answer=lambda request: ok(PAGE, "Content-Type: text/html\r\n"))
        echo, log = self.echo(), f"{self.folder}/access.log"
        rondo = self.rondo(
            f"listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n"
            f"    tls: {{certificates: {certificates((cert, key))}, alpn: {alpn}}}\n"
            "    routes:\n      - match: {path: /ws}\n        upstream: echo\n        upgrades: [websocket]\n"
            "      - match: {path_prefix: /bytes}\n        upstream: echo\n      - upstream: pages\n"
            f"upstreams:\n  echo: {{backends: [\"{echo.address}\"]}}\n  pages: {{backends: [\"{pages.address}\"]}}\n",
            access=log)
        # This key alone is trusted, for this browser alone.
        public = openssl("pkey", "-in", key, "-pubout", "-outform", "der")
        pin = base64.b64encode(hashlib.sha256(public).digest()).decode()
        with tempfile.TemporaryDirectory(prefix="rondo-browser-", ignore_cleanup_errors=True) as profile:
            browser = subprocess.Popen(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}",
                 f"--ignore-certificate-errors-spki-list={pin}", f"https://localhost:{rondo.port()}/"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                pages.wait_for(lambda: any(r.target == "/told" and r.body for r in pages.requests),
                               "what the page has to tell")
            finally:
                browser.kill()
                browser.wait()
        told = next(json.loads(r.body) for r in pages.requests if r.target == "/told")
        self.assertEqual(told, {"echo": 70017, "secure": True, "big": 300000, "protocols": [protocol]})
        self.assertTrue(all(r.get("X-Forwarded-Proto") == "https" for r in pages.requests))
        return self.records(log, {"/", "/told", "/bytes/300000", "/ws"})

    def records(self, log, targets):
        """What the access log says of these, once it has them all: a WebSocket is logged at its end."""
        def found():
            records = [r for r in self.access_lines(log, 1) if r["target"] in targets]
            return records if {r["target"] for r in records} == targets else None
        return eventually(found, f"{targets} in the access log")


if __name__ == "__main__":
    harness.main()
