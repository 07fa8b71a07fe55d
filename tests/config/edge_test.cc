// TLS, the PROXY protocol and protection: what is read, and what is said about what is wrong.
#include <array>
#include <chrono>

#include "config/parse_helpers.h"
#include "config/route_checks.h"
#include "rondo/config/edit.h"
#include "rondo/config/write.h"

namespace rondo::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

struct Case {
  std::string text;
  std::vector<std::string> errors;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_THAT(ErrorsOf(c.text), ElementsAreArray(c.errors)) << c.text;
}

// The keys stand in line 2, those of a listener from column 26 on.
std::string InListener(const std::string& keys) {
  return "listeners:\n  web: {listen: [':80'], " + keys +
         ", routes: [{upstream: api}]}\nupstreams: {api: {backends: [10.0.0.1:3000]}}\n";
}
// From column 32 on.
std::string InTls(const std::string& keys) { return InListener("tls: {" + keys + "}"); }
// From column 51 on.
std::string InRoute(const std::string& keys) {
  return "listeners:\n  web: {listen: [':80'], routes: [{upstream: api, " + keys +
         "}]}\nupstreams: {api: {backends: [10.0.0.1:3000]}}\n";
}
// From column 35 on.
std::string InUpstream(const std::string& keys) {
  return "upstreams:\n  api: {backends: [10.0.0.1:300], " + keys +
         "}\nlisteners: {web: {listen: [':80'], routes: [{upstream: api}]}}\n";
}
// In line 1.
std::string AtTop(const std::string& line) {
  return line +
         "\nlisteners: {web: {listen: [':80'], routes: [{upstream: api}]}}\n"
         "upstreams: {api: {backends: [10.0.0.1:3000]}}\n";
}

TEST(ListenerTlsKeys, AreReadWithTheirFiles) {
  const Config config = ConfigOf(R"(
listeners:
  web:
    listen: [":443"]
    tls:
      certificates: [{cert: web.pem, key: /etc/web.key}, {cert: ./b.pem, key: b.key, ocsp: b.ocsp}]
      ocsp: a.ocsp
      min_version: 1.3
      alpn: []
      hsts: 365d
      client_ca: clients.pem
      client_auth: optional
      crl: clients.crl
      ticket_keys: tickets.key
    routes: [{upstream: api}]
upstreams: {api: {backends: [10.0.0.1:3000]}}
)");
  const ListenerTls tls{
      .certificates = {{.cert = "conf/web.pem", .key = "/etc/web.key", .ocsp = "conf/a.ocsp"},
                       {.cert = "conf/b.pem", .key = "conf/b.key", .ocsp = "conf/b.ocsp"}},
      .tls13_only = true,
      .alpn = {},
      .hsts = 365 * 24h,
      .client_auth = ClientAuth::kOptional,
      .client_ca = "conf/clients.pem",
      .crl = "conf/clients.crl",
      .client_headers = true,
      .ticket_keys = "conf/tickets.key"};
  ASSERT_EQ(config.listeners.at(0).tls, tls);
  const ListenerTls& read = *config.listeners.at(0).tls;
  EXPECT_EQ(read.where.line, 5);
  EXPECT_EQ(read.certificates.at(1).where.line, 6);
  EXPECT_EQ(read.certificates.at(1).where.col, 58);
}

