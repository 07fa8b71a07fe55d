// Header blocks that would mean one thing to this proxy and another to what is behind it, once they
// are HTTP/1.1 text. Each is refused, with its reason (RFC 9113 §8.1.1, §8.2, §8.3, §10.3).
#include "http2/built.h"

namespace rondo::http2 {
namespace {

using namespace std::string_literals;

struct Case {
  const char* what;
  FieldList fields;
  const char* refusal;
  bool ends = true;
};

const FieldList kGet = {
    {":method", "GET"}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}};

FieldList With(const FieldList& more) {
  FieldList fields = kGet;
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
// kGet with the value of one pseudo-header changed.
FieldList Where(const std::string& name, const std::string& value) {
  FieldList fields = kGet;
  for (auto& field : fields) {
    if (field.first == name) field.second = value;
  }
  return fields;
}
FieldList Without(const std::string& name) {
  FieldList fields = kGet;
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  return fields;
}

void CheckRequests(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(BuildRequest(c.fields, c.ends).refusal, c.refusal);
  }
}

void CheckResponses(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(BuildResponse(c.fields, c.ends).refusal, "502 bad_response: "s + c.refusal);
  }
}

TEST(Smuggling, OfLinesThroughNames) {
  const char* reason = "400 header_name";
  CheckRequests({
      {"upper case", With({{"X-Name", "1"}}), reason},
      {"one letter in upper case", With({{"nAme", "1"}}), reason},
      {"Transfer-Encoding that is not seen for what it is",
       With({{"Transfer-Encoding", "chunked"}}), reason},
      {"an empty name", With({{"", "1"}}), reason},
      {"a space behind it", With({{"transfer-encoding ", "chunked"}}), reason},
      {"a space in front", With({{" transfer-encoding", "chunked"}}), reason},
      {"a tab", With({{"transfer-encoding\t", "chunked"}}), reason},
      {"a colon inside", With({{"a:b", "1"}}), reason},
      {"a whole line in front", With({{"a: b\r\ntransfer-encoding", "chunked"}}), reason},
      {"CR", With({{"a\r", "1"}}), reason},
      {"LF", With({{"a\n", "1"}}), reason},
      {"NUL", With({{"a\0b"s, "1"}}), reason},
      {"a letter beyond ASCII", With({{"caf\xc3\xa9", "1"}}), reason},
      {"DEL", With({{"a\x7f", "1"}}), reason},
      {"a bracket", With({{"a[0]", "1"}}), reason},
      {"a slash", With({{"a/b", "1"}}), reason},
  });
}

TEST(Smuggling, OfLinesThroughValues) {
  const char* reason = "400 header_value";
  CheckRequests({
      {"CR LF and a line", With({{"a", "b\r\ntransfer-encoding: chunked"}}), reason},
      {"CR LF and a request", With({{"a", "b\r\n\r\nGET /admin HTTP/1.1\r\nHost: x"}}), reason},
      {"LF alone", With({{"a", "b\ntransfer-encoding: chunked"}}), reason},
      {"CR alone", With({{"a", "b\rtransfer-encoding: chunked"}}), reason},
      {"NUL", With({{"a", "b\0c"s}}), reason},
      {"another control character", With({{"a", "b\x01"}}), reason},
      {"DEL", With({{"a", "b\x7f"}}), reason},
      {"a space in front", With({{"a", " b"}}), reason},
      {"a space behind", With({{"a", "b "}}), reason},
      {"a tab behind", With({{"a", "b\t"}}), reason},
      {"nothing but a space", With({{"a", " "}}), reason},
      {"CR LF in a cookie", With({{"cookie", "a=1\r\nx: y"}}), reason},
      {"CR LF in a host", With({{"host", "a.example\r\nx: y"}}), reason},
      {"CR LF in a length", With({{"content-length", "0\r\nx: y"}}), reason},
      {"far behind", With({{"a", std::string(1000, 'x') + "\n" + std::string(1000, 'y')}}), reason},
  });
}

