// Request heads: the same outcome however the bytes are split, and nothing accepted that another
// parser could read differently.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz_check.h"
#include "rondo/http/h1_parser.h"

namespace {

using namespace rondo::http;

constexpr HeadLimits kLimits{.header_bytes = 2048, .header_count = 16};

std::string Describe(const HeadResult& result, const RequestHead& head) {
  std::string text = std::to_string(static_cast<int>(result.status));
  if (result.status == HeadStatus::kRefused) return text + result.refusal.what();
  if (result.status == HeadStatus::kNeedMore) return text;
  text += std::to_string(result.head_bytes) + " " + std::string(head.method) + " " +
          std::string(head.path_and_query) + " " + std::string(head.host) + " " +
          std::to_string(head.content_length) + std::to_string(static_cast<int>(head.framing));
  for (const Field& field : head.fields) {
    text += "\n" + std::string(field.name) + ": " + std::string(field.value);
  }
  return text;
}

void CheckAccepted(std::string_view bytes, const HeadResult& result, const RequestHead& head) {
  FUZZ_CHECK(result.head_bytes <= bytes.size() && result.head_bytes == head.head_bytes);
  const std::string_view text = bytes.substr(0, result.head_bytes);
  FUZZ_CHECK(text.ends_with("\r\n\r\n"));
  FUZZ_CHECK(IsToken(head.method) && head.method != "CONNECT");
  FUZZ_CHECK(head.path_and_query == "*" || head.path_and_query.starts_with('/'));
  FUZZ_CHECK(head.fields.size() <= kLimits.header_count);
  size_t lengths = 0;
  size_t codings = 0;
  size_t hosts = 0;
  for (const Field& field : head.fields) {
    FUZZ_CHECK(IsToken(field.name));
    FUZZ_CHECK(field.value == TrimOws(field.value));
    for (char c : field.value) {
      FUZZ_CHECK(c == '\t' || (static_cast<uint8_t>(c) >= 0x20 && c != 0x7f));
    }
    lengths += EqualsIgnoreCase(field.name, "content-length");
    codings += EqualsIgnoreCase(field.name, "transfer-encoding");
    hosts += EqualsIgnoreCase(field.name, "host");
  }
  FUZZ_CHECK(lengths + codings <= 1 && hosts <= 1);
  FUZZ_CHECK((head.framing == Framing::kChunked) == (codings == 1));
  FUZZ_CHECK((head.framing == Framing::kLength) == (lengths == 1));
  FUZZ_CHECK(hosts == 1 || head.minor_version == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  RequestParser parser;
  RequestHead head;
  const HeadResult whole = parser.Parse(bytes, 0, kLimits, head);
  const std::string expected = Describe(whole, head);
  if (whole.status == HeadStatus::kComplete) CheckAccepted(bytes, whole, head);
  // In pieces whose size the input chooses.
  const size_t step = size == 0 ? 1 : 1 + data[size - 1] % 7;
  HeadResult result;
  for (size_t end = 0; end < size && result.status == HeadStatus::kNeedMore;) {
    end = std::min(size, end + step);
    const std::string piece(bytes.substr(0, end));
    result = parser.Parse(piece, result.scanned, kLimits, head);
    if (result.status != HeadStatus::kNeedMore) FUZZ_CHECK(Describe(result, head) == expected);
  }
  FUZZ_CHECK(result.status == whole.status);
  return 0;
}
