// Response heads: the same outcome however the bytes are split; what is accepted has one meaning.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz_check.h"
#include "rondo/http/h1_parser.h"

namespace {

using namespace rondo::http;

constexpr HeadLimits kLimits{.header_bytes = 2048, .header_count = 16};

std::string Describe(const HeadResult& result, const ResponseHead& head) {
  std::string text = std::to_string(static_cast<int>(result.status));
  if (result.status == HeadStatus::kRefused) return text + result.refusal.what();
  if (result.status == HeadStatus::kNeedMore) return text;
  text += std::to_string(result.head_bytes) + " " + std::to_string(head.status) + " " +
          std::string(head.reason_phrase) + std::to_string(head.content_length) +
          std::to_string(static_cast<int>(head.framing)) + std::to_string(head.keep_alive);
  for (const Field& field : head.fields) {
    text += "\n" + std::string(field.name) + ": " + std::string(field.value);
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const bool was_head = data[0] & 1;
  const bool had_upgrade = data[0] & 2;
  const size_t step = 1 + (data[0] >> 2) % 7;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  ResponseParser parser;
  ResponseHead head;
  const HeadResult whole = parser.Parse(bytes, 0, kLimits, was_head, had_upgrade, head);
  const std::string expected = Describe(whole, head);
  if (whole.status == HeadStatus::kComplete) {
    FUZZ_CHECK(head.status >= 100 && head.status <= 599);
    FUZZ_CHECK(head.status != 101 || had_upgrade);
    FUZZ_CHECK(head.framing != Framing::kUntilClose || !head.keep_alive);
    FUZZ_CHECK(!was_head || head.framing == Framing::kNone);
  }
  if (whole.status == HeadStatus::kRefused) FUZZ_CHECK(whole.refusal.status == 502);
  HeadResult result;
  for (size_t end = 0; end < bytes.size() && result.status == HeadStatus::kNeedMore;) {
    end = std::min(bytes.size(), end + step);
    const std::string piece(bytes.substr(0, end));
    result = parser.Parse(piece, result.scanned, kLimits, was_head, had_upgrade, head);
    if (result.status != HeadStatus::kNeedMore) FUZZ_CHECK(Describe(result, head) == expected);
  }
  FUZZ_CHECK(result.status == whole.status);
  return 0;
}
