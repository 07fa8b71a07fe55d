// Received bytes at a record channel. First as they come: nothing is opened that was not sealed.
// Then as a peer with the keys would send them: records of any type, content and padding; whatever
// those say, the outcome is the same however the stream is split, in place or not.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_check.h"
#include "tls/channel_pair.h"
#include "tls/record_channel.h"

namespace {

using namespace rondo::tls;

struct Outcome {
  std::string plain;
  std::string said;  // what the channel had to say, in order
  Incoming incoming = Incoming::kOpen;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome Receive(const Suite& suite, std::string_view stream, size_t step, bool in_place) {
  ChannelPair pair(suite);
  Outcome outcome;
  std::string waiting;
  while (!stream.empty() && outcome.incoming == Incoming::kOpen) {
    waiting += stream.substr(0, step);
    stream.remove_prefix(std::min(step, stream.size()));
    const OpenedBytes opened = in_place ? OpenInPlace(pair.server, waiting)
                                        : OpenApart(pair.server, waiting, waiting.size());
    FUZZ_CHECK(opened.rest.size() <= waiting.size());
    FUZZ_CHECK(opened.plain.size() <= waiting.size() - opened.rest.size());
    outcome.plain += opened.plain;
    outcome.incoming = opened.incoming;
    waiting = opened.rest;
    const size_t size = pair.server.RecordSize(waiting);
    FUZZ_CHECK(size >= kRecordHeader && size <= kRecordMax);
    // What is whole was opened.
    FUZZ_CHECK(opened.incoming != Incoming::kOpen || waiting.size() < size);
  }
  outcome.said = TakeAll(pair.server);
  // The peer understands what was said, and what is said next.
  FUZZ_CHECK(outcome.said.size() <= 128);
  if (outcome.incoming != Incoming::kFailed) {
    FUZZ_CHECK(OpenInPlace(pair.client, outcome.said + SealAll(pair.server, "next")).plain ==
               "next");
  } else {
    FUZZ_CHECK(SealAll(pair.server, "next").empty());
  }
  return outcome;
}

// Each record: its type, its padding, how many bytes, the bytes. A key update that a peer says is
// one that it makes.
std::string AsPeer(const Suite& suite, std::string_view input) {
  TrafficKeys keys = KeysFor(suite, 1);
  std::string stream;
  while (input.size() >= 3) {
    const auto type = static_cast<uint8_t>(input[0] % 8 == 0 ? input[0] : 20 + input[0] % 5);
    const auto padding = static_cast<size_t>(static_cast<uint8_t>(input[1]));
    const size_t size =
        std::min(static_cast<size_t>(static_cast<uint8_t>(input[2])), input.size() - 3);
    const std::string_view plain = input.substr(3, size);
    input.remove_prefix(3 + size);
    stream += SealRaw(suite, keys, type, plain, padding);
    if (type == 22 && plain.starts_with(std::string_view("\x18\0\0\x01", 4))) {
      FUZZ_CHECK(suite.version != Version::kTls13 || AdvanceKeys(suite, keys));
    }
  }
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Suite& suite = AllSuites()[data[0] % AllSuites().size()];
  const size_t step = 1 + data[1] % 64;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome forged = Receive(suite, input, SIZE_MAX, true);
  FUZZ_CHECK(forged.plain.empty());
  FUZZ_CHECK(forged.incoming != Incoming::kClosed);
  FUZZ_CHECK(Receive(suite, input, step, true) == forged);
  const std::string stream = AsPeer(suite, input);
  const Outcome whole = Receive(suite, stream, SIZE_MAX, true);
  FUZZ_CHECK(Receive(suite, stream, step, true) == whole);
  FUZZ_CHECK(Receive(suite, stream, SIZE_MAX, false) == whole);
  return 0;
}
