#include "rondo/http/body.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rondo/http/client_certificate.h"

namespace rondo::http {
namespace {

struct Result {
  std::string data = {};
  std::string rest = {};  // bytes behind the message
  std::string refusal = {};
  std::string trailers = {};
  bool done = false;
  friend bool operator==(const Result&, const Result&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Result& r) {
    return out << "[" << r.data << "] rest [" << r.rest << "] " << r.refusal
               << (r.done ? " done " : " open ") << r.trailers;
  }
};

struct Body {
  Framing framing = Framing::kChunked;
  uint64_t length = 0;
  HeadLimits limits = {};
  int refusal_status = 400;
  const CompiledEdits* edits = nullptr;
};

Result Decode(const Body& body, std::string_view input, const std::vector<size_t>& ends) {
  BodyDecoder decoder;
  decoder.Begin(body.framing, body.length, body.limits, body.refusal_status, body.edits);
  Result result;
  size_t begin = 0;
  for (size_t end : ends) {
    // A heap buffer of the exact size, so that the sanitizer sees every byte too many.
    std::vector<char> bytes(input.begin() + static_cast<long>(begin),
                            input.begin() + static_cast<long>(end));
    const BodyDecoder::Step step = decoder.Decode(bytes.data(), bytes.size());
    if (step.refusal) {
      result.refusal = std::to_string(step.refusal.status) + " " + step.refusal.what();
      result.data.clear();  // what had come before it depends on the split
      return result;
    }
    result.data.append(step.data, step.size);
    begin += step.consumed;
    if (step.done) break;
    EXPECT_EQ(begin, end);
  }
  result.done = decoder.done();
  result.rest = input.substr(begin);
  result.trailers = decoder.trailers();
  return result;
}

Result DecodeEveryWay(const Body& body, std::string_view input) {
  const Result whole = Decode(body, input, {input.size()});
  std::vector<size_t> each;
  for (size_t i = 1; i <= input.size(); ++i) each.push_back(i);
  EXPECT_EQ(Decode(body, input, each), whole) << input.substr(0, 100);
  for (size_t i = 0; i < input.size(); i = i < 600 ? i + 1 : i + 97) {
    EXPECT_EQ(Decode(body, input, {i, input.size()}), whole)
        << "split at " << i << " " << input.substr(0, 100);
  }
  return whole;
}

struct Case {
  std::string input;
  Result result;
};

TEST(BodyDecoder, ReadsChunks) {
  const Case kCases[] = {
      {"0\r\n\r\n", {.done = true}},
      {"5\r\nhello\r\n0\r\n\r\n", {.data = "hello", .done = true}},
      {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /",
       {.data = "hello world", .rest = "GET /", .done = true}},
      {"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n", {.data = "abc"}},
      {"00000000000000A\r\n0123456789\r\n000\r\n\r\n", {.data = "0123456789", .done = true}},
      {"a\r\n\r\n0\r\n\r\n123\r\n", {.data = "\r\n0\r\n\r\n123"}},
      {"3;a=b;c=\"d;e\"\r\nabc\r\n0;x\r\n\r\n", {.data = "abc", .done = true}},
      {"0\r\nX: y\r\nZ:\t z \r\n\r\nrest",
       {.rest = "rest", .trailers = "X: y\r\nZ: z\r\n", .done = true}},
      // What may not be a trailer is dropped; what follows it is kept.
      {"0\r\nContent-Length: 5\r\nHOST: a\r\nTransfer-Encoding: chunked\r\nAuthorization: "
       "a\r\nConnection: x\r\n"
       "Set-Cookie: a\r\nX-Forwarded-For: a\r\nTrailer: a\r\nUpgrade: a\r\nCookie: a\r\nChecksum: "
       "1\r\n\r\n",
       {.trailers = "Checksum: 1\r\n", .done = true}},
      {"", {}},
      {"5\r\nhel", {.data = "hel"}},
  };
  for (const Case& c : kCases) EXPECT_EQ(DecodeEveryWay({}, c.input), c.result) << c.input;
}

TEST(BodyDecoder, RefusesChunksThatTwoParsersCouldReadDifferently) {
  struct {
    std::string input;
    std::string reason;
  } const kCases[] = {
      {"\r\n", "bad_chunk_size"},
      {"x\r\n", "bad_chunk_size"},
      {" 5\r\nhello\r\n", "bad_chunk_size"},
      {"5 \r\nhello\r\n", "bad_chunk_size"},
      {"5\t\r\n", "bad_chunk_size"},
      {"+5\r\n", "bad_chunk_size"},
      {"-5\r\n", "bad_chunk_size"},
      {"0x5\r\n", "bad_chunk_size"},
      {"5h\r\n", "bad_chunk_size"},
      {"5_0\r\n", "bad_chunk_size"},
      {";a\r\n", "bad_chunk_size"},
      {"5\nhello\n", "bare_lf"},
      {"5\rhello", "bare_cr"},
      {"5\r\r\n", "bare_cr"},
      {"5;a\nhello\r\n", "bad_chunk_extension"},
      {"5;a\rb", "bare_cr"},
      {std::string("5;\0", 3), "bad_chunk_extension"},
      {"5;" + std::string(257, 'a'), "chunk_extension_too_long"},
      {"fffffffffffffffff\r\n", "chunk_size_overflow"},
      {"ffffffffffffffff\r\n", "chunk_size_overflow"},
      {"1000000000000000\r\n", "chunk_size_overflow"},
      {"00000000000000005\r\n", "chunk_size_overflow"},
      {"5\r\nhello0\r\n\r\n", "chunk_longer_than_its_size"},
      {"5\r\nhello!\r\n", "chunk_longer_than_its_size"},
      {"5\r\nhello\n0\r\n\r\n", "chunk_longer_than_its_size"},
      {"5\r\nhello\r0\r\n\r\n", "bare_cr"},
      {"0\r\n\n", "bare_lf"},
      {"0\r\n\rX", "bare_cr"},
      {"0\n\n", "bare_lf"},
      {"0\r\n X: y\r\n\r\n", "folded_header"},
      {"0\r\nX: y\r\n z\r\n\r\n", "folded_header"},
      {"0\r\nX : y\r\n\r\n", "space_before_colon"},
      {"0\r\n: y\r\n\r\n", "empty_header_name"},
      {"0\r\nX Y: y\r\n\r\n", "space_before_colon"},
      {"0\r\nX(: y\r\n\r\n", "bad_header_name"},
      {"0\r\nX\xff", "bad_header_name"},
      {"0\r\nXY\r\n\r\n", "header_without_colon"},
      {"0\r\nX: y\nZ: a\r\n\r\n", "bare_lf"},
      {"0\r\nX: y\rZ: a\r\n\r\n", "bare_cr"},
      {std::string("0\r\nX: \0\r\n\r\n", 10), "control_character"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(DecodeEveryWay({}, c.input).refusal, "400 " + c.reason) << c.input;
    EXPECT_EQ(DecodeEveryWay({.refusal_status = 502}, c.input).refusal, "502 " + c.reason)
        << c.input;
  }
}

TEST(BodyDecoder, DropsTrailersThatAHeadWouldLose) {
  HeaderEdits edits{.set = {{"X-Env", "prod"}}, .remove = {"User-Agent", "X-Inner"}};
  for (const std::string& name : ForgeableClientNames()) edits.remove.push_back(name);
  const CompiledEdits compiled(edits);
  const std::string body =
      "0\r\nA: 1\r\nx-client-verified: SUCCESS\r\nX_Client_Subject: CN=a\r\nX-Client_Issuer: b\r\n"
      "X-Client-Subjects: 2\r\nX-ENV: test\r\nuser-agent: c\r\nX-Inner:\r\nX-Inne: 3\r\n"
      "Content-Length: 5\r\nReferer: 4\r\n\r\n";
  EXPECT_EQ(DecodeEveryWay({.edits = &compiled}, body).trailers,
            "A: 1\r\nX-Client-Subjects: 2\r\nX-Inne: 3\r\nReferer: 4\r\n");
}

TEST(BodyDecoder, BoundsTrailersAndExtensions) {
  const HeadLimits limits{.header_bytes = 20, .header_count = 2};
  EXPECT_TRUE(DecodeEveryWay({.limits = limits}, "0\r\nX: 89012345678\r\n\r\n").done);
  EXPECT_EQ(DecodeEveryWay({.limits = limits}, "0\r\nX: 890123456789012\r\n\r\n").refusal,
            "400 trailers_too_large");
  EXPECT_EQ(DecodeEveryWay({.limits = limits}, "0\r\nA:\r\nB:\r\nC:\r\n\r\n").refusal,
            "400 too_many_trailers");
  const std::string longest = "1;" + std::string(256, 'e') + "\r\na\r\n";
  EXPECT_TRUE(DecodeEveryWay({}, longest + longest + "0\r\n\r\n").done);
}

TEST(BodyDecoder, ReadsLengths) {
  EXPECT_EQ(DecodeEveryWay({.framing = Framing::kLength, .length = 5}, "hello world"),
            (Result{.data = "hello", .rest = " world", .done = true}));
  EXPECT_EQ(DecodeEveryWay({.framing = Framing::kLength, .length = 5}, "hell"),
            (Result{.data = "hell"}));
  EXPECT_EQ(DecodeEveryWay({.framing = Framing::kLength, .length = 0}, "x"),
            (Result{.rest = "x", .done = true}));
  EXPECT_EQ(DecodeEveryWay({.framing = Framing::kNone}, "x"), (Result{.rest = "x", .done = true}));
  EXPECT_EQ(DecodeEveryWay({.framing = Framing::kUntilClose}, "hello"), (Result{.data = "hello"}));
}

TEST(BodyDecoder, KnowsWhetherAClosedConnectionCutTheBody) {
  BodyDecoder decoder;
  char bytes[] = "5\r\nhello\r\n0\r\n\r\n";
  EXPECT_TRUE(decoder.CloseEndsBody());
  decoder.Begin(Framing::kUntilClose, 0, {}, 502);
  EXPECT_TRUE(decoder.CloseEndsBody());
  decoder.Begin(Framing::kLength, 3, {}, 502);
  EXPECT_FALSE(decoder.CloseEndsBody());
  EXPECT_EQ(decoder.remaining(), 3u);
  decoder.Decode(bytes, 3);
  EXPECT_TRUE(decoder.CloseEndsBody());
  decoder.Begin(Framing::kChunked, 0, {}, 502);
  decoder.Decode(bytes, 14);
  EXPECT_FALSE(decoder.CloseEndsBody());
  decoder.Decode(bytes + 14, 1);
  EXPECT_TRUE(decoder.CloseEndsBody());
  decoder.Begin(Framing::kChunked, 0, {}, 502);
  char bad[] = "x";
  EXPECT_TRUE(decoder.Decode(bad, 1).refusal);
  EXPECT_FALSE(decoder.CloseEndsBody());
  EXPECT_TRUE(decoder.Decode(bad, 1).refusal);
}

TEST(BodyDecoder, GivesLengthDelimitedDataWithoutMovingIt) {
  BodyDecoder decoder;
  decoder.Begin(Framing::kLength, 4, {}, 400);
  char bytes[] = "abcdef";
  const BodyDecoder::Step step = decoder.Decode(bytes, 6);
  EXPECT_EQ(step.data, bytes);
  EXPECT_EQ(step.size, 4u);
  EXPECT_EQ(step.consumed, 4u);
}

TEST(ChunkWriter, WritesWhatTheDecoderReads) {
  for (size_t size : {size_t{1}, size_t{9}, size_t{10}, size_t{255}, size_t{256}, size_t{65536}}) {
    char head[kChunkHeadMax];
    std::string bytes(head, WriteChunkHead(head, size));
    bytes += std::string(size, 'x') + std::string(kChunkTail) + std::string(kLastChunk);
    const Result result = Decode({}, bytes, {bytes.size()});
    EXPECT_TRUE(result.done);
    EXPECT_EQ(result.data.size(), size);
  }
  char head[kChunkHeadMax];
  EXPECT_EQ(WriteChunkHead(head, SIZE_MAX), kChunkHeadMax);
  EXPECT_EQ(std::string(head, 18), "ffffffffffffffff\r\n");
}

}  // namespace
}  // namespace rondo::http