TEST(ListenerTlsKeys, HaveDefaultsForAllButTheCertificates) {
  const Config config = ConfigOf(InTls("certificates: [{cert: c, key: k}]"));
  EXPECT_EQ(config.listeners.at(0).tls,
            (ListenerTls{.certificates = {{.cert = "conf/c", .key = "conf/k"}}}));
  EXPECT_EQ(ListenerTls().alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_EQ(ConfigOf(InListener("via: off")).listeners.at(0).tls, std::nullopt);
  // A client's certificate is required where authorities are named and nothing else is said.
  const Config mutual = ConfigOf(InTls("certificates: [{cert: c, key: k}], client_ca: a"));
  EXPECT_EQ(mutual.listeners.at(0).tls->client_auth, ClientAuth::kRequired);
  EXPECT_TRUE(mutual.listeners.at(0).tls->client_headers);
  EXPECT_EQ(
      ConfigOf(InTls("certificates: [{cert: c, key: k}], hsts: 0s")).listeners.at(0).tls->hsts,
      Duration(0));
}

TEST(ListenerTlsKeys, WantCertificatesWithTheirKeys) {
  const std::string none =
      "2:26: this `tls` has no `certificates`: write at least one, such as [{cert: web.pem, key: "
      "web.key}]";
  Check({
      {InListener("tls: {}"), {none}},
      {InListener("tls:"), {none}},
      {InTls("min_version: \"1.2\""), {none}},
      {InListener("tls: on"), {"2:31: `tls` must be a map of keys, not a single value"}},
      {InTls("certificate: [{cert: c, key: k}]"),
       {"2:32: unknown key `certificate`; did you mean `certificates`?"}},
      {InTls("cert: c, key: k"),
       {"2:32: unknown key `cert` here; it belongs in `listeners.*.tls.certificates[]`",
        "2:41: unknown key `key` here; it belongs in `listeners.*.tls.certificates[]`"}},
      {InTls("certificates: []"),
       {"2:46: `certificates` is empty: write at least one, such as {cert: web.pem, key: "
        "web.key}"}},
      {InTls("certificates: web.pem"),
       {"2:46: `certificates` must be a list, such as [\"web.pem\"], not a single value"}},
      {InTls("certificates: [web.pem]"),
       {"2:47: a certificate must be a map of keys, such as {cert: web.pem, key: web.key}"}},
      {InTls("certificates: [{cert: c}]"),
       {"2:47: this certificate has no `key`: name the file of the certificate's private key, as "
        "in {cert: web.pem, key: web.key}"}},
      {InTls("certificates: [{key: c}]"),
       {"2:47: this certificate has no `cert`: name the file of the certificate, as in {cert: "
        "web.pem, key: web.key}"}},
      {InTls("certificates: [{cert: '', key: k}]"),
       {"2:54: `cert` is empty: write a path, or remove the key"}},
      {InTls("certificates: [{cert: c, key: k}, {cert: ./c, key: l}]"),
       {"2:73: `certificates` has `conf/c` twice"}},
      {InTls("certificates: [{cert: c, key: k, ocsp: o}], ocsp: o"),
       {"2:76: `ocsp` is that of the first certificate, which has one already: write it there "
        "alone"}},
  });
}

TEST(ListenerTlsKeys, RefuseVersionsAndProtocolsThatAreNotThere) {
  const std::string pair = "certificates: [{cert: c, key: k}], ";  // 35 characters
  Check({
      {InTls(pair + "min_version: 1.1"),
       {"2:80: `min_version` is `1.1`, but must be `1.2` or `1.3`: write `1.2`"}},
      {InTls(pair + "min_version: TLSv1.2"),
       {"2:80: `min_version` is `TLSv1.2`, but must be `1.2` or `1.3`"}},
      {InTls(pair + "alpn: [http/1.0]"),
       {"2:74: `alpn` has `http/1.0`, but takes `h2` or `http/1.1`"}},
      {InTls(pair + "alpn: [h2c]"), {"2:74: `alpn` has `h2c`, but takes `h2` or `http/1.1`"}},
      {InTls(pair + "alpn: [http/1.1, http/1.1]"), {"2:84: `alpn` has `http/1.1` twice"}},
      {InTls(pair + "hsts: 1500ms"),
       {"2:73: `hsts` must be whole seconds: the header knows nothing finer"}},
      {InTls(pair + "hsts: true"),
       {"2:73: `hsts` is `true`, but must be a duration from 0s to "
        "36500d, such as 250ms or 5s"}},
      {InTls(pair + "ciphers: ALL"),
       {"2:67: unknown key `ciphers`; known here: `certificates`, `min_version`, `alpn`, `hsts`, "
        "`client_ca`, `client_auth`, `crl`, `client_headers`, `ticket_keys` and `ocsp`"}},
      {InListener("hsts: 1d"), {"2:26: unknown key `hsts` here; it belongs in `listeners.*.tls`"}},
  });
}

TEST(ListenerTlsKeys, SayWhatIsOnlyForClientsCertificates) {
  const std::string pair = "certificates: [{cert: c, key: k}], ";
  const auto needs = [](const std::string& key) {
    return "2:67: `" + key + "` has a meaning only with `client_ca`: write that too, or remove it";
  };
  Check({
      {InTls(pair + "client_auth: optional"), {needs("client_auth")}},
      {InTls(pair + "crl: c"), {needs("crl")}},
      {InTls(pair + "client_headers: false"), {needs("client_headers")}},
      {InTls(pair + "client_auth: none, client_ca: a"),
       {"2:80: `client_auth` is `none`, but must be `required` or `optional`"}},
      {InTls(pair + "client_cas: a, client_auth: required"),
       {"2:67: unknown key `client_cas`; did you mean `client_ca`?"}},
  });
}

TEST(ProxyProtocolKey, WantsPeersThatAreBelieved) {
  Check({
      {InListener("proxy_protocol: on"),
       {"2:26: `proxy_protocol: on` needs `trusted_proxies`: write the networks of those whose "
        "PROXY header is believed, such as [10.0.0.0/8]"}},
      {InListener("proxy_protocol: on, trusted_proxies: []"),
       {"2:26: `proxy_protocol: on` needs `trusted_proxies`: write the networks of those whose "
        "PROXY header is believed, such as [10.0.0.0/8]"}},
      {InListener("proxy_protocol: on, trusted_proxies: [10.0.0.1/8]"),
       {"2:64: `trusted_proxies`: `10.0.0.1/8` has bits set behind its prefix: write the network's "
        "first address"}},
      {InListener("proxy_protocol: v2, trusted_proxies: [10.0.0.0/8]"),
       {"2:42: `proxy_protocol` is `v2`, but must be `off` or `on`"}},
      {InListener("proxy_protocol: off"), {}},
  });
  EXPECT_TRUE(ConfigOf(InListener("proxy_protocol: on, trusted_proxies: ['::1']"))
                  .listeners.at(0)
                  .proxy_protocol);
  // Who can open a unix socket is let in by the file system.
  EXPECT_TRUE(ConfigOf("listeners: {w: {listen: ['unix:/w'], proxy_protocol: on, routes: "
                       "[{respond: {status: 204}}]}}\n")
                  .listeners.at(0)
                  .proxy_protocol);
}

TEST(ProtectionKeys, AreRead) {
  const Config config = ConfigOf(R"(
listeners:
  web:
    listen: [":80"]
    allow: [10.0.0.0/8, "2001:db8::/32"]
    deny: [10.1.2.3]
    connections: {total: 1000, per_address: 20}
    min_rate: {request: 1KiB, response: 512}
    routes:
      - match: {path: /login}
        respond: {status: 200}
        allow: [10.0.0.0/8]
        deny: [10.0.0.1]
        rate_limit: {rate: 30/m, burst: 5, key: "header:X-Api-Key", dry_run: true}
        uri_bytes: 8KiB
limits: {handshakes: 500}
timeouts: {handshake: 3s}
process: {user: "rondo:www-data"}
)");
  const Listener& listener = config.listeners.at(0);
  EXPECT_THAT(listener.allow,
              ElementsAre(*Network::Parse("10.0.0.0/8"), *Network::Parse("2001:db8::/32")));
  EXPECT_THAT(listener.deny, ElementsAre(*Network::Parse("10.1.2.3")));
  EXPECT_EQ(listener.connections_total, 1000u);
  EXPECT_EQ(listener.connections_per_address, 20u);
  EXPECT_EQ(listener.min_rate_request, 1024u);
  EXPECT_EQ(listener.min_rate_response, 512u);
  const RouteConfig& route = listener.routes.at(0);
  EXPECT_THAT(route.allow, ElementsAre(*Network::Parse("10.0.0.0/8")));
  EXPECT_THAT(route.deny, ElementsAre(*Network::Parse("10.0.0.1")));
  EXPECT_EQ(route.rate_limit,
            (RateLimit{.requests = 30,
                       .per = 1min,
                       .burst = 5,
                       .key = {.source = HashKey::Source::kHeader, .name = "X-Api-Key"},
                       .dry_run = true}));
  EXPECT_EQ(route.uri_bytes, 8192u);
  EXPECT_EQ(config.limits.handshakes, 500u);
  EXPECT_EQ(config.timeouts.handshake, Duration(3s));
  EXPECT_EQ(config.process.user, "rondo:www-data");
}

TEST(ProtectionKeys, SayWhatIsNoNetwork) {
  Check({
      {InListener("allow: [10.0.0.0/33]"),
       {"2:34: `allow`: `10.0.0.0/33` has no prefix length from 0 to 32 behind the slash"}},
      {InListener("deny: [10.0.0.1/8]"),
       {"2:33: `deny`: `10.0.0.1/8` has bits set behind its prefix: write the network's first "
        "address"}},
      {InListener("deny: 10.0.0.0/8"),
       {"2:32: `deny` must be a list, such as [\"10.0.0.0/8\"], not a single value"}},
      {InRoute("allow: [intranet]"),
       {"2:59: `allow`: `intranet` is not a network: write it like `10.0.0.0/8`, `2001:db8::/32` "
        "or `10.0.0.1`"}},
      {InRoute("deny: [[]]"),
       {"2:58: an element of `deny` must be a network such as 10.0.0.0/8, not a list"}},
      {InListener("connections: 100"),
       {"2:39: `connections` must be a map of keys, not a single value"}},
      {InListener("connections: {per_ip: 5}"),
       {"2:40: unknown key `per_ip`; known here: `total` and `per_address`"}},
      {InListener("min_rate: {request: 1KB}"),
       {"2:46: `request` is `1KB`, but must be a size from 0 to 1GiB, such as 64KiB: write "
        "`1KiB`"}},
      {InRoute("uri_bytes: 2MiB"),
       {"2:62: `uri_bytes` is `2MiB`, but must be a size from 0 to 1MiB, such as 64KiB"}},
      {AtTop("process: {user: 'no body'}"),
       {"1:17: `user`: `no body` is neither a user nor a user and a group: write it like `rondo` "
        "or `rondo:web`"}},
      {AtTop("process: {user: 'rondo:'}"),
       {"1:17: `user`: `rondo:` is neither a user nor a user and a group: write it like `rondo` "
        "or `rondo:web`"}},
      {AtTop("timeouts: {handshake: 0s}"),
       {"1:23: `handshake` is `0s`, but must be a duration from 1ms to 365d, such as 250ms or "
        "5s"}},
  });
}

TEST(RateLimitKeys, TakeRatesOfASecondAMinuteOrAnHour) {
  const auto limit = [](const std::string& keys) {
    return ConfigOf(InRoute("rate_limit: {" + keys + "}")).listeners.at(0).routes.at(0).rate_limit;
  };
  EXPECT_EQ(limit("rate: 100/s"), (RateLimit{.requests = 100, .per = 1s, .burst = 100}));
  EXPECT_EQ(limit("rate: 600/m"), (RateLimit{.requests = 600, .per = 1min, .burst = 10}));
  EXPECT_EQ(limit("rate: 1000/h"), (RateLimit{.requests = 1000, .per = 1h, .burst = 1}));
  EXPECT_EQ(limit("rate: 1/s, key: cookie:session"),
            (RateLimit{.key = {.source = HashKey::Source::kCookie, .name = "session"}}));
}

TEST(RateLimitKeys, SayWhatIsNoRate) {
  const auto rate = [](const std::string& text, const std::string& meant) {
    return Case{InRoute("rate_limit: {rate: " + text + "}"),
                {"2:70: `rate`: `" + text +
                 "` must be 1 to 1000000 requests in a second, minute or hour, such as `100/s`, "
                 "`600/m` or `1000/h`" +
                 (meant.empty() ? "" : ": write `" + meant + "`")}};
  };
  Check({
      rate("100", "100/s"),
      rate("100r/s", "100/s"),
      rate("100 / sec", "100/s"),
      rate("10/minute", "10/m"),
      rate("010/h", "10/h"),
      rate("100/", "100/s"),
      rate("0/s", ""),
      rate("1000001/s", ""),
      rate("1.5/s", ""),
      rate("10/d", ""),
      rate("/s", ""),
      rate("fast", ""),
      {InRoute("rate_limit: {burst: 5}"),
       {"2:51: this `rate_limit` has no `rate`: write one, such as {rate: 100/s}"}},
      {InRoute("rate: 100/s, burst: 5"),
       {"2:51: unknown key `rate` here; it belongs in `listeners.*.routes[].rate_limit`",
        "2:64: unknown key `burst` here; it belongs in `listeners.*.routes[].rate_limit`"}},
      {InRoute("rate_limit: 100/s"),
       {"2:63: `rate_limit` must be a map of keys, not a single value"}},
      {InRoute("rate_limit: {rate: 1/s, burst: 0}"),
       {"2:82: `burst` is `0`, but must be a whole number from 1 to 1000000"}},
      {InRoute("rate_limit: {rate: 1/s, key: path}"),
       {"2:80: `key`: `path` must be `client_ip`, `header:NAME` or `cookie:NAME`"}},
      {InRoute("rate_limit: {rate: 1/s, key: 'header:'}"),
       {"2:80: `key`: `header:` has no name of a header behind the colon: write it like "
        "`header:X-User`"}},
      {InRoute("rate_limit: {rate: 1/s, delay: true}"),
       {"2:75: unknown key `delay`; known here: `rate`, `burst`, `key` and `dry_run`"}},
  });
}

TEST(RedirectTargets, HaveTheHostAndTheUriInTheirPlaces) {
  for (const std::string to : {"https://{host}{uri}", "https://{host}:8443{uri}", "https://{host}/",
                               "https://{host}", "https://new.example.com{uri}",
                               "https://{host}/old{uri}", "/new{uri}", "https://{host}?from=old"}) {
    EXPECT_THAT(CheckRedirectTarget(to).problem, IsEmpty()) << to;
  }
  const std::string host = "has `{host}` elsewhere than behind `://`: write it like";
  const std::string uri = "has `{uri}` elsewhere than at its end: write it like";
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"{uri}", "is neither a URL nor a path"},
      {"{host}{uri}", host},
      {"/{host}", host},
      {"https://{host}/{host}", host},
      {"https://user@{host}/", host},
      {"https://www.{host}/", host},
      {"https://{host}.example.com{uri}", "has `{host}` in front of more of a name"},
      {"https://{uri}", "is neither a URL nor a path"},
      {"/{uri}", "has a slash before `{uri}`"},
      {"https://{host}/{uri}", "has a slash before `{uri}`"},
      {"https://{host}{uri}x", "has `{host}` in front of more"},
      {"https://a.example{uri}{uri}", uri},
      {"https://{host}/?to={uri}", "has `{uri}` behind a `?` or `#`"},
      {"https://{host}/{path}", "has a character that a URL can not hold"},
      {"https://{HOST}/", "has a character that a URL can not hold"},
  };
  for (const auto& [to, problem] : wrong) {
    EXPECT_THAT(CheckRedirectTarget(to).problem, HasSubstr(problem)) << to;
  }
}

