"""testssl.sh looks for everything that is known to be wrong with a server's TLS, and finds nothing at MEDIUM or above."""
import json
import subprocess
from pathlib import Path

import harness
from certificates import Authority, certificates
from harness import EndToEnd

# What is not the server's: an authority that nobody else knows, no revocation service, no CAA record, the headers of the
# pages behind it.
OWN = ("cert_chain_of_trust", "cert_trust", "cert_revocation", "cert_crlDistributionPoints", "cert_ocspURL",
       "DNS_CAArecord", "security_headers",
       "cert_extlifeSpan", "cert_validityPeriod", "OCSP_stapling", "overall_grade", "final_score", "grade_cap_reason")
SERIOUS = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")


class Audit(EndToEnd):
    def test_nothing_serious_is_found(self):
        authority = Authority(self.folder)
        pairs = certificates(authority.leaf("web"), authority.leaf("rsa", kind="rsa"))
        rondo = self.rondo("listeners:\n  web:\n    listen: [\"127.0.0.1:0\"]\n    tls:\n"
                           f"      certificates: {pairs}\n      hsts: 365d\n"
                           "    routes: [{respond: {status: 200, body: hello}}]\n")
        report = Path(self.folder) / "report.json"
        done = subprocess.run(
            ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--jsonfile", report,
             "--add-ca", authority.file, "--severity", "LOW", "--protocols", "--server-defaults", "--server-preference",
             "--fs", "--vulnerable", "--headers", f"localhost:{rondo.port()}"],
            capture_output=True, text=True, timeout=400, check=False)
        self.assertTrue(report.exists(), done.stdout[-2000:])
        findings = json.loads(report.read_text())
        self.assertFalse([f for f in findings if f["id"] == "scanProblem"], findings)
        serious = [f for f in findings if f["severity"] in SERIOUS
                   and not f["id"].split(" ")[0].startswith(OWN)]
        self.assertEqual(serious, [])
        self.check_scanned(rondo)

    def check_scanned(self, rondo):
        """It was this server, and it is well."""
        self.assertIsNone(rondo.process.poll())
        host, port = rondo.admin().rsplit(":", 1)
        client = harness.Client(harness.socket.create_connection((host, int(port)), harness.DEADLINE))
        text = client.get("/metrics", host="localhost").text()
        client.close()
        done = [line for line in text.splitlines() if line.startswith("rondo_tls_handshakes_total")]
        self.assertGreater(sum(float(line.rsplit(" ", 1)[1]) for line in done), 10)


if __name__ == "__main__":
    harness.main()
