"""The same as test_scaling, over TLS on both sides: backends come and go, certificates are replaced and reloaded, and
no request, no WebSocket and no handshake fails."""
import harness
import test_scaling
from certificates import Authority, certificates, secure
from harness import eventually


class ScalingTls(test_scaling.Scaling):
    # These say nothing new over TLS.
    test_what_was_acknowledged_is_there_after_a_restart = None
    test_five_replicas_become_one_and_four_refuse_at_once = None

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.pair = self.authority.leaf("web")
        self.context = self.authority.context()
        self.listener_keys = f"tls: {{certificates: {certificates(self.pair)}}}"
        self.still_keys = f"tls: {{ca: \"{self.authority.file}\", sni: localhost}}"

    def start_fleet(self, *arguments, **options):
        # The backends of `still` speak TLS: each is an echo behind a Rondo of its own.
        inner, pair = [], certificates(self.authority.leaf("inner"))
        for number in range(2):
            echo = self.echo("--name", f"s{number}", "--delay", "50ms")
            front = self.rondo(f"listeners: {{web: {{listen: [\"127.0.0.1:0\"], tls: {{certificates: {pair}}}, "
                               "routes: [{upstream: echo, upgrades: [websocket]}]}}\n"
                               f"upstreams: {{echo: {{backends: [\"{echo.address}\"]}}}}\n")
            inner.append(front)
        make_echo = self.echo

        def echo(*said, **how):
            if "s0" in said or "s1" in said:
                program = inner[0 if "s0" in said else 1]
                return Named(program.address())
            return make_echo(*said, **how)
        self.echo = echo
        super().start_fleet(*arguments, **options)

    def generation(self):
        client = secure(self.rondo_program.address(), self.context)
        text = client.get("/generation").text()
        client.close()
        return text

    def operate_certificate(self):
        """A new certificate and key in the old ones' places: seen by new handshakes, nobody else notices."""
        def serial():
            client = secure(self.rondo_program.address(), self.context)
            value = client.sock.getpeercert()["serialNumber"]
            client.close()
            return value
        before = serial()
        self.authority.leaf("web")
        if self.rng.random() < 0.5:
            self.expect(self.admin.call("POST", "/v1/reload", {}), 200)
        eventually(lambda: serial() != before, "the new certificate")

    OPERATIONS = [*test_scaling.Scaling.OPERATIONS, (operate_certificate, 1)]


class Named:
    """Stands where an echo would: known by its address."""

    def __init__(self, address):
        self.address = address


if __name__ == "__main__":
    harness.main()