TEST(UpstreamTlsKeys, AreRead) {
  const Upstream api =
      ConfigOf(InUpstream("tls: {ca: ca.pem, cert: c.pem, key: c.key, sni: API.internal}, "
                          "send_proxy: v2"))
          .upstreams.at(0);
  EXPECT_EQ(
      api.tls,
      (UpstreamTls{
          .ca = "conf/ca.pem", .cert = "conf/c.pem", .key = "conf/c.key", .sni = "api.internal"}));
  EXPECT_EQ(api.send_proxy, SendProxy::kV2);
  EXPECT_EQ(ConfigOf(InUpstream("tls: {}")).upstreams.at(0).tls, UpstreamTls());
  EXPECT_EQ(ConfigOf(InUpstream("tls: {verify: false}")).upstreams.at(0).tls,
            UpstreamTls{.verify = false});
  EXPECT_EQ(ConfigOf(InUpstream("send_proxy: v1")).upstreams.at(0).send_proxy, SendProxy::kV1);
}

TEST(UpstreamTlsKeys, SayWhatIsWrong) {
  Check({
      {InUpstream("tls: {cert: c}"),
       {"2:41: `cert` has a meaning only with `key`: write that too, or remove it"}},
      {InUpstream("tls: {key: c}"),
       {"2:41: `key` has a meaning only with `cert`: write that too, or remove it"}},
      {InUpstream("tls: {verify: false, ca: ca.pem}"),
       {"2:56: `ca` has no meaning with `verify: false`, which takes any certificate: remove one "
        "of them"}},
      {InUpstream("tls: {verify: no}"),
       {"2:49: `verify` is `no`, but must be true or false: write `false`"}},
      {InUpstream("tls: {sni: 10.0.0.1}"),
       {"2:46: `sni`: `10.0.0.1` is an address, and only names can be asked for: write a name, or "
        "remove the key where certificates are for addresses"}},
      {InUpstream("tls: {sni: 'https://a'}"),
       {"2:46: `sni`: `https://a` is a URL: write the name alone, such as `api.internal`"}},
      {InUpstream("tls: {sni: 'a.b.'}"),
       {"2:46: `sni`: `a.b.` ends with a dot: write the name without it"}},
      {InUpstream("send_proxy: on"),
       {"2:47: `send_proxy` is `on`, but must be `off`, `v1` or `v2`"}},
      {InUpstream("send_proxy: v3"),
       {"2:47: `send_proxy` is `v3`, but must be `off`, `v1` or `v2`: write `v1`"}},
  });
}