TEST(Smuggling, OfLinesThroughPseudoHeaders) {
  const char* reason = "400 pseudo_header";
  CheckRequests({
      {"a line through the method", Where(":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET"), reason},
      {"a space in the method", Where(":method", "GET /admin"), reason},
      {"a method of nothing", Where(":method", ""), reason},
      {"a line through the path", Where(":path", "/ HTTP/1.1\r\nx: y"), reason},
      {"a space in the path", Where(":path", "/admin HTTP/1.1"), reason},
      {"a tab in the path", Where(":path", "/\tx"), reason},
      {"NUL in the path", Where(":path", "/\0"s), reason},
      {"DEL in the path", Where(":path", "/\x7f"), reason},
      {"more than ASCII in the path", Where(":path", "/caf\xc3\xa9"), reason},
      {"a fragment", Where(":path", "/a#b"), reason},
      {"a path of nothing", Where(":path", ""), reason},
      {"a path without its slash", Where(":path", "admin"), reason},
      {"a whole URL as the path", Where(":path", "http://b.example/admin"), reason},
      {"a query as the path", Where(":path", "?a"), reason},
      {"* without OPTIONS", Where(":path", "*"), reason},
      {"a path through the scheme", Where(":scheme", "https://b.example/admin?"), reason},
      {"a scheme that is no proxy's", Where(":scheme", "file"), reason},
      {"a scheme of nothing", Where(":scheme", ""), reason},
      {"a line through the authority", Where(":authority", "a.example\r\nx: y"), reason},
      {"a space in the authority", Where(":authority", "a.example /admin"), reason},
      {"a path in the authority", Where(":authority", "a.example/admin"), reason},
      {"a list of authorities", Where(":authority", "a.example,b.example"), reason},
      {"a port that is none", Where(":authority", "a.example:http"), reason},
      {"a port that is too large", Where(":authority", "a.example:65536"), reason},
      {"an address that is not closed", Where(":authority", "[::1"), reason},
      {"an authority of nothing", Where(":authority", ""), reason},
      {"an authority of nothing beside a host",
       {{":method", "GET"}, {":scheme", "http"}, {":authority", ""}, {":path", "/"}, {"host", "a"}},
       reason},
  });
}

TEST(Smuggling, ThroughPseudoHeadersThatAreNotWhereTheyBelong) {
  const char* reason = "400 pseudo_header";
  CheckRequests({
      {"one behind a field", With({{"a", "b"}, {":path", "/admin"}}), reason},
      {"the authority behind the host",
       {{":method", "GET"},
        {":scheme", "http"},
        {":path", "/"},
        {"host", "a"},
        {":authority", "a"}},
       reason},
      {"a second method", With({{":method", "POST"}}), reason},
      {"a second path", With({{":path", "/admin"}}), reason},
      {"a second path, the same", With({{":path", "/"}}), reason},
      {"a second scheme", With({{":scheme", "https"}}), reason},
      {"a second authority", With({{":authority", "a.example"}}), reason},
      {"no method", Without(":method"), reason},
      {"no scheme", Without(":scheme"), reason},
      {"no path", Without(":path"), reason},
      {"nothing at all", {}, reason},
      {"one of responses", With({{":status", "200"}}), reason},
      {"one that nobody knows", With({{":foo", "1"}}), reason},
      {"one in upper case", With({{":Path", "/"}}), reason},
      {"one without a name", With({{":", "/"}}), reason},
      {":protocol without CONNECT", With({{":protocol", "websocket"}}), reason},
      {"CONNECT with a path",
       {{":method", "CONNECT"}, {":authority", "a:1"}, {":path", "/"}},
       reason},
      {"CONNECT with a scheme",
       {{":method", "CONNECT"}, {":authority", "a:1"}, {":scheme", "https"}},
       reason},
      {"CONNECT to nowhere", {{":method", "CONNECT"}}, reason},
      {"CONNECT to nowhere, with a host", {{":method", "CONNECT"}, {"host", "a:1"}}, reason},
      {"an extended CONNECT without a path",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":authority", "a"},
        {":scheme", "https"}},
       reason},
      {"an extended CONNECT without a scheme",
       {{":method", "CONNECT"}, {":protocol", "websocket"}, {":authority", "a"}, {":path", "/"}},
       reason},
  });
}

