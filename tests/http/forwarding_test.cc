#include "rondo/http/forwarding.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rondo/http/h1_parser.h"

namespace rondo::http {
namespace {

constexpr std::string_view kId = "0123456789abcdef0123456789abcdef";

RequestHead ParseRequest(const std::string& bytes) {
  RequestParser parser;
  RequestHead head;
  const HeadResult result = parser.Parse(bytes, 0, {}, head);
  EXPECT_EQ(result.status, HeadStatus::kComplete)
      << bytes << (result.refusal ? result.refusal.what() : "");
  return head;
}

ForwardRequest Options(const RequestHead& head) {
  ForwardRequest options;
  options.peer = IpAddress::Parse("192.0.2.7");
  options.request_id = kId;
  options.framing = head.framing;
  options.content_length = head.content_length;
  return options;
}

// The written head with its lines set apart by '|'; checks the bound on the way.
std::string Forward(const RequestHead& head, const ForwardRequest& options,
                    ForwardedRequest* spans = nullptr, std::string* raw = nullptr) {
  const size_t bound = ForwardedRequestBound(head, options);
  std::vector<char> out(bound);
  const size_t size = WriteForwardedRequest(head, options, out.data(), spans);
  EXPECT_LE(size, bound);
  std::string text(out.data(), size);
  if (raw != nullptr) *raw = text;
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
  text.resize(text.size() - 4);
  for (size_t at; (at = text.find("\r\n")) != std::string::npos;) text.replace(at, 2, "|");
  return text;
}

std::string ForwardFields(const std::string& fields, bool trusted = false) {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  const RequestHead head = ParseRequest(bytes);
  ForwardRequest options = Options(head);
  options.peer_trusted = trusted;
  return Forward(head, options);
}

const std::string kStart = "GET / HTTP/1.1|Host: a|";
const std::string kEnd =
    "X-Forwarded-For: 192.0.2.7|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Real-IP: "
    "192.0.2.7|X-Request-Id: " +
    std::string(kId);

TEST(ForwardRequest, RemovesWhatIsHopByHop) {
  struct {
    std::string fields;
    std::string kept;
  } const kCases[] = {
      {"", ""},
      {"X:y\r\nACCEPT: z\r\n", "X: y|ACCEPT: z|"},
      {"Connection: close\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n", ""},
      {"Connection: X-Foo, close\r\nX-Foo: 1\r\nx-foo: 2\r\nX-Bar: 3\r\n", "X-Bar: 3|"},
      {"X-Foo: 1\r\nConnection: close\r\nConnection: x-FOO\r\n", ""},
      // What the backend relies on is never removed at a client's word.
      {"Connection: Host, Cookie, Authorization, X-Forwarded-For, X-Real-IP, Content-Type, "
       "traceparent\r\n"
       "Cookie: c\r\nAuthorization: b\r\nContent-Type: d\r\ntraceparent: t\r\n",
       "Cookie: c|Authorization: b|Content-Type: d|traceparent: t|"},
      {"TE: trailers\r\n", ""},
      {"TE: gzip\r\nConnection: TE\r\n", ""},
      {"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n", ""},
      {"HTTP2-Settings: AAMA\r\n", ""},
      {"Proxy-Authorization: Basic x\r\nProxy-Authenticate: y\r\n", ""},
      {"Trailer: X\r\n", ""},
      {"Expect: 100-continue\r\n", ""},
      {"Expect: something-else\r\n", "Expect: something-else|"},
      {"Via: 1.0 front\r\n", "Via: 1.0 front|"},
      // Forged by an untrusted peer.
      {"X-Forwarded-For: 1.1.1.1\r\nx-forwarded-proto: https\r\nX-Forwarded-Host: "
       "evil\r\nX-Real-IP: 1.1.1.1\r\n"
       "X-Request-Id: mine\r\nForwarded: for=1.1.1.1\r\n",
       ""},
  };
  for (const auto& c : kCases)
    EXPECT_EQ(ForwardFields(c.fields), kStart + c.kept + kEnd) << c.fields;
}

TEST(ForwardRequest, BelievesATrustedPeer) {
  EXPECT_EQ(
      ForwardFields("X-Forwarded-For: 1.1.1.1\r\nX: y\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n"
                    "X-Forwarded-Proto: https\r\nX-Forwarded-Host: site\r\nX-Request-Id: mine-1\r\n"
                    "Forwarded: for=1.1.1.1\r\n",
                    true),
      kStart +
          "X: y|Forwarded: for=1.1.1.1|X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7|"
          "X-Forwarded-Proto: https|X-Forwarded-Host: site|X-Real-IP: 192.0.2.7|X-Request-Id: "
          "mine-1");
  EXPECT_EQ(ForwardFields("X-Request-Id: not valid\r\nX-Forwarded-For:\r\n", true), kStart + kEnd);
  EXPECT_EQ(ForwardFields("Connection: X-Forwarded-For\r\nX-Forwarded-For: 1.1.1.1\r\n", true),
            kStart +
                "X-Forwarded-For: 1.1.1.1, 192.0.2.7|X-Forwarded-Proto: http|X-Forwarded-Host: a|"
                "X-Real-IP: 192.0.2.7|X-Request-Id: " +
                std::string(kId));
}

TEST(ForwardRequest, FramesTheBody) {
  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\nTrailer: X\r\n\r\n";
  RequestHead head = ParseRequest(chunked);
  EXPECT_EQ(Forward(head, Options(head)),
            "POST / HTTP/1.1|Host: a|Trailer: X|" + kEnd + "|Transfer-Encoding: chunked");
  const std::string sized =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0012\r\nExpect: 100-continue\r\n\r\n";
  head = ParseRequest(sized);
  EXPECT_EQ(Forward(head, Options(head)),
            "POST / HTTP/1.1|Host: a|Expect: 100-continue|" + kEnd + "|Content-Length: 12");
}

TEST(ForwardRequest, CountsDownMaxForwards) {
  struct {
    std::string method;
    std::string value;
    int64_t read;
    std::string written;
  } const kCases[] = {
      {"OPTIONS", "10", 10, "Max-Forwards: 9|"},
      {"TRACE", "1", 1, "Max-Forwards: 0|"},
      {"TRACE", "0", 0, ""},
      {"GET", "7", -1, "Max-Forwards: 7|"},
      {"TRACE", "x", -1, "Max-Forwards: x|"},
      {"TRACE", "", -1, "Max-Forwards: |"},
      {"TRACE", "9999999999", -1, "Max-Forwards: 9999999999|"},
  };
  for (const auto& c : kCases) {
    const std::string bytes =
        c.method + " / HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + c.value + "\r\n\r\n";
    const RequestHead head = ParseRequest(bytes);
    EXPECT_EQ(head.max_forwards, c.read) << c.method << c.value;
    EXPECT_EQ(Forward(head, Options(head)), c.method + " / HTTP/1.1|Host: a|" + c.written + kEnd);
  }
}

TEST(ForwardRequest, GivesOldRequestsAHostAndAVersion) {
  const std::string bytes = "POST /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
  const RequestHead head = ParseRequest(bytes);
  ForwardRequest options = Options(head);
  options.peer.reset();
  options.backend_host = "10.0.0.1:3000";
  options.via_name = "edge";
  options.scheme = "https";
  EXPECT_EQ(Forward(head, options),
            "POST /x HTTP/1.1|Host: 10.0.0.1:3000|X-Forwarded-Proto: https|X-Request-Id: " +
                std::string(kId) + "|Via: 1.0 edge|Content-Length: 1");
}

TEST(ForwardRequest, WritesOriginFormAndTheAuthorityAsHost) {
  const std::string bytes = "GET http://b:80/p?q HTTP/1.1\r\nHost: a\r\n\r\n";
  const RequestHead head = ParseRequest(bytes);
  ForwardRequest options = Options(head);
  EXPECT_TRUE(Forward(head, options).starts_with("GET /p?q HTTP/1.1|Host: b:80|X-Forwarded-For"));
  options.target = "/rewritten?q";
  EXPECT_TRUE(Forward(head, options).starts_with("GET /rewritten?q HTTP/1.1|Host: b:80|"));
}

TEST(ForwardRequest, UpgradesOnlyToWhatTheRouteAllows) {
  const std::string start =
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, TE\r\nTE: trailers\r\n";
  const std::vector<std::string> websocket = {"websocket"};
  const std::string bytes = start + "Upgrade: h2c, WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n";
  const RequestHead head = ParseRequest(bytes);
  EXPECT_EQ(ChooseUpgrade(head, {}), "");
  EXPECT_EQ(ChooseUpgrade(head, websocket), "WebSocket");
  ForwardRequest options = Options(head);
  EXPECT_EQ(Forward(head, options),
            kStart + "Sec-WebSocket-Key: k|" + kEnd + "|Connection: TE|TE: trailers");
  options.upgrade = ChooseUpgrade(head, websocket);
  options.extra_fields = "X-Env: prod\r\n";
  EXPECT_EQ(Forward(head, options),
            kStart + "Sec-WebSocket-Key: k|" + kEnd +
                "|Connection: Upgrade, TE|Upgrade: WebSocket|TE: trailers|X-Env: prod");
  const std::vector<std::string> h2c = {"h2c", "irc/6.9"};
  EXPECT_EQ(ChooseUpgrade(head, h2c), "");
  const std::string other = start + "Upgrade: foo, IRC/6.9\r\n\r\n";
  EXPECT_EQ(ChooseUpgrade(ParseRequest(other), h2c), "IRC/6.9");
  const std::string post =
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  EXPECT_EQ(ChooseUpgrade(ParseRequest(post), websocket), "");
}

TEST(ForwardRequest, TellsTheAccessLogWhereThingsStand) {
  const std::string bytes =
      "GET /p?q HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8\r\nReferer: http://x/\r\n\r\n";
  const RequestHead head = ParseRequest(bytes);
  ForwardedRequest spans;
  std::string raw;
  Forward(head, Options(head), &spans, &raw);
  EXPECT_EQ(spans.method.In(raw.data()), "GET");
  EXPECT_EQ(spans.target.In(raw.data()), "/p?q");
  EXPECT_EQ(spans.host.In(raw.data()), "a.example");
  EXPECT_EQ(spans.user_agent.In(raw.data()), "curl/8");
  EXPECT_EQ(spans.referer.In(raw.data()), "http://x/");
  EXPECT_EQ(spans.request_id.In(raw.data()), kId);
}

TEST(ClientAddress, IsTheNearestAddressThatIsNotATrustedProxy) {
  const std::vector<Network> trusted = {*Network::Parse("10.0.0.0/8"), *Network::Parse("fd00::/8")};
  struct {
    std::string fields;
    std::string peer;
    std::string client;
  } const kCases[] = {
      {"", "10.0.0.1", "10.0.0.1"},
      {"X-Forwarded-For: 1.1.1.1\r\n", "192.0.2.1", "192.0.2.1"},
      {"X-Forwarded-For: 1.1.1.1\r\n", "10.0.0.1", "1.1.1.1"},
      {"X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2\r\n", "10.0.0.1", "1.1.1.1"},
      {"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 10.0.0.2\r\n",
       "10.0.0.1", "1.1.1.1"},
      {"X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.1", "10.0.0.3"},
      {"X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.2\r\n", "10.0.0.1", "10.0.0.2"},
      {"X-Forwarded-For: 6.6.6.6,\r\n", "10.0.0.1", "10.0.0.1"},
      {"X-Forwarded-For: 1.1.1.1:4711\r\n", "10.0.0.1", "1.1.1.1"},
      {"X-Forwarded-For: [2001:db8::1]:80\r\n", "fd00::1", "2001:db8::1"},
      {"X-Forwarded-For: 2001:db8::1\r\n", "10.0.0.1", "2001:db8::1"},
      {"X-Real-IP: 1.1.1.1\r\n", "10.0.0.1", "1.1.1.1"},
      {"X-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1\r\n", "10.0.0.1", "1.1.1.1"},
      {"Forwarded: for=6.6.6.6, for=1.1.1.1;proto=https, By=x; For=\"10.0.0.2:80\"\r\n", "10.0.0.1",
       "1.1.1.1"},
      {"Forwarded: for=\"[2001:db8::1]:80\"\r\n", "10.0.0.1", "2001:db8::1"},
      {"Forwarded: for=_hidden\r\n", "10.0.0.1", "10.0.0.1"},
      {"Forwarded: proto=https\r\n", "10.0.0.1", "10.0.0.1"},
  };
  for (const auto& c : kCases) {
    const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + c.fields + "\r\n";
    const RequestHead head = ParseRequest(bytes);
    EXPECT_EQ(ClientAddress(head, *IpAddress::Parse(c.peer), trusted).ToString(), c.client)
        << c.fields;
  }
  const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n";
  EXPECT_EQ(ClientAddressBehind(ParseRequest(bytes), trusted)->ToString(), "1.1.1.1");
  const std::string none = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_FALSE(ClientAddressBehind(ParseRequest(none), trusted).has_value());
}

struct ResponseCase {
  std::string input;
  int client_minor_version;
  ConnectionField connection;
  std::string text;
};

TEST(ForwardResponse, RewritesHeads) {
  using enum ConnectionField;
  const ResponseCase kCases[] = {
      {"HTTP/1.1 200 OK\r\ncontent-length:5\r\nX:y\r\n\r\n", 1, kNone,
       "HTTP/1.1 200 OK|X: y|Date: D|Content-Length: 5"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nDate: X\r\n\r\n", 0, kKeepAlive,
       "HTTP/1.1 200 OK|Date: X|Content-Length: 5|Connection: keep-alive"},
      {"HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n", 1, kClose,
       "HTTP/1.1 404 |Trailer: X|Date: D|Transfer-Encoding: chunked|Connection: close"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n", 0, kKeepAlive,
       "HTTP/1.1 200 OK|Date: D|Connection: close"},
      {"HTTP/1.1 200 OK\r\n\r\n", 1, kNone, "HTTP/1.1 200 OK|Date: D|Transfer-Encoding: chunked"},
      {"HTTP/1.1 200 OK\r\n\r\n", 0, kNone, "HTTP/1.1 200 OK|Date: D|Connection: close"},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 1, kNone,
       "HTTP/1.1 204 No Content|Date: D"},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 1, kNone,
       "HTTP/1.1 304 Not Modified|Date: D|Content-Length: 9"},
      {"HTTP/1.1 100 Continue\r\n\r\n", 1, kClose, "HTTP/1.1 100 Continue"},
      {"HTTP/1.1 103 Early Hints\r\nLink: a\r\nConnection: x\r\n\r\n", 1, kNone,
       "HTTP/1.1 103 Early Hints|Link: a"},
      {"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX: y\r\n\r\n", 1,
       kClose, "HTTP/1.1 101 Switching|X: y|Connection: upgrade|Upgrade: websocket"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: X-Foo, Set-Cookie\r\nX-Foo: "
       "1\r\nSet-Cookie: a\r\n"
       "Set-Cookie: b\r\nKeep-Alive: timeout=1\r\nUpgrade: h2c\r\nProxy-Authenticate: "
       "x\r\nProxy-Connection: y\r\n"
       "TE: z\r\nServer: s\r\n\r\n",
       1, kNone, "HTTP/1.1 200 OK|Set-Cookie: a|Set-Cookie: b|Server: s|Date: D|Content-Length: 1"},
  };
  for (const ResponseCase& c : kCases) {
    ResponseParser parser;
    ResponseHead head;
    ASSERT_EQ(parser.Parse(c.input, 0, {}, false, true, head).status, HeadStatus::kComplete)
        << c.input;
    ForwardResponse options;
    options.framing = ResponseFraming(head, c.client_minor_version);
    options.content_length = head.content_length;
    options.connection = c.connection;
    options.date = "D";
    std::vector<char> out(ForwardedResponseBound(head, options));
    const size_t size = WriteForwardedResponse(head, options, out.data());
    ASSERT_LE(size, out.size());
    std::string text(out.data(), size);
    ASSERT_TRUE(text.ends_with("\r\n\r\n"));
    text.resize(text.size() - 4);
    for (size_t at; (at = text.find("\r\n")) != std::string::npos;) text.replace(at, 2, "|");
    EXPECT_EQ(text, c.text) << c.input;
  }
}