TEST(AdminTlsKeys, TakeCertificatesInPlaceOfAToken) {
  EXPECT_THAT(ErrorsOf(AtTop("admin: {listen: '0.0.0.0:9900', tls: {cert: c, key: k, client_ca: "
                             "a}}")),
              IsEmpty());
  const std::string reachable =
      "1:17: `listen`: `0.0.0.0:9900` can be reached from other machines: write a `token` too, "
      "such as ${RONDO_ADMIN_TOKEN}, or `tls` with a `client_ca`, or listen on 127.0.0.1 or a unix "
      "socket";
  Check({
      {AtTop("admin: {listen: '0.0.0.0:9900', tls: {cert: c, key: k}}"), {reachable}},
      {AtTop("admin: {tls: {cert: c}}"),
       {"1:9: this `tls` has no `key`: name the file of the certificate's private key, as in "
        "{cert: web.pem, key: web.key}"}},
      {AtTop("admin: {tls: {key: c}}"),
       {"1:9: this `tls` has no `cert`: name the file of the certificate, as in {cert: web.pem, "
        "key: web.key}"}},
  });
  const Config config = ConfigOf(AtTop("admin: {tls: {cert: c, key: k, client_ca: a}}"));
  EXPECT_EQ(config.admin->tls,
            (AdminTls{.cert = "conf/c", .key = "conf/k", .client_ca = "conf/a"}));
}

