// HTTP/2 on both sides: what is read, and what is said about what is wrong.
#include <chrono>

#include "config/parse_helpers.h"
#include "rondo/config/edit.h"
#include "rondo/config/write.h"

namespace rondo::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Case {
  std::string text;
  std::vector<std::string> errors;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_THAT(ErrorsOf(c.text), ElementsAreArray(c.errors)) << c.text;
}

// The keys of `http2` stand in line 2 from column 34 on.
std::string InHttp2(const std::string& keys) {
  return "listeners:\n  web: {listen: [':80'], http2: {" + keys +
         "}, routes: [{upstream: api}]}\nupstreams: {api: {backends: [10.0.0.1:3000]}}\n";
}
Http2 Http2Of(const std::string& keys) {
  const Config config = ConfigOf(InHttp2(keys));
  return config.listeners.empty() ? Http2() : config.listeners[0].http2;
}
// The keys stand in line 2 from column 35 on.
std::string InUpstream(const std::string& keys) {
  return "upstreams:\n  api: {backends: [10.0.0.1:300], " + keys +
         "}\nlisteners: {web: {listen: [':80'], routes: [{upstream: api}]}}\n";
}
Upstream UpstreamOf(const std::string& keys) {
  const Config config = ConfigOf(InUpstream(keys));
  return config.upstreams.empty() ? Upstream() : config.upstreams[0];
}

TEST(ListenerHttp2Keys, AreAtTheirDefaultsWhereNothingIsWritten) {
  EXPECT_EQ(Http2Of(""), Http2());
  EXPECT_EQ(Http2(), (Http2{.max_streams = 128,
                            .stream_window = 64 * 1024,
                            .connection_window = 1024 * 1024,
                            .max_age = 0s}));
}

TEST(ListenerHttp2Keys, TakeWhatIsWritten) {
  EXPECT_EQ(
      Http2Of("max_streams: 1000, stream_window: 16MiB, connection_window: 64MiB, max_age: 1h"),
      (Http2{.max_streams = 1000,
             .stream_window = 16 << 20,
             .connection_window = 64 << 20,
             .max_age = 1h}));
  EXPECT_EQ(Http2Of("max_streams: 1, stream_window: 64KiB, connection_window: 64KiB"),
            (Http2{.max_streams = 1, .connection_window = 64 * 1024}));
}

TEST(ListenerHttp2Keys, SayWhatIsOutOfBounds) {
  const auto streams = [](const std::string& value) {
    return Case{
        InHttp2("max_streams: " + value),
        {"2:47: `max_streams` is `" + value + "`, but must be a whole number from 1 to 1000"}};
  };
  Check({
      streams("0"),
      streams("1001"),
      {InHttp2("stream_window: 65535"),
       {"2:49: `stream_window` is `65535`, but must be a size from 64KiB to 16MiB, such as 64KiB"}},
      {InHttp2("stream_window: 17MiB, connection_window: 64MiB"),
       {"2:49: `stream_window` is `17MiB`, but must be a size from 64KiB to 16MiB, such as 64KiB"}},
      {InHttp2("connection_window: 65MiB"),
       {"2:53: `connection_window` is `65MiB`, but must be a size from 64KiB to 64MiB, such as "
        "64KiB"}},
      {InHttp2("max_age: 1"),
       {"2:43: `max_age` is `1`, but must be a duration from 0s to 365d, such as 250ms or 5s: "
        "write `1s`"}},
      {InHttp2("max_stream: 1"), {"2:34: unknown key `max_stream`; did you mean `max_streams`?"}},
      {InHttp2("enabled: true"),
       {"2:34: unknown key `enabled`; known here: `max_streams`, `stream_window`, "
        "`connection_window` and `max_age`"}},
  });
}

TEST(ListenerHttp2Keys, LetNoStreamHaveMoreThanItsConnection) {
  Check({
      {InHttp2("stream_window: 2MiB"),
       {"2:49: `stream_window` (2MiB) is more than `connection_window` (1MiB), which all streams "
        "share: raise the one or lower the other"}},
      {InHttp2("connection_window: 64KiB, stream_window: 128KiB"),
       {"2:75: `stream_window` (128KiB) is more than `connection_window` (64KiB), which all "
        "streams share: raise the one or lower the other"}},
      {InHttp2("stream_window: 2MiB, connection_window: 2MiB"), {}},
  });
}