TEST(ForwardResponse, KeepsTheLengthThatHeadAskedForAndAddsVia) {
  ResponseParser parser;
  ResponseHead head;
  const std::string bytes = "HTTP/1.0 200 OK\r\nContent-Length: 500\r\nVia: 1.1 x\r\n\r\n";
  ASSERT_EQ(parser.Parse(bytes, 0, {}, true, false, head).status, HeadStatus::kComplete);
  ForwardResponse options;
  options.framing = ResponseFraming(head, 1);
  options.via_name = "edge";
  options.extra_fields = "X-Env: prod\r\n";
  std::vector<char> out(ForwardedResponseBound(head, options));
  const std::string text(out.data(), WriteForwardedResponse(head, options, out.data()));
  EXPECT_EQ(text,
            "HTTP/1.1 200 OK\r\nVia: 1.1 x\r\nVia: 1.0 edge\r\nContent-Length: 500\r\nX-Env: "
            "prod\r\n\r\n");
}

TEST(RequestId, IsThirtyTwoHexDigits) {
  char id[32];
  MakeRequestId(0x0123456789abcdefull, 0xfedcba9876543210ull, id);
  EXPECT_EQ(std::string(id, 32), "0123456789abcdeffedcba9876543210");
  EXPECT_TRUE(IsValidRequestId({id, 32}));
  EXPECT_TRUE(IsValidRequestId("1-67891233-abcdef012345678912345678;"
                               "x") == false);
  EXPECT_FALSE(IsValidRequestId(""));
  EXPECT_FALSE(IsValidRequestId("a\"b"));
  EXPECT_FALSE(IsValidRequestId(std::string(129, 'a')));
  EXPECT_TRUE(IsValidRequestId(std::string(128, 'a')));
}

}  // namespace
}  // namespace rondo::http
