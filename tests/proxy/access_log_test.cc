// The lines of the access log to the byte, what cannot be forged in them, and how they are handed
// over.
#include "rondo/proxy/access_log.h"
#include "rondo/tls/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "sim/sim_world.h"

namespace rondo::proxy {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

using ::testing::HasSubstr;

// 2026-02-03 04:05:06.789 UTC
constexpr WallTime kFinished{milliseconds(1'770'091'506'789)};

AccessRecord Typical() {
  AccessRecord record;
  record.finished = kFinished;
  record.listener = "web";
  record.client = "192.0.2.7";
  record.method = "GET";
  record.target = "/a?b=c";
  record.host = "example.com";
  record.status = 200;
  record.request_id = "0123456789abcdef";
  record.user_agent = "curl/8";
  record.referer = "http://example.com/";
  record.upstream = "api";
  record.backend = "10.0.0.1:80";
  record.retries = 1;
  record.received_bytes = 12;
  record.sent_bytes = 3456;
  record.queue = microseconds(0);
  record.connect = microseconds(1500);
  record.first_byte = microseconds(12'034);
  record.total = microseconds(20'007) + Duration(999);
  return record;
}
std::string Json(const AccessRecord& record) {
  std::string line;
  AppendJson(record, line);
  return line;
}
std::string Combined(const AccessRecord& record) {
  std::string line;
  AppendCombined(record, line);
  return line;
}
// What stands in the named JSON string, still escaped.
std::string FieldOf(const std::string& line, std::string_view name) {
  const std::string key = "\"" + std::string(name) + "\":\"";
  const size_t from = line.find(key);
  if (from == std::string::npos) return "(none)";
  size_t to = from + key.size();
  while (to < line.size() && line[to] != '"') to += line[to] == '\\' ? 2 : 1;
  return line.substr(from + key.size(), to - from - key.size());
}

TEST(AccessLogLine, JsonToTheByte) {
  EXPECT_EQ(Json(Typical()),
            R"({"time":"2026-02-03T04:05:06.789Z","listener":"web","client":"192.0.2.7",)"
            R"("method":"GET","target":"/a?b=c","host":"example.com","protocol":"HTTP/1.1",)"
            R"("status":200,"request_id":"0123456789abcdef","upstream":"api",)"
            R"("backend":"10.0.0.1:80","retries":1,"received_bytes":12,"sent_bytes":3456,)"
            R"("queue_ms":0.000,"connect_ms":1.500,"first_byte_ms":12.034,"total_ms":20.007,)"
            R"("reason":"","user_agent":"curl/8","referer":"http://example.com/"})"
            "\n");
}

TEST(AccessLogLine, JsonOfARequestThatGotNowhere) {
  AccessRecord record;
  record.finished = kFinished;
  record.listener = "web";
  record.client = "unix";
  record.version_minor = 0;
  record.status = 400;
  record.first_byte = Duration(-1);
  record.total = hours(2);
  record.reason = "bad_request";
  record.detail = "two_hosts";
  EXPECT_EQ(Json(record),
            R"({"time":"2026-02-03T04:05:06.789Z","listener":"web","client":"unix","method":"",)"
            R"("target":"","host":"","protocol":"HTTP/1.0","status":400,"request_id":"",)"
            R"("upstream":"","backend":"","retries":0,"received_bytes":0,"sent_bytes":0,)"
            R"("queue_ms":0.000,"connect_ms":0.000,"total_ms":7200000.000,"reason":"bad_request",)"
            R"("detail":"two_hosts","user_agent":"","referer":""})"
            "\n");
}

TEST(AccessLogLine, WhatCameOnAStreamIsOfHttp2) {
  AccessRecord record = Typical();
  record.http2 = true;
  EXPECT_NE(Json(record).find(R"("protocol":"HTTP/2.0","status":200)"), std::string::npos);
  EXPECT_NE(Combined(record).find("\"GET /a?b=c HTTP/2.0\" 200"), std::string::npos);
}

TEST(AccessLogLine, CombinedToTheByte) {
  EXPECT_EQ(Combined(Typical()),
            "192.0.2.7 - - [03/Feb/2026:04:05:06 +0000] \"GET /a?b=c HTTP/1.1\" 200 3456 "
            "\"http://example.com/\" \"curl/8\"\n");
  AccessRecord record;
  record.finished = WallTime{};
  record.client = "unix";
  EXPECT_EQ(Combined(record), "unix - - [01/Jan/1970:00:00:00 +0000] \"-\" 0 0 \"-\" \"-\"\n");
}

TEST(AccessLogLine, LargeNumbersAreWhole) {
  AccessRecord record = Typical();
  record.received_bytes = UINT64_MAX;
  record.sent_bytes = 10'000'000'000;
  record.retries = UINT32_MAX;
  EXPECT_THAT(Json(record),
              HasSubstr("\"retries\":4294967295,\"received_bytes\":18446744073709551615,"
                        "\"sent_bytes\":10000000000,"));
}

TEST(AccessLogLine, SaysWhatWasAgreedOnInTls) {
  AccessRecord record = Typical();
  EXPECT_THAT(Json(record), ::testing::Not(HasSubstr("\"tls\"")));
  tls::HandshakeResult tls;
  tls.cipher = "TLS_AES_128_GCM_SHA256";
  record.tls = &tls;
  EXPECT_THAT(Json(record), HasSubstr(",\"tls\":{\"version\":\"1.3\",\"cipher\":"
                                      "\"TLS_AES_128_GCM_SHA256\",\"resumed\":false},"));
  tls.version = tls::Version::kTls12;
  tls.resumed = true;
  tls.server_name = "a.test";
  tls.alpn = "http/1.1";
  tls.client = std::make_unique<tls::ClientCertificate>();
  tls.client->subject = "CN=\"x\"";
  EXPECT_THAT(Json(record),
              HasSubstr(",\"sni\":\"a.test\",\"alpn\":\"http/1.1\","
                        "\"client\":\"CN=\\\"x\\\"\",\"resumed\":true},\"user_agent\""));
  EXPECT_THAT(Json(record), HasSubstr("\"tls\":{\"version\":\"1.2\""));
  EXPECT_THAT(Combined(record), ::testing::Not(HasSubstr("a.test")));
}

TEST(AccessLogLine, EscapesWhatCouldForgeALine) {
  struct Case {
    std::string_view value;
    std::string_view json;
    std::string_view combined;
  };
  using namespace std::string_view_literals;
  const Case cases[] = {
      {"plain ~", "plain ~", "plain ~"},
      {"a\"b", "a\\\"b", "a\\x22b"},
      {"a\\b", "a\\\\b", "a\\x5cb"},
      {"x\r\n1.2.3.4 - - [", "x\\u000d\\u000a1.2.3.4 - - [", "x\\x0d\\x0a1.2.3.4 - - ["},
      {"\",\"status\":200,\"", "\\\",\\\"status\\\":200,\\\"", "\\x22,\\x22status\\x22:200,\\x22"},
      {"a\0b"sv, "a\\u0000b", "a\\x00b"},
      {"\x1b[2J\x7f\t", "\\u001b[2J\\u007f\\u0009", "\\x1b[2J\\x7f\\x09"},
      {"\\\"", "\\\\\\\"", "\\x5c\\x22"},
      // UTF-8 passes as it is.
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
       "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
       "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
       "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"},
      // But for what acts on a terminal or ends a line though it is UTF-8: C1 controls, U+2028, U+2029.
      {"\xc2\x9b" "2J", "\\u009b2J", "\\xc2\\x9b2J"},
      {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9"},
      // What is not: alone, cut short, too long for what it says, surrogates, beyond the last.
      {"\xe9", "\\u00e9", "\\xe9"},
      {"\xc3", "\\u00c3", "\\xc3"},
      {"\xc3z", "\\u00c3z", "\\xc3z"},
      {"\x80\xbf", "\\u0080\\u00bf", "\\x80\\xbf"},
      {"\xe2\x82", "\\u00e2\\u0082", "\\xe2\\x82"},
      {"\xf0\x9f\x98z", "\\u00f0\\u009f\\u0098z", "\\xf0\\x9f\\x98z"},
      {"\xc0\xaf", "\\u00c0\\u00af", "\\xc0\\xaf"},
      {"\xc1\xbf", "\\u00c1\\u00bf", "\\xc1\\xbf"},
      {"\xe0\x80\xaf", "\\u00e0\\u0080\\u00af", "\\xe0\\x80\\xaf"},
      {"\xed\xa0\x80", "\\u00ed\\u00a0\\u0080", "\\xed\\xa0\\x80"},
      {"\xf0\x80\x80\x80", "\\u00f0\\u0080\\u0080\\u0080", "\\xf0\\x80\\x80\\x80"},
      {"\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080", "\\xf4\\x90\\x80\\x80"},
      {"\xf5\xff", "\\u00f5\\u00ff", "\\xf5\\xff"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.json);
    AccessRecord record = Typical();
    record.method = record.target = record.host = c.value;
    record.user_agent = record.referer = record.listener = c.value;
    const std::string json = Json(record);
    for (const char* name : {"method", "target", "host", "user_agent", "referer", "listener"}) {
      EXPECT_EQ(FieldOf(json, name), c.json) << name;
    }
    EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 1);
    const std::string text(c.combined);
    EXPECT_THAT(Combined(record), HasSubstr("\"" + text + " " + text + " HTTP/1.1\" 200 3456 \"" +
                                            text + "\" \"" + text + "\"\n"));
  }
}

TEST(AccessLogLine, EveryByteAloneStaysInItsLine) {
  for (int byte = 0; byte < 256; ++byte) {
    const char value = static_cast<char>(byte);
    AccessRecord record = Typical();
    record.user_agent = std::string_view(&value, 1);
    for (const std::string& line : {Json(record), Combined(record)}) {
      for (const char c : line.substr(0, line.size() - 1)) {
        EXPECT_TRUE(c >= ' ' && c < 0x7f) << byte;
      }
      EXPECT_EQ(line.back(), '\n');
    }
  }
}

// -- handing over --

class Sink : public AccessLogSink {
 public:
  bool Offer(size_t worker, std::string& lines) override {
    ++offers;
    last_worker = worker;
    EXPECT_FALSE(lines.empty());
    if (refuses) return false;
    taken += lines;
    lines.clear();
    return true;
  }
  std::string taken;
  bool refuses = false;
  int offers = 0;
  size_t last_worker = SIZE_MAX;
};

class AccessLogTest : public ::testing::Test {
 protected:
  void Advance(Duration by) {
    const Instant until = engine_->Now() + by;
    while (engine_->Now() < until) loop_.Tick(until);
  }
  static std::unique_ptr<sim::SimEngine> MakeEngine(sim::SimWorld& world) {
    sim::SimEngineOptions options;
    options.drives_world = true;
    return world.MakeEngine("worker", options);
  }
  static size_t LineBytes() { return Json(Typical()).size(); }

  sim::SimWorld world_{1};
  std::unique_ptr<sim::SimEngine> engine_ = MakeEngine(world_);
  rt::Loop loop_{*engine_};
  Sink sink_;
};

TEST_F(AccessLogTest, WithoutASinkItIsOff) {
  AccessLog log(loop_, config::AccessLog::kJson, nullptr, 0);
  EXPECT_FALSE(log.enabled());
  log.Write(Typical());
  EXPECT_TRUE(log.Flush());
  EXPECT_TRUE(loop_.wheel().empty());
  EXPECT_EQ(log.dropped(), 0u);
}

TEST_F(AccessLogTest, LinesAreOfferedTogetherAfterAWhile) {
  for (const auto format : {config::AccessLog::kJson, config::AccessLog::kCombined}) {
    sink_ = Sink();
    AccessLog log(loop_, format, &sink_, 3);
    EXPECT_TRUE(log.enabled());
    log.Write(Typical());
    Advance(milliseconds(60));
    log.Write(Typical());
    EXPECT_EQ(sink_.offers, 0);
    Advance(milliseconds(41));
    EXPECT_EQ(sink_.offers, 1);
    EXPECT_EQ(sink_.last_worker, 3u);
    const std::string line =
        format == config::AccessLog::kJson ? Json(Typical()) : Combined(Typical());
    EXPECT_EQ(sink_.taken, line + line);
    Advance(hours(1));
    EXPECT_EQ(sink_.offers, 1);
  }
}

TEST_F(AccessLogTest, AFullPieceIsOfferedAtOnce) {
  AccessLog log(loop_, config::AccessLog::kJson, &sink_, 0);
  size_t lines = 0;
  while (sink_.offers == 0) {
    log.Write(Typical());
    ++lines;
  }
  EXPECT_EQ(sink_.taken.size(), lines * LineBytes());
  EXPECT_GE(sink_.taken.size(), AccessLog::kOfferBytes);
  EXPECT_LT(sink_.taken.size(), AccessLog::kOfferBytes + LineBytes());
  EXPECT_TRUE(loop_.wheel().empty());
}

TEST_F(AccessLogTest, WhatIsRefusedIsOfferedAgain) {
  AccessLog log(loop_, config::AccessLog::kJson, &sink_, 0);
  sink_.refuses = true;
  log.Write(Typical());
  Advance(milliseconds(101));
  EXPECT_EQ(sink_.offers, 1);
  log.Write(Typical());
  Advance(milliseconds(101));
  EXPECT_EQ(sink_.offers, 2);
  sink_.refuses = false;
  Advance(milliseconds(101));
  EXPECT_EQ(sink_.taken, Json(Typical()) + Json(Typical()));
}

TEST_F(AccessLogTest, WhatASinkNeverTakesIsDroppedAndCounted) {
  AccessLog log(loop_, config::AccessLog::kJson, &sink_, 0);
  sink_.refuses = true;
  uint64_t written = 0;
  for (; written < 10'000; ++written) log.Write(Typical());
  const uint64_t held = written - log.dropped();
  EXPECT_GT(log.dropped(), 0u);
  EXPECT_LE(held * LineBytes(), AccessLog::kHeldBytesMax + LineBytes());
  EXPECT_GT(held * LineBytes(), AccessLog::kHeldBytesMax);
  sink_.refuses = false;
  Advance(milliseconds(101));
  EXPECT_EQ(sink_.taken.size(), held * LineBytes());
  // From here on all is as before.
  log.Write(Typical());
  EXPECT_TRUE(log.Flush());
  EXPECT_EQ(sink_.taken.size(), (held + 1) * LineBytes());
  EXPECT_EQ(log.dropped(), written - held);
}

TEST_F(AccessLogTest, FlushSaysWhetherAllIsHandedOver) {
  AccessLog log(loop_, config::AccessLog::kJson, &sink_, 0);
  EXPECT_TRUE(log.Flush());
  EXPECT_EQ(sink_.offers, 0);
  log.Write(Typical());
  sink_.refuses = true;
  EXPECT_FALSE(log.Flush());
  EXPECT_FALSE(log.Flush());
  sink_.refuses = false;
  EXPECT_TRUE(log.Flush());
  EXPECT_EQ(sink_.taken, Json(Typical()));
  EXPECT_TRUE(loop_.wheel().empty());
}

}  // namespace
}  // namespace rondo::proxy
