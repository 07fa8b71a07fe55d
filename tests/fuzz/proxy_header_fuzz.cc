// Any bytes as the beginning of a connection on which a PROXY header is due: the answer does not
// depend on the pieces they come in, keeps its promises, and what was read can be written and read
// again.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "fuzz/fuzz_check.h"
#include "rondo/proxyproto/header.h"

namespace {

using namespace rondo::proxyproto;

bool Same(const Parsed& a, const Parsed& b) {
  return a.state == b.state && a.size == b.size && a.header.source == b.header.source &&
         a.header.destination == b.header.destination && a.header.local == b.header.local &&
         std::strcmp(a.reason, b.reason) == 0;
}

bool IsReason(std::string_view text) {
  return text == "proxy_header_missing" || text == "proxy_header_malformed" ||
         text == "proxy_header_too_long" || text == "proxy_header_checksum";
}

void RoundTrip(const Header& header) {
  const Endpoint* source = header.source ? &*header.source : nullptr;
  const Endpoint* destination = header.destination ? &*header.destination : nullptr;
  for (const Version version : {Version::kV1, Version::kV2}) {
    char out[kWrittenMax];
    const size_t size = WriteHeader(version, source, destination, out);
    FUZZ_CHECK(size <= kWrittenMax);
    const Parsed again = ParseHeader(std::string_view(out, size));
    FUZZ_CHECK(again.state == Parse::kDone && again.size == size);
    FUZZ_CHECK(again.header.source == header.source);
    FUZZ_CHECK(again.header.destination == header.destination);
    FUZZ_CHECK(again.header.local == (version == Version::kV2 && source == nullptr));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const Parsed whole = ParseHeader(bytes);
  FUZZ_CHECK(whole.header.source.has_value() == whole.header.destination.has_value());
  switch (whole.state) {
    case Parse::kNeedMore:
      FUZZ_CHECK(size < kHeaderMax && whole.size == 0 && !whole.header.source);
      break;
    case Parse::kDone:
      FUZZ_CHECK(whole.size > 0 && whole.size <= size && whole.size <= kHeaderMax);
      FUZZ_CHECK(!whole.header.local || !whole.header.source);
      RoundTrip(whole.header);
      break;
    case Parse::kBad:
      FUZZ_CHECK(IsReason(whole.reason) && !whole.header.source);
      break;
  }
  // The first answer that is not "more" is the answer to all that follows.
  for (size_t part = 0; part < size && part <= kHeaderMax; ++part) {
    // Memory of exactly that size: a look behind it is noticed.
    const std::string piece = bytes.substr(0, part);
    const Parsed parsed = ParseHeader(piece);
    if (parsed.state == Parse::kNeedMore) continue;
    FUZZ_CHECK(Same(parsed, whole));
    break;
  }
  return 0;
}
