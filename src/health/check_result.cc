#include "rondo/health/check_result.h"

#include <algorithm>

namespace rondo::health {

std::string_view CheckOutcomeName(CheckOutcome outcome) {
  switch (outcome) {
    case CheckOutcome::kPassed:
      return "passed";
    case CheckOutcome::kConnectRefused:
      return "connect_refused";
    case CheckOutcome::kConnectTimeout:
      return "connect_timeout";
    case CheckOutcome::kConnectFailed:
      return "connect_failed";
    case CheckOutcome::kTlsFailed:
      return "tls_failed";
    case CheckOutcome::kReset:
      return "reset";
    case CheckOutcome::kResponseTimeout:
      return "response_timeout";
    case CheckOutcome::kBadResponse:
      return "bad_response";
    case CheckOutcome::kStatus:
      return "status";
    case CheckOutcome::kBody:
      return "body";
    case CheckOutcome::kLocal:
      return "local_error";
  }
  return "unknown";
}

bool IsExpected(int status, std::span<const StatusRange> expected) {
  return std::any_of(expected.begin(), expected.end(), [status](const StatusRange& range) {
    return status >= range.first && status <= range.last;
  });
}

std::string ExpectedText(std::span<const StatusRange> expected) {
  std::string text;
  for (const StatusRange& range : expected) {
    if (!text.empty()) text += ", ";
    text += std::to_string(range.first);
    if (range.last != range.first) text += "-" + std::to_string(range.last);
  }
  return text;
}

std::string StatusDetail(int status, std::span<const StatusRange> expected) {
  return "status " + std::to_string(status) + ", expected " + ExpectedText(expected);
}

TextSearch::TextSearch(std::string_view text) : text_(text), fallback_(text.size()) {
  for (size_t i = 1, length = 0; i < text_.size(); ++i) {
    while (length > 0 && text_[i] != text_[length]) length = fallback_[length - 1];
    if (text_[i] == text_[length]) ++length;
    fallback_[i] = length;
  }
}

bool TextSearch::Feed(std::string_view piece) {
  for (const char c : piece) {
    if (found()) return true;
    while (matched_ > 0 && c != text_[matched_]) matched_ = fallback_[matched_ - 1];
    if (c == text_[matched_]) ++matched_;
  }
  return found();
}

}  // namespace rondo::health