TEST(Smuggling, ThroughFieldsOfAConnection) {
  const char* reason = "400 connection_header";
  CheckRequests({
      {"connection", With({{"connection", "close"}}), reason},
      {"connection that names another", With({{"connection", "x-real-ip"}}), reason},
      {"keep-alive", With({{"keep-alive", "timeout=5"}}), reason},
      {"proxy-connection", With({{"proxy-connection", "keep-alive"}}), reason},
      {"transfer-encoding", With({{"transfer-encoding", "chunked"}}), reason, false},
      {"transfer-encoding that says nothing", With({{"transfer-encoding", "identity"}}), reason},
      {"transfer-encoding beside a length",
       With({{"content-length", "5"}, {"transfer-encoding", "chunked"}}), reason, false},
      {"upgrade", With({{"upgrade", "websocket"}}), reason},
      {"upgrade to h2c", With({{"upgrade", "h2c"}, {"http2-settings", "x"}}), reason},
      {"http2-settings", With({{"http2-settings", "x"}}), reason},
      {"te that is more than trailers", With({{"te", "trailers, deflate"}}), reason},
      {"te that is something else", With({{"te", "gzip"}}), reason},
      {"te that says nothing", With({{"te", ""}}), reason},
  });
}

TEST(Smuggling, ThroughLengths) {
  const char* reason = "400 content_length";
  CheckRequests({
      {"two that differ", With({{"content-length", "5"}, {"content-length", "6"}}), reason, false},
      {"two that are the same", With({{"content-length", "5"}, {"content-length", "5"}}), reason,
       false},
      {"a list", With({{"content-length", "5, 5"}}), reason, false},
      {"a sign", With({{"content-length", "+5"}}), reason, false},
      {"below 0", With({{"content-length", "-1"}}), reason, false},
      {"hexadecimal", With({{"content-length", "0x5"}}), reason, false},
      {"a fraction", With({{"content-length", "5.0"}}), reason, false},
      {"nothing", With({{"content-length", ""}}), reason, false},
      {"2^63", With({{"content-length", "9223372036854775808"}}), reason, false},
      {"2^64 + 5", With({{"content-length", "18446744073709551621"}}), reason, false},
      {"a body that does not come", With({{"content-length", "5"}}), reason, true},
      {"of a tunnel",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":scheme", "https"},
        {":authority", "a"},
        {":path", "/"},
        {"content-length", "5"}},
       reason,
       false},
  });
}

TEST(Smuggling, ThroughHosts) {
  CheckRequests({
      {"another host", With({{"host", "b.example"}}), "400 authority_and_host_differ"},
      {"another port", With({{"host", "a.example:8080"}}), "400 authority_and_host_differ"},
      {"the port that would be meant anyway", With({{"host", "a.example:443"}}),
       "400 authority_and_host_differ"},
      {"a dot at the end", With({{"host", "a.example."}}), "400 authority_and_host_differ"},
      {"two hosts", With({{"host", "a.example"}, {"host", "a.example"}}), "400 several_hosts"},
      {"a host of nothing", With({{"host", ""}}), "400 bad_host"},
      {"a host with a space", With({{"host", "a.example b"}}), "400 bad_host"},
      {"a host with a user", With({{"host", "u@a.example"}}), "400 bad_host"},
      {"an authority with a user", Where(":authority", "u:p@a.example"), "400 no_authority"},
      {"neither", Without(":authority"), "400 no_authority"},
  });
  FieldList fields = Without(":authority");
  fields.push_back({"host", "a b"});
  EXPECT_EQ(BuildRequest(fields, true).refusal, "400 bad_host");
}

TEST(Smuggling, ThroughTunnels) {
  const auto connect = [](const std::string& protocol) {
    return FieldList{{":method", "CONNECT"},
                     {":protocol", protocol},
                     {":scheme", "https"},
                     {":authority", "a"},
                     {":path", "/"}};
  };
  CheckRequests({
      {"to something else", connect("connect-udp"), "501 connect_protocol", false},
      {"to nothing", connect(""), "400 pseudo_header", false},
      {"a line through the protocol", connect("websocket\r\nx: y"), "400 pseudo_header", false},
      {"to two", connect("websocket, h2c"), "400 pseudo_header", false},
  });
}

