// How much of what brings nobody further a peer may have us do. Each such thing costs tokens; they
// come back with time, and with each useful thing, so that a busy connection may also reset, ping
// and open windows more than an idle one. (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316,
// CVE-2025-8671 are what it is for.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "rondo/base/time.h"

namespace rondo::http2 {

class FloodBudget {
 public:
  enum class Cost : int32_t {
    kFrame = 1,         // PRIORITY, WINDOW_UPDATE, RST_STREAM, what is padded, what is unknown
    kPing = 2,          // has to be answered
    kContinuation = 5,  // heads come in one frame but for the largest
    kEmptyData = 5,     // DATA that neither brings nor ends anything
    kInterim = 5,       // a 1xx answer
    kDribble = 2,       // DATA that a tiny window cut into tiny pieces
    kReset = 10,        // a stream that was begun for nothing
    kMalformed = 30,    // its answer earns some of it back
    kSettings = 20,     // all streams may have to be gone over
  };
  enum class Gain : int32_t {
    kDataSent = 4,   // so that two WINDOW_UPDATE for each DATA are always within it
    kAnswered = 10,  // so that one stream in two may be reset, however many there are
  };
  // There are servers that open both windows for each piece that they read of a body.
  static constexpr size_t kBytesForOne = 256;
  static constexpr int64_t kBurst = 10'000;
  static constexpr int64_t kPerMillisecond = 2;
  // With each DATA that a peer sends, two WINDOW_UPDATE and a PING: who streams small messages may
  // say as much beside them.
  static constexpr int64_t kBeside = 4;

  void Refill(Instant now) {
    if (since_ == Instant{}) since_ = now;
    const int64_t passed =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - since_).count();
    if (passed <= 0) return;
    since_ += std::chrono::milliseconds(passed);
    tokens_ = std::min(kBurst, tokens_ + std::min(passed, kBurst) * kPerMillisecond);
  }
  void Spend(Cost cost) { tokens_ -= static_cast<int32_t>(cost); }
  // Of WINDOW_UPDATE and PING.
  void SpendBeside(Cost cost) {
    const int64_t paid = std::min<int64_t>(beside_, static_cast<int32_t>(cost));
    beside_ -= paid;
    tokens_ -= static_cast<int32_t>(cost) - paid;
  }
  // DATA came that somebody was told of. It pays for what is said beside it, and for nothing else:
  // bytes are cheap to send, and would buy resets otherwise.
  void EarnBeside() { beside_ = std::min(kBurst, beside_ + kBeside); }
  void Earn(Gain gain) { tokens_ = std::min(kBurst, tokens_ + static_cast<int32_t>(gain)); }
  // Of a body, `bytes` went out.
  void EarnForData(Gain gain, size_t bytes) {
    const auto more = static_cast<int64_t>(bytes / kBytesForOne);
    tokens_ = std::min(kBurst, tokens_ + static_cast<int32_t>(gain) + more);
  }
  bool exhausted() const { return tokens_ < 0; }

 private:
  int64_t tokens_ = kBurst;
  int64_t beside_ = 0;
  Instant since_{};
};

}  // namespace rondo::http2
