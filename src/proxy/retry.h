// Whether a request that failed at one backend may be sent to another: the one place that decides it. Pure.
#pragma once

#include <cstdint>

#include "rondo/config/config.h"

namespace rondo::proxy {

// How far an attempt came.
enum class Stage : uint8_t {
  kPick,      // no backend to send it to
  kConnect,   // no connection was made
  kSend,      // the request, or part of it, was handed to the kernel
  kResponse,  // bytes of an answer came
};

// Why an attempt, or the request as a whole, did not succeed. `reason` is static.
struct Failure {
  int status = 0;  // what the client would be told; 0: nobody is left to tell
  const char* reason = nullptr;
  Stage stage = Stage::kPick;
  bool refused = false;      // kConnect: the backend would not take a connection
  bool from_backend = false; // the status is the backend's own answer, which passes if there is no retry
  const char* detail = nullptr;  // what exactly was wrong with an answer; static, for the log
  bool unprocessed = false;  // kConnect: the backend was given it, and said that it did nothing with it
  explicit operator bool() const { return reason != nullptr; }
};

struct RetryQuestion {
  Failure failure;
  // By method, or because it carries Idempotency-Key: may be done twice.
  bool repeatable = false;
  // All that was sent of the body is still held.
  bool body_held = false;
  // Bytes of the request that a backend may have got in this attempt.
  uint64_t sent_bytes = 0;
  // Attempts beyond the first so far, refused ones left out.
  uint32_t retries = 0;
  // Of those left out: attempts that a backend said it did nothing with.
  uint32_t unprocessed = 0;
};

// How often a request may come back unprocessed before its client is told.
inline constexpr uint32_t kUnprocessedMax = 8;

enum class RetryAnswer : uint8_t {
  kNo,
  kFree,    // does not count as an attempt: the backend refused, or did nothing with it
  kCounted, // if the budget has room
};

RetryAnswer MayRetry(const RetryQuestion& question, const config::Retries& settings);

}  // namespace rondo::proxy
