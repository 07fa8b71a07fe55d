// Counting failures in a row, as passive health wants it: the rule, over a value that fits one
// atomic word, so that all workers can count one backend's failures together.
#pragma once

#include <chrono>
#include <cstdint>

#include "rondo/base/time.h"

namespace rondo::health {

// Failures in a row, and when the first of them was. A success ends it: zero.
class FailureRun {
 public:
  FailureRun() = default;
  static FailureRun FromWord(uint64_t word) { return FailureRun(word); }
  // 0 exactly where nothing is counted.
  uint64_t word() const { return word_; }

  uint32_t count() const { return static_cast<uint32_t>(word_ & kCountMask); }
  // To the millisecond.
  Instant first() const { return Instant(std::chrono::milliseconds(word_ >> kCountBits)); }

 private:
  friend struct FailureStep;
  friend struct FailureStep CountFailure(FailureRun run, uint32_t max_fails, Duration fail_timeout,
                                         Instant now);
  static constexpr int kCountBits = 16;
  static constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;
  explicit FailureRun(uint64_t word) : word_(word) {}
  FailureRun(uint32_t count, Instant first);

  uint64_t word_ = 0;
};

struct FailureStep {
  FailureRun run;  // what to keep
  bool reached =
      false;  // max_fails in a row within fail_timeout: to be ejected. `run` begins anew then.
};

// One more failure. Failures count together while they are within fail_timeout of the first of the
// run; a later one begins a new run. max_fails 0 (off) counts nothing; above 65535 it counts as
// 65535.
FailureStep CountFailure(FailureRun run, uint32_t max_fails, Duration fail_timeout, Instant now);

}  // namespace rondo::health