TEST(Smuggling, OfLinesThroughAnswers) {
  const auto ok = [](const FieldList& more) {
    FieldList fields = {{":status", "200"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  };
  CheckResponses({
      {"upper case", ok({{"Server", "x"}}), "header_name"},
      {"a colon", ok({{"a:b", "x"}}), "header_name"},
      {"no name", ok({{"", "x"}}), "header_name"},
      {"a line through a value", ok({{"a", "b\r\nset-cookie: c"}}), "header_value"},
      {"NUL", ok({{"a", "\0"s}}), "header_value"},
      {"a space behind", ok({{"a", "b "}}), "header_value"},
      {"connection", ok({{"connection", "close"}}), "connection_header"},
      {"keep-alive", ok({{"keep-alive", "x"}}), "connection_header"},
      {"proxy-connection", ok({{"proxy-connection", "x"}}), "connection_header"},
      {"transfer-encoding", ok({{"transfer-encoding", "chunked"}}), "connection_header"},
      {"upgrade", ok({{"upgrade", "h2c"}}), "connection_header"},
      {"te", ok({{"te", "trailers"}}), "connection_header"},
  });
}

TEST(Smuggling, ThroughTheStatusOfAnswers) {
  CheckResponses({
      {"none", {{"a", "b"}}, "pseudo_header"},
      {"nothing at all", {}, "pseudo_header"},
      {"behind a field", {{"a", "b"}, {":status", "200"}}, "pseudo_header"},
      {"two", {{":status", "200"}, {":status", "200"}}, "pseudo_header"},
      {"another pseudo-header", {{":status", "200"}, {":path", "/"}}, "pseudo_header"},
      {"two digits", {{":status", "20"}}, "pseudo_header"},
      {"four digits", {{":status", "0200"}}, "pseudo_header"},
      {"no number", {{":status", "2xx"}}, "pseudo_header"},
      {"a phrase", {{":status", "200 OK"}}, "pseudo_header"},
      {"nothing", {{":status", ""}}, "pseudo_header"},
      {"101", {{":status", "101"}}, "bad_status_code", false},
      {"600", {{":status", "600"}}, "bad_status_code"},
      {"099", {{":status", "099"}}, "bad_status_code"},
  });
}

TEST(Smuggling, ThroughTheLengthsOfAnswers) {
  CheckResponses({
      {"two",
       {{":status", "200"}, {"content-length", "1"}, {"content-length", "1"}},
       "content_length",
       false},
      {"no number", {{":status", "200"}, {"content-length", "a"}}, "content_length", false},
      {"a body that does not come",
       {{":status", "200"}, {"content-length", "1"}},
       "content_length"},
      {"204 with a body", {{":status", "204"}, {"content-length", "1"}}, "content_length", false},
      {"an interim answer with a body",
       {{":status", "103"}, {"content-length", "1"}},
       "content_length",
       false},
      {"an interim answer and nothing behind it", {{":status", "103"}}, "interim_response_ends"},
  });
}

TEST(Smuggling, ThroughTrailers) {
  struct TrailerCase {
    const char* what;
    FieldList fields;
    const char* refusal;
  };
  const TrailerCase cases[] = {
      {"a pseudo-header", {{":path", "/"}}, "400 pseudo_header"},
      {"upper case", {{"A", "b"}}, "400 header_name"},
      {"a line through a name", {{"a: b\r\nc", "d"}}, "400 header_name"},
      {"a line through a value", {{"a", "b\r\n\r\nGET / HTTP/1.1"}}, "400 header_value"},
      {"transfer-encoding", {{"transfer-encoding", "chunked"}}, "400 connection_header"},
      {"connection", {{"a", "b"}, {"connection", "a"}}, "400 connection_header"},
  };
  for (const TrailerCase& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(BuildTrailers(c.fields).refusal, c.refusal);
    EXPECT_EQ(BuildTrailers(c.fields).text, "");
  }
  SessionOptions client;
  client.role = Role::kClient;
  EXPECT_EQ(BuildTrailers({{":a", "b"}}, client).refusal, "502 bad_response: pseudo_header");
}

}  // namespace
}  // namespace rondo::http2
