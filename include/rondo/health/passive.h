// Counting failures in a row, as passive health wants it: the rule, over a value that fits one
// atomic word, so that all workers can count one backend's failures together.
#pragma once

#include <chrono>
#include <cstdint>

#include "rondo/base/time.h"

namespace rondo::health {

// Failures in a row, and when the first of them was. A success ends it: FailureRun().
class FailureRun {
 public:
  static constexpr uint32_t kCountMax = 65535;

  FailureRun() = default;
  // `first` counts to the millisecond.
  FailureRun(uint32_t count, Instant first);
  static FailureRun FromWord(uint64_t word);
  // 0 exactly where nothing is counted.
  uint64_t word() const { return word_; }

  uint32_t count() const { return static_cast<uint32_t>(word_ & kCountMax); }
  Instant first() const {
    return Instant(std::chrono::milliseconds(static_cast<int64_t>(word_ >> kCountBits)));
  }

 private:
  static constexpr int kCountBits = 16;
  uint64_t word_ = 0;
};

struct FailureStep {
  FailureRun run;  // what to keep
  bool reached =
      false;  // max_fails in a row within fail_timeout: to be ejected; `run` is empty then
};

// One more failure. It counts with those before it while it is within fail_timeout of the first of
// the run; a later one begins a new run. max_fails 0 (off) counts nothing; above kCountMax it
// counts as that.
FailureStep CountFailure(FailureRun run, uint32_t max_fails, Duration fail_timeout, Instant now);

}  // namespace rondo::health