TEST(UpstreamJson, TakesTlsAndSendProxy) {
  const Parsed<Upstream> parsed = ParseUpstreamJson(
      "api",
      R"({"backends": [], "send_proxy": "v1", "tls": {"ca": "ca.pem", "sni": "a.b", "key": null}})",
      "conf/t.yaml");
  ASSERT_TRUE(parsed.value.has_value());
  EXPECT_EQ(parsed.value->tls, (UpstreamTls{.ca = "conf/ca.pem", .sni = "a.b"}));
  EXPECT_EQ(parsed.value->send_proxy, SendProxy::kV1);
  EXPECT_THAT(WriteUpstreamJson(*parsed.value, Secrets::kShown),
              HasSubstr(R"("send_proxy":"v1","tls":{"verify":true,"ca":"conf/ca.pem",)"
                        R"("sni":"a.b","cert":null,"key":null})"));
  const auto problem = [](std::string_view tls) {
    const Parsed<Upstream> wrong = ParseUpstreamJson(
        "api", std::string(R"({"backends": [], "tls": )").append(tls) + "}", "t.yaml");
    return wrong.errors.empty() ? std::string() : FormatFieldError(wrong.errors.front());
  };
  EXPECT_EQ(problem(R"({"verify": "false"})"),
            "tls.verify: `verify` must be true or false, not text in quotes");
  EXPECT_EQ(problem(R"({"cert": "c"})"),
            "tls.cert: `cert` has a meaning only with `key`: write that too, or remove it");
  EXPECT_EQ(problem(R"(true)"), "tls: `tls` must be a map of keys, not a single value");
}

}  // namespace
}  // namespace rondo::config
