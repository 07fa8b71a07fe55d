// Header blocks put through the builders, and what came out put through HTTP/1's parsers: whatever
// a builder lets through has to mean the same to them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http2/refusal_text.h"
#include "http2/same_head.h"
#include "rondo/http/h1_parser.h"
#include "rondo/http2/incoming.h"

namespace rondo::http2 {

using FieldList = std::vector<std::pair<std::string, std::string>>;

// 16 bytes whose base64 is "AAECAwQFBgcICQoLDA0ODw==".
inline constexpr std::string_view kNonce{"\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16};
inline constexpr std::string_view kNonceKey = "AAECAwQFBgcICQoLDA0ODw==";

struct Built {
  std::string text;
  http::Framing framing = http::Framing::kNone;
  uint64_t content_length = 0;
  int64_t data_bytes = -1;
  bool interim = false;
  std::string refusal;  // its RefusalText
};

inline Built Copied(const IncomingHead& head) {
  EXPECT_EQ(head.text.empty(), static_cast<bool>(head.refusal));
  return {std::string(head.text), head.framing, head.content_length,
          head.data_bytes,        head.interim, RefusalText(head.refusal)};
}

inline void ExpectParsed(const Built& built, const SessionOptions& options) {
  const http::HeadLimits limits{options.header_bytes, options.header_count};
  http::RequestHead head;
  const http::HeadResult result = http::RequestParser().Parse(built.text, 0, limits, head);
  EXPECT_TRUE(OwnWayAgrees(built.text, result, head)) << built.text;
  if (built.text.starts_with("CONNECT ")) {
    EXPECT_EQ(RefusalText(result.refusal), "501 connect_not_supported") << built.text;
    return;
  }
  ASSERT_EQ(result.status, http::HeadStatus::kComplete)
      << built.text << RefusalText(result.refusal);
  EXPECT_EQ(result.head_bytes, built.text.size());
  if (built.framing == http::Framing::kUntilClose) {
    EXPECT_EQ(head.framing, http::Framing::kNone);
    EXPECT_EQ(head.upgrade, "websocket");
    return;
  }
  EXPECT_EQ(head.framing, built.framing) << built.text;
  EXPECT_EQ(head.content_length, built.content_length);
  EXPECT_EQ(head.upgrade, "");
}

inline Built BuildRequest(const FieldList& fields, bool ends, const SessionOptions& options = {}) {
  RequestBuilder builder;
  builder.Begin(options);
  for (const auto& [name, value] : fields) builder.Add(name, value);
  const Built built = Copied(builder.Finish(ends, kNonce));
  if (built.refusal.empty()) ExpectParsed(built, options);
  return built;
}

inline Built BuildResponse(const FieldList& fields, bool ends,
                           const ResponseBuilder::Asked& asked = {},
                           const SessionOptions& options = {}) {
  ResponseBuilder builder;
  builder.Begin(options);
  for (const auto& [name, value] : fields) builder.Add(name, value);
  const Built built = Copied(builder.Finish(ends, asked));
  if (!built.refusal.empty()) return built;
  const http::HeadLimits limits{options.header_bytes, options.header_count};
  http::ResponseHead head;
  const http::HeadResult result =
      http::ResponseParser().Parse(built.text, 0, limits, asked.head, asked.tunnel, head);
  EXPECT_TRUE(OwnWayAgrees(built.text, result, head, asked.head, asked.tunnel)) << built.text;
  EXPECT_EQ(result.status, http::HeadStatus::kComplete)
      << built.text << RefusalText(result.refusal);
  if (result.status != http::HeadStatus::kComplete) return built;
  EXPECT_EQ(result.head_bytes, built.text.size());
  EXPECT_EQ(head.interim(), built.interim) << built.text;
  if (built.framing == http::Framing::kUntilClose) {
    EXPECT_EQ(head.status, 101);
    EXPECT_EQ(head.upgrade, "websocket");
    return built;
  }
  EXPECT_EQ(head.framing, built.framing) << built.text;
  if (head.framing == http::Framing::kLength) {
    EXPECT_EQ(head.content_length, built.content_length);
  }
  return built;
}

struct BuiltTrailers {
  std::string text;
  std::string refusal;
};
inline BuiltTrailers BuildTrailers(const FieldList& fields, const SessionOptions& options = {}) {
  TrailerBuilder builder;
  builder.Begin(options);
  for (const auto& [name, value] : fields) builder.Add(name, value);
  http::Refusal refusal;
  const std::string text(builder.Finish(&refusal));
  return {text, RefusalText(refusal)};
}

}  // namespace rondo::http2
