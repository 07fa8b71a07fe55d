// Chunked bodies: the same outcome however the bytes are split; and whatever our decoder takes,
// llhttp takes as well, with the same data and the same end.
#include <llhttp.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_check.h"
#include "rondo/http/body.h"

namespace {

using namespace rondo::http;

struct Outcome {
  std::string data;
  std::string trailers;
  std::string refusal;
  size_t consumed = 0;
  bool done = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome Decode(std::string_view input, size_t step) {
  BodyDecoder decoder;
  decoder.Begin(Framing::kChunked, 0, {.header_bytes = 512, .header_count = 8}, 400);
  Outcome outcome;
  while (outcome.consumed < input.size() && !outcome.done) {
    const std::string_view piece = input.substr(outcome.consumed, step);
    std::vector<char> bytes(piece.begin(), piece.end());
    const BodyDecoder::Step result = decoder.Decode(bytes.data(), bytes.size());
    if (result.refusal) {
      Outcome refused;
      refused.refusal = result.refusal.what();
      return refused;
    }
    FUZZ_CHECK(result.size == 0 || (result.data >= bytes.data() &&
                                    result.data + result.size <= bytes.data() + bytes.size()));
    FUZZ_CHECK(result.done || result.consumed == bytes.size());
    outcome.data.append(result.data, result.size);
    outcome.consumed += result.consumed;
    outcome.done = result.done;
  }
  outcome.trailers = decoder.trailers();
  return outcome;
}

struct Oracle {
  std::string data;
  bool done = false;
};

int OnBody(llhttp_t* parser, const char* at, size_t size) {
  static_cast<Oracle*>(parser->data)->data.append(at, size);
  return 0;
}
int OnComplete(llhttp_t* parser) {
  static_cast<Oracle*>(parser->data)->done = true;
  return HPE_PAUSED;
}

// llhttp is stricter about extensions, which we skip, and refuses Content-Length among trailers,
// which we drop.
bool IsComparable(std::string_view input, const Outcome& ours) {
  if (input.substr(0, ours.consumed).find(';') != std::string_view::npos) return false;
  std::string lower(input.substr(0, ours.consumed));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower.find("content-length") == std::string::npos &&
         lower.find("transfer-encoding") == std::string::npos;
}

void CompareWithLlhttp(std::string_view input, const Outcome& ours) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_body = OnBody;
  settings.on_message_complete = OnComplete;
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  Oracle oracle;
  parser.data = &oracle;
  constexpr std::string_view kHead = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  FUZZ_CHECK(llhttp_execute(&parser, kHead.data(), kHead.size()) == HPE_OK);
  const llhttp_errno_t error = llhttp_execute(&parser, input.data(), input.size());
  if (ours.done) {
    FUZZ_CHECK(error == HPE_PAUSED && oracle.done);
    FUZZ_CHECK(static_cast<size_t>(llhttp_get_error_pos(&parser) - input.data()) == ours.consumed);
  } else {
    FUZZ_CHECK(error == HPE_OK && !oracle.done);
  }
  FUZZ_CHECK(oracle.data == ours.data);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t step = 1 + data[0] % 9;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = Decode(input, SIZE_MAX);
  FUZZ_CHECK(Decode(input, step) == whole);
  if (whole.refusal.empty() && IsComparable(input, whole)) CompareWithLlhttp(input, whole);
  return 0;
}