TEST(ListenerAlpn, HasHttp2FirstWhereNothingIsWritten) {
  EXPECT_EQ(ListenerTls().alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  const auto alpn = [](const std::string& list) {
    return ConfigOf(
               "listeners: {web: {listen: [':80'], tls: {certificates: [{cert: c, key: k}], "
               "alpn: " +
               list + "}, routes: [{respond: {status: 204}}]}}\n")
        .listeners.at(0)
        .tls->alpn;
  };
  EXPECT_THAT(alpn("[http/1.1]"), ElementsAre("http/1.1"));
  EXPECT_THAT(alpn("[h2]"), ElementsAre("h2"));
  EXPECT_THAT(alpn("[http/1.1, h2]"), ElementsAre("http/1.1", "h2"));
  EXPECT_THAT(alpn("[]"), IsEmpty());
}

TEST(UpstreamProtocol, IsHttp1WhereNothingIsWritten) {
  EXPECT_EQ(UpstreamOf("slow_start: 0s").protocol, Protocol::kHttp1);
  EXPECT_EQ(UpstreamOf("protocol: http1, tls: {}, send_proxy: v2").protocol, Protocol::kHttp1);
  EXPECT_EQ(UpstreamOf("protocol: h2c").protocol, Protocol::kH2c);
  EXPECT_EQ(UpstreamOf("protocol: h2, tls: {}, send_proxy: off").protocol, Protocol::kH2);
}

TEST(UpstreamProtocol, GoesWithTlsOrWithout) {
  const std::string wants_tls =
      "`protocol: h2` is HTTP/2 over TLS: write `tls` too (`tls: {}` takes its defaults), or `h2c` "
      "for HTTP/2 in plain";
  Check({
      {InUpstream("protocol: h2"), {"2:45: " + wants_tls}},
      {InUpstream("protocol: h2c, tls: {}"),
       {"2:45: `protocol: h2c` is HTTP/2 in plain, but there is a `tls`: write `h2`, or remove "
        "`tls`"}},
      // One mistake is one error.
      {InUpstream("protocol: h2, tls: on"),
       {"2:54: `tls` must be a map of keys, not a single value"}},
      {InUpstream("protocol: h2, tsl: {}"), {"2:49: unknown key `tsl`; did you mean `tls`?"}},
      {InUpstream("protocol: http2"),
       {"2:45: `protocol` is `http2`, but must be `http1`, `h2c` or `h2`: write `http1`"}},
      {InUpstream("protocol: grpc, health_check: {type: grpc}"),
       {"2:45: `protocol` is `grpc`, but must be `http1`, `h2c` or `h2`"}},
      {InUpstream("protocol: tcp"),
       {"2:45: `protocol: tcp` is part of Rondo's configuration but not available in this version: "
        "use `http1`, `h2c` or `h2`"}},
  });
}

TEST(UpstreamProtocol, HasNoProxyHeaderWhereClientsShareConnections) {
  const std::string shared =
      "`send_proxy` tells one client's address for a whole connection, which all clients share "
      "with HTTP/2: remove it, or write `protocol: http1`";
  Check({
      {InUpstream("protocol: h2c, send_proxy: v1"), {"2:50: " + shared}},
      {InUpstream("tls: {}, send_proxy: v2, protocol: h2"), {"2:44: " + shared}},
      {InUpstream("protocol: h2c, send_proxy: off"), {}},
  });
}

TEST(GrpcChecks, TakeWhatIsWritten) {
  EXPECT_EQ(UpstreamOf("protocol: h2c, health_check: {type: grpc}").health_check,
            HealthCheck{.type = HealthCheck::Type::kGrpc});
  EXPECT_EQ(UpstreamOf("protocol: h2, tls: {}, health_check: {type: grpc, service: shop.v1.Orders, "
                       "host: orders.internal, headers: {X-Probe: rondo}, interval: 1s, port: 9}")
                .health_check,
            (HealthCheck{.type = HealthCheck::Type::kGrpc,
                         .interval = 1s,
                         .port = 9,
                         .host = "orders.internal",
                         .headers = {{"X-Probe", "rondo"}},
                         .service = "shop.v1.Orders"}));
  EXPECT_EQ(UpstreamOf("protocol: h2c, health_check: {type: grpc, service: ''}").health_check,
            HealthCheck{.type = HealthCheck::Type::kGrpc});
  const std::string longest(255, 's');
  EXPECT_EQ(UpstreamOf("protocol: h2c, health_check: {type: grpc, service: " + longest + "}")
                .health_check->service,
            longest);
}

// The keys of a check stand in line 2 from column 65 on.
std::vector<std::string> CheckErrors(const std::string& keys) {
  return ErrorsOf(InUpstream("protocol: h2c, health_check: {" + keys + "}"));
}

TEST(GrpcChecks, SayWhatIsWrong) {
  const auto meaningless = [](const std::string& key, const std::string& type) {
    return "`" + key + "` has no meaning for a check of `type: " + type + "`: remove it";
  };
  const std::vector<Case> cases = {
      {"type: grpc, method: POST, path: /, expect_status: [200], expect_body: ok",
       {"2:77: " + meaningless("method", "grpc"), "2:91: " + meaningless("path", "grpc"),
        "2:100: " + meaningless("expect_status", "grpc"),
        "2:122: " + meaningless("expect_body", "grpc")}},
      {"service: a", {"2:65: " + meaningless("service", "http")}},
      {"type: tcp, service: a", {"2:76: " + meaningless("service", "tcp")}},
      {"type: grpc, headers: {Content-Type: text/plain, grpc-timeout: 1S}",
       {"2:77: `headers` has `Content-Type`, which a check of `type: grpc` sets by itself: remove "
        "it",
        "2:77: `headers` has `grpc-timeout`, which a check of `type: grpc` sets by itself: remove "
        "it"}},
      {"type: grpc, service: " + std::string(256, 's'),
       {"2:86: `service` must have at most 255 bytes"}},
      {"type: grpc, host: 'http://a'",
       {"2:83: `host`: `http://a` is a URL: write the host alone, such as `api.example.com`"}},
      {"type: rpc", {"2:71: `type` is `rpc`, but must be `http`, `tcp` or `grpc`: write `grpc`"}},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(CheckErrors(c.text), ElementsAreArray(c.errors)) << c.text;
  }
}

TEST(GrpcChecks, NeedHttp2) {
  const std::string needs =
      "a check of `type: grpc` needs HTTP/2: write `protocol: h2c` for the upstream, or `h2` with "
      "`tls`";
  Check({
      {InUpstream("health_check: {type: grpc}"), {"2:35: " + needs}},
      {InUpstream("protocol: http1, health_check: {type: grpc}"), {"2:52: " + needs}},
  });
}

TEST(Http2Keys, AreWrittenAsTheyAreRead) {
  const std::string text =
      "listeners: {web: {listen: [':80'], http2: {max_streams: 10, max_age: 1h}, routes: "
      "[{upstream: api}]}}\n"
      "upstreams: {api: {backends: [10.0.0.1:3000], protocol: h2, tls: {}, health_check: {type: "
      "grpc, service: shop.v1.Orders}}}\n";
  const Config config = ConfigOf(text);
  EXPECT_EQ(WriteYaml(config, Secrets::kShown), R"(listeners:
  web:
    listen:
      - ":80"
    http2:
      max_streams: 10
      max_age: 1h
    routes:
      - upstream: api
upstreams:
  api:
    backends:
      - 10.0.0.1:3000
    health_check:
      type: grpc
      service: shop.v1.Orders
    protocol: h2
    tls: {}
)");
  const std::string json = WriteConfigJson(config);
  EXPECT_THAT(json, HasSubstr(R"("http2":{"max_streams":10,"stream_window":"64KiB",)"
                              R"("connection_window":"1MiB","max_age":"1h"})"));
  EXPECT_THAT(json, HasSubstr(R"("host":null,"headers":{},"service":"shop.v1.Orders"})"));
  EXPECT_THAT(json, HasSubstr(R"("protocol":"h2")"));
  EXPECT_EQ(ParseConfigJson(json, "conf/t.yaml").value, config);
}

TEST(Http2Keys, AreEditedByTheAdminApi) {
  const Parsed<Upstream> good = ParseUpstreamJson(
      "api", R"({"backends": [], "protocol": "h2c", "health_check": {"type": "grpc"}})", "");
  ASSERT_TRUE(good.value.has_value());
  EXPECT_EQ(good.value->protocol, Protocol::kH2c);
  const Parsed<Upstream> bad =
      ParseUpstreamJson("api", R"({"backends": [], "protocol": "h2"})", "");
  ASSERT_EQ(bad.errors.size(), 1u);
  EXPECT_EQ(bad.errors[0].field, "protocol");
  EXPECT_THAT(bad.errors[0].message, HasSubstr("write `tls` too"));
  const Parsed<Upstream> check = ParseUpstreamJson(
      "api", R"({"backends": [], "health_check": {"type": "grpc", "path": "/"}})", "");
  std::vector<std::string> fields;
  for (const Error& error : check.errors) fields.push_back(error.field);
  EXPECT_THAT(fields, ElementsAre("health_check", "health_check.path"));
}

TEST(Http2Keys, ChangeWithAReload) {
  const Config old = ConfigOf(InHttp2(""));
  Config now = old;
  now.listeners[0].http2.max_streams = 1;
  now.upstreams[0].protocol = Protocol::kH2c;
  EXPECT_THAT(UnreloadableChanges(old, now), IsEmpty());
  EXPECT_FALSE(old == now);
}

}  // namespace
}  // namespace rondo::config
