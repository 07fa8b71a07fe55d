// What came of one active check, in values and in words; and what decides it: which statuses are
// expected, and whether a text stands in a body that arrives in pieces. Values only; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/base/time.h"

namespace rondo::health {

enum class CheckOutcome : uint8_t {
  kPassed,
  kConnectRefused,  // nobody listens there, or no way leads there
  kConnectTimeout,
  kConnectFailed,  // any other error of the connect
  kTlsFailed,      // connected, but no TLS handshake came about
  kReset,          // the connection broke before the answer was whole
  kResponseTimeout,
  kBadResponse,  // not HTTP
  kStatus,       // not among expect_status
  kBody,         // expect_body is not in it
  kLocal,        // could not be made at all (no descriptor left): says nothing about the backend
};
inline constexpr size_t kCheckOutcomeCount = 11;

// For metrics and events: "passed", "connect_refused", "connect_timeout", "connect_failed",
// "tls_failed", "reset", "response_timeout", "bad_response", "status", "body", "local_error".
std::string_view CheckOutcomeName(CheckOutcome outcome);

struct CheckResult {
  CheckOutcome outcome = CheckOutcome::kPassed;
  int status = 0;  // 0 where no answer came, and for TCP
  std::string detail =
      {};  // what Machine::OnCheck takes: "status 503, expected 200", "connect_refused"
  Instant began{};
  Duration took{};

  bool passed() const { return outcome == CheckOutcome::kPassed; }
};

// Statuses from first to last, both included.
struct StatusRange {
  int first = 200;
  int last = 200;
  friend bool operator==(const StatusRange&, const StatusRange&) = default;
};

bool IsExpected(int status, std::span<const StatusRange> expected);
// "200", "200-299", "200, 204, 300-399".
std::string ExpectedText(std::span<const StatusRange> expected);
// "status 503, expected 200".
std::string StatusDetail(int status, std::span<const StatusRange> expected);

// Looks for a text in pieces of any size, also where it is cut between two (Knuth, Morris, Pratt):
// linear time, no bytes are kept.
class TextSearch {
 public:
  // An empty text is found at once.
  explicit TextSearch(std::string_view text);
  // The next piece; whether the text has been found by its end, in this piece or before.
  bool Feed(std::string_view piece);
  bool found() const { return matched_ == text_.size(); }

 private:
  std::string text_;
  std::vector<size_t>
      fallback_;  // for each length matched: the longest shorter match that is its end
  size_t matched_ = 0;
};

}  // namespace rondo::health
