// What comes out of header blocks that are as they should be. Those that are not are in
// smuggling_test.cc.
#include "rondo/http2/incoming.h"

#include "http2/built.h"

namespace rondo::http2 {
namespace {

using http::Framing;

const FieldList kGet = {
    {":method", "GET"}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/x?y=1"}};
const FieldList kPost = {
    {":method", "POST"}, {":scheme", "http"}, {":authority", "a.example"}, {":path", "/"}};
const FieldList kWebSocket = {{":method", "CONNECT"},
                              {":protocol", "websocket"},
                              {":scheme", "https"},
                              {":path", "/chat"},
                              {":authority", "a.example:8443"}};

FieldList With(FieldList fields, const FieldList& more) {
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

struct RequestCase {
  const char* what;
  FieldList fields;
  bool ends;
  std::string text;
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;
  int64_t data_bytes = -1;
};

void Check(const std::vector<RequestCase>& cases) {
  for (const RequestCase& c : cases) {
    SCOPED_TRACE(c.what);
    const Built built = BuildRequest(c.fields, c.ends);
    EXPECT_EQ(built.refusal, "");
    EXPECT_EQ(built.text, c.text);
    EXPECT_EQ(built.framing, c.framing);
    EXPECT_EQ(built.content_length, c.content_length);
    EXPECT_EQ(built.data_bytes, c.data_bytes);
    EXPECT_FALSE(built.interim);
  }
}

TEST(RequestBuilder, WritesWhatAClientOfHttp1WouldHaveSent) {
  const std::string get = "GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\n";
  Check({
      {"a plain GET", kGet, true, get + "\r\n", Framing::kNone, 0, 0},
      {"fields keep their order, case and bytes",
       With(kGet, {{"b", "2"}, {"a", "\xc3\xa9 \xff"}, {"b", ""}, {"x-tab", "a\tb"}}), true,
       get + "b: 2\r\na: \xc3\xa9 \xff\r\nb: \r\nx-tab: a\tb\r\n\r\n", Framing::kNone, 0, 0},
      {"pseudo-headers come in any order",
       {{":path", "*"}, {":authority", "[::1]:80"}, {":scheme", "HTTP"}, {":method", "OPTIONS"}},
       true,
       "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
       Framing::kNone,
       0,
       0},
      {"a method of one's own",
       {{":method", "M-SEARCH"}, {":scheme", "https"}, {":authority", "h"}, {":path", "//"}},
       true,
       "M-SEARCH // HTTP/1.1\r\nHost: h\r\n\r\n",
       Framing::kNone,
       0,
       0},
      {"Expect and Max-Forwards are for those behind",
       With(kGet, {{"expect", "100-continue"}, {"max-forwards", "3"}}), true,
       get + "expect: 100-continue\r\nmax-forwards: 3\r\n\r\n", Framing::kNone, 0, 0},
  });
}

TEST(RequestBuilder, TakesTheHostFromAuthorityOrHost) {
  const FieldList without = {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}};
  const std::string text = "GET / HTTP/1.1\r\n";
  Check({
      {"host alone", With(without, {{"a", "1"}, {"host", "h:81"}}), true,
       text + "a: 1\r\nHost: h:81\r\n\r\n", Framing::kNone, 0, 0},
      {"both, the same", With(without, {{":authority", "H.example:81"}, {"host", "h.Example:81"}}),
       true, text + "Host: H.example:81\r\n\r\n", Framing::kNone, 0, 0},
  });
}

TEST(RequestBuilder, FramesTheBody) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a.example\r\n";
  const std::string get = "GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\n";
  Check({
      {"a length", With(kPost, {{"content-length", "12"}, {"a", "1"}}), false,
       post + "a: 1\r\nContent-Length: 12\r\n\r\n", Framing::kLength, 12, 12},
      {"the largest length", With(kPost, {{"content-length", "9223372036854775807"}}), false,
       post + "Content-Length: 9223372036854775807\r\n\r\n", Framing::kLength, INT64_MAX,
       INT64_MAX},
      {"a length with zeros in front", With(kPost, {{"content-length", "0012"}}), false,
       post + "Content-Length: 12\r\n\r\n", Framing::kLength, 12, 12},
      {"no length", kPost, false, post + "Transfer-Encoding: chunked\r\n\r\n", Framing::kChunked},
      {"a GET that goes on", kGet, false, get + "Transfer-Encoding: chunked\r\n\r\n",
       Framing::kChunked},
      {"a POST without a body says so", kPost, true, post + "Content-Length: 0\r\n\r\n",
       Framing::kLength, 0, 0},
      {"a length of 0 that ends", With(kGet, {{"content-length", "0"}}), true,
       get + "Content-Length: 0\r\n\r\n", Framing::kLength, 0, 0},
      {"a length of 0 that does not end yet", With(kPost, {{"content-length", "0"}}), false,
       post + "Content-Length: 0\r\n\r\n", Framing::kLength, 0, 0},
  });
}

TEST(RequestBuilder, JoinsCookies) {
  const std::string get = "GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\n";
  Check({
      {"one", With(kGet, {{"cookie", "a=1; b=2"}}), true, get + "cookie: a=1; b=2\r\n\r\n",
       Framing::kNone, 0, 0},
      {"several, with others between",
       With(kGet, {{"cookie", "a=1"}, {"x", "y"}, {"cookie", ""}, {"cookie", "b=2"}}), true,
       get + "x: y\r\ncookie: a=1; b=2\r\n\r\n", Framing::kNone, 0, 0},
      {"empty ones", With(kGet, {{"cookie", ""}}), true, get + "\r\n", Framing::kNone, 0, 0},
  });
}

TEST(RequestBuilder, SaysThatTrailersAreTakenSoThatHttp1KeepsIt) {
  Check({{"te", With(kGet, {{"te", "Trailers"}, {"te", "trailers"}, {"a", "1"}}), true,
          "GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\na: 1\r\nConnection: TE\r\nTE: "
          "trailers\r\n\r\n",
          Framing::kNone, 0, 0}});
  const Built built = BuildRequest(With(kPost, {{"te", "trailers"}}), false);
  http::RequestHead head;
  http::RequestParser().Parse(built.text, 0, {}, head);
  EXPECT_TRUE(head.takes_trailers);
  EXPECT_FALSE(head.connection_names_fields);
}

TEST(RequestBuilder, LeavesRoomForTrailers) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a.example\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n\r\n";
  const std::string grpc = "content-type: application/grpc+proto\r\n";
  const FieldList of_grpc =
      With(kPost, {{"content-type", "application/grpc+proto"}, {"content-length", "9"}});
  Check({
      {"gRPC with a length", of_grpc, false, post + grpc + chunked, Framing::kChunked, 0, 9},
      {"a Trailer field", With(kPost, {{"content-length", "9"}, {"trailer", "x-sum"}}), false,
       post + "trailer: x-sum\r\n" + chunked, Framing::kChunked, 0, 9},
      {"a Trailer field in front of nothing", With(kPost, {{"trailer", "x-sum"}}), true,
       post + "trailer: x-sum\r\nContent-Length: 0\r\n\r\n", Framing::kLength, 0, 0},
      {"neither", With(kPost, {{"content-type", "application/json"}, {"content-length", "9"}}),
       false, post + "content-type: application/json\r\nContent-Length: 9\r\n\r\n",
       Framing::kLength, 9, 9},
  });
  // What one request says is not said of the next.
  RequestBuilder builder;
  for (const bool says_so : {true, false}) {
    builder.Begin({});
    for (const auto& [name, value] : With(kPost, {{"content-length", "9"}})) {
      builder.Add(name, value);
    }
    if (says_so) builder.Add("trailer", "x-sum");
    EXPECT_EQ(builder.Finish(false, kNonce).framing,
              says_so ? Framing::kChunked : Framing::kLength);
  }
}

TEST(RequestBuilder, MakesAnUpgradeOfAnExtendedConnect) {
  const std::string get =
      "GET /chat HTTP/1.1\r\nHost: a.example:8443\r\nsec-websocket-version: 13\r\n";
  const std::string key = std::string("Sec-WebSocket-Key: ").append(kNonceKey) + "\r\n";
  Check({
      {"for WebSocket", With(kWebSocket, {{"sec-websocket-version", "13"}}), false,
       get + "Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + "\r\n", Framing::kUntilClose},
      {"a key of the client's means nothing",
       With(kWebSocket, {{"sec-websocket-version", "13"}, {"sec-websocket-key", "x"}}), false,
       get + "Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + "\r\n", Framing::kUntilClose},
      {"with te", With(kWebSocket, {{"te", "trailers"}, {"sec-websocket-version", "13"}}), false,
       get + "Connection: Upgrade, TE\r\nUpgrade: websocket\r\n" + key + "TE: trailers\r\n\r\n",
       Framing::kUntilClose},
  });
}

TEST(RequestBuilder, LeavesAnOrdinaryConnectToHttp1sParser) {
  const FieldList connect = {{":method", "CONNECT"}, {":authority", "db.example:5432"}};
  Check({{"CONNECT", With(connect, {{"a", "1"}, {"content-length", "5"}}), false,
          "CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\na: 1\r\n\r\n"}});
}

TEST(RequestBuilder, AllowsAHeadAsLargeAsHttp1sParserDoes) {
  const FieldList fields = With(
      kPost,
      {{"a", std::string(100, 'x')}, {"te", "trailers"}, {"cookie", "c=1"}, {"cookie", "d=2"}});
  const size_t size = BuildRequest(fields, false).text.size();
  SessionOptions options;
  options.header_bytes = static_cast<uint32_t>(size);
  EXPECT_EQ(BuildRequest(fields, false, options).refusal, "");
  for (options.header_bytes = 12; options.header_bytes < size; ++options.header_bytes) {
    const std::string refusal = BuildRequest(fields, false, options).refusal;
    const size_t line = std::string_view("POST / HTTP/1.1\r\n").size();
    EXPECT_EQ(refusal,
              options.header_bytes < line ? "414 request_line_too_long" : "431 headers_too_large")
        << options.header_bytes;
  }
}

TEST(RequestBuilder, CountsTheLinesOfItsText) {
  // Host, a, te and its Connection, the cookies, Transfer-Encoding.
  const FieldList fields =
      With(kPost, {{"a", "1"}, {"te", "trailers"}, {"cookie", "c=1"}, {"cookie", "d=2"}});
  SessionOptions options;
  options.header_count = 6;
  EXPECT_EQ(BuildRequest(fields, false, options).refusal, "");
  for (options.header_count = 0; options.header_count < 6; ++options.header_count) {
    EXPECT_EQ(BuildRequest(fields, false, options).refusal, "431 too_many_headers");
  }
}

TEST(RequestBuilder, KeepsNothingOfWhatIsTooMuch) {
  const SessionOptions options;
  const std::string large(options.header_bytes, 'x');
  const FieldList many(size_t{10000}, {"cookie", ""});
  const FieldList long_cookies(size_t{10000}, {"cookie", "0123456789=0123456789"});
  const FieldList many_te(size_t{10000}, {"te", "trailers"});
  FieldList long_path = kGet;
  long_path[3].second = "/" + large;
  EXPECT_EQ(BuildRequest(With(kGet, {{"a", large}}), true).refusal, "431 headers_too_large");
  EXPECT_EQ(BuildRequest(With(kGet, {{large, "a"}}), true).refusal, "431 headers_too_large");
  EXPECT_EQ(BuildRequest(With(kGet, {{"cookie", large + "x"}}), true).refusal,
            "431 headers_too_large");
  EXPECT_EQ(BuildRequest(With(kGet, many), true).refusal, "431 too_many_headers");
  EXPECT_EQ(BuildRequest(With(kGet, many_te), true).refusal, "431 too_many_headers");
  EXPECT_EQ(BuildRequest(With(kGet, long_cookies), true).refusal, "431 headers_too_large");
  EXPECT_EQ(BuildRequest(long_path, true).refusal, "414 request_line_too_long");
}

TEST(RequestBuilder, BeginsAnewWithEachBlock) {
  RequestBuilder builder;
  const SessionOptions options;
  for (int round = 0; round < 3; ++round) {
    builder.Begin(options);
    builder.Add(":method", "CONNECT");
    builder.Add(":protocol", "websocket");
    builder.Add("Bad", std::string(20000, 'x'));
    EXPECT_EQ(RefusalText(builder.Finish(true, kNonce).refusal), "400 pseudo_header");
    builder.Begin(options);
    for (const auto& [name, value] : With(kPost, {{"te", "trailers"}, {"cookie", "a"}})) {
      builder.Add(name, value);
    }
    builder.Add("content-length", "3");
    EXPECT_EQ(builder.Finish(false, kNonce).content_length, 3u);
    builder.Begin(options);
    for (const auto& [name, value] : kGet) builder.Add(name, value);
    EXPECT_EQ(builder.Finish(true, kNonce).text, "GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
  }
}

struct ResponseCase {
  const char* what;
  FieldList fields;
  bool ends;
  ResponseBuilder::Asked asked;
  std::string text;
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;
  int64_t data_bytes = 0;
};

void Check(const std::vector<ResponseCase>& cases) {
  for (const ResponseCase& c : cases) {
    SCOPED_TRACE(c.what);
    const Built built = BuildResponse(c.fields, c.ends, c.asked);
    EXPECT_EQ(built.refusal, "");
    EXPECT_EQ(built.text, c.text);
    EXPECT_EQ(built.framing, c.framing);
    EXPECT_EQ(built.content_length, c.content_length);
    EXPECT_EQ(built.data_bytes, c.data_bytes);
  }
}

TEST(ResponseBuilder, WritesWhatABackendOfHttp1WouldHaveSent) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  Check(std::vector<ResponseCase>{
      {"a length",
       {{":status", "200"}, {"content-length", "3"}, {"a", "1"}},
       false,
       {},
       ok + "a: 1\r\nContent-Length: 3\r\n\r\n",
       Framing::kLength,
       3,
       3},
      {"no length",
       {{":status", "200"}, {"a", "1"}, {"set-cookie", "b"}, {"set-cookie", "c"}},
       false,
       {},
       ok + "a: 1\r\nset-cookie: b\r\nset-cookie: c\r\nTransfer-Encoding: chunked\r\n\r\n",
       Framing::kChunked,
       0,
       -1},
      {"no body",
       {{":status", "404"}},
       true,
       {},
       "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
       Framing::kLength},
      {"a status without a name",
       {{":status", "599"}, {"content-length", "0"}},
       true,
       {},
       "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n",
       Framing::kLength},
      {"204",
       {{":status", "204"}, {"content-length", "0"}},
       true,
       {},
       "HTTP/1.1 204 No Content\r\n\r\n"},
      {"304 keeps the length of what it stands for",
       {{":status", "304"}, {"content-length", "77"}},
       true,
       {},
       "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"},
      {"304 that does not end at once",
       {{":status", "304"}},
       false,
       {},
       "HTTP/1.1 304 Not Modified\r\n\r\n"},
      {"HEAD",
       {{":status", "200"}, {"content-length", "77"}},
       true,
       {.head = true},
       ok + "Content-Length: 77\r\n\r\n"},
      {"HEAD without a length", {{":status", "200"}}, false, {.head = true}, ok + "\r\n"},
  });
}

TEST(ResponseBuilder, LeavesRoomForTrailers) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  Check(std::vector<ResponseCase>{
      {"gRPC with a length",
       {{":status", "200"}, {"content-type", "application/grpc+proto"}, {"content-length", "9"}},
       false,
       {},
       ok + "content-type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\n\r\n",
       Framing::kChunked,
       0,
       9},
      {"a Trailer field",
       {{":status", "200"}, {"trailer", "x-sum"}, {"content-length", "9"}},
       false,
       {},
       ok + "trailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n",
       Framing::kChunked,
       0,
       9},
      {"a gRPC answer that is all trailers",
       {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "12"}},
       true,
       {},
       ok + "content-type: application/grpc\r\ngrpc-status: 12\r\nContent-Length: 0\r\n\r\n",
       Framing::kLength},
  });
}

TEST(ResponseBuilder, PassesInterimAnswers) {
  const Built built = BuildResponse({{":status", "103"}, {"link", "</a>"}}, false);
  EXPECT_EQ(built.text, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
  EXPECT_TRUE(built.interim);
  EXPECT_EQ(built.framing, Framing::kNone);
  // 100 in front of a tunnel's answer is no tunnel.
  const ResponseBuilder::Asked asked{.tunnel = true, .key = kNonceKey};
  EXPECT_TRUE(BuildResponse({{":status", "100"}}, false, asked).interim);
}

TEST(ResponseBuilder, BeginsATunnelWith101) {
  // The key and what answers it are those of RFC 6455 §1.3.
  const ResponseBuilder::Asked asked{.tunnel = true, .key = "dGhlIHNhbXBsZSBub25jZQ=="};
  const std::string text =
      "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: chat\r\nConnection: "
      "upgrade\r\nUpgrade: "
      "websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
  Check(std::vector<ResponseCase>{
      {"200",
       {{":status", "200"}, {"sec-websocket-protocol", "chat"}, {"sec-websocket-accept", "x"}},
       false,
       asked,
       text,
       Framing::kUntilClose,
       0,
       -1},
      {"another success, with a length that means nothing",
       {{":status", "201"}, {"content-length", "5"}, {"sec-websocket-protocol", "chat"}},
       false,
       asked,
       text,
       Framing::kUntilClose,
       0,
       -1},
      {"refused",
       {{":status", "403"}},
       true,
       asked,
       "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
       Framing::kLength},
      {"sent elsewhere",
       {{":status", "302"}, {"location", "/"}, {"content-length", "2"}},
       false,
       asked,
       "HTTP/1.1 302 Found\r\nlocation: /\r\nContent-Length: 2\r\n\r\n",
       Framing::kLength,
       2,
       2},
  });
}

TEST(ResponseBuilder, AllowsAHeadAsLargeAsHttp1sParserDoes) {
  const FieldList fields = {{":status", "200"}, {"a", std::string(50, 'x')}, {"b", "c"}};
  const size_t size = BuildResponse(fields, false).text.size();
  SessionOptions options;
  options.header_bytes = static_cast<uint32_t>(size);
  options.header_count = 3;
  EXPECT_EQ(BuildResponse(fields, false, {}, options).refusal, "");
  for (uint32_t bytes = 1; bytes < size; ++bytes) {
    options.header_bytes = bytes;
    EXPECT_EQ(BuildResponse(fields, false, {}, options).refusal,
              "502 bad_response: headers_too_large");
  }
  options.header_bytes = static_cast<uint32_t>(size);
  for (options.header_count = 0; options.header_count < 3; ++options.header_count) {
    EXPECT_EQ(BuildResponse(fields, false, {}, options).refusal,
              "502 bad_response: too_many_headers");
  }
}

TEST(TrailerBuilder, WritesLinesAndLeavesOutWhatIsNoTrailer) {
  const BuiltTrailers built = BuildTrailers({{"grpc-status", "0"},
                                             {"content-length", "5"},
                                             {"host", "x"},
                                             {"te", "trailers"},
                                             {"authorization", "x"},
                                             {"content-type", "x"},
                                             {"grpc-message", ""},
                                             {"x-sum", "a, b"}});
  EXPECT_EQ(built.refusal, "");
  EXPECT_EQ(built.text, "grpc-status: 0\r\ngrpc-message: \r\nx-sum: a, b\r\n");
  EXPECT_EQ(BuildTrailers({}).text, "");
}

TEST(TrailerBuilder, HasLimits) {
  SessionOptions options;
  options.header_bytes = 20;
  options.header_count = 2;
  const std::string nine(9, 'x');
  // "a: " and CRLF twice, with a blank line.
  EXPECT_EQ(BuildTrailers({{"a", "xxxx"}, {"b", "xxxx"}}, options).refusal, "");
  EXPECT_EQ(BuildTrailers({{"a", "xxxx"}, {"b", "xxxxx"}}, options).refusal,
            "400 trailers_too_large");
  EXPECT_EQ(BuildTrailers({{"a", std::string(1000, 'x')}}, options).refusal,
            "400 trailers_too_large");
  // What is left out counts too.
  EXPECT_EQ(BuildTrailers({{"te", "xxxx"}, {"b", "xxxx"}}, options).refusal,
            "400 trailers_too_large");
  EXPECT_EQ(BuildTrailers({{"a", ""}, {"te", ""}, {"c", ""}}, options).refusal,
            "400 too_many_trailers");
}

}  // namespace
}  // namespace rondo::http2
