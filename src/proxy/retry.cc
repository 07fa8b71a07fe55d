#include "proxy/retry.h"

namespace rondo::proxy {

RetryAnswer MayRetry(const RetryQuestion& question, const config::Retries& settings) {
  const Failure& failure = question.failure;
  if (failure.status == 0) return RetryAnswer::kNo;
  switch (failure.stage) {
    case Stage::kPick:
      return RetryAnswer::kNo;
    case Stage::kConnect:
      if (!settings.on.connect) return RetryAnswer::kNo;
      // Whatever may not be done twice was not done once (RFC 9113 §8.7), but what was sent of the
      // body has to be sent again.
      if (failure.unprocessed) {
        const bool again = question.body_held && question.unprocessed < kUnprocessedMax;
        return again ? RetryAnswer::kFree : RetryAnswer::kNo;
      }
      // Nothing of the request left this process, so any request may go elsewhere.
      if (failure.refused) return RetryAnswer::kFree;
      break;
    case Stage::kSend:
      if (!settings.on.reset_before_response) return RetryAnswer::kNo;
      if (question.sent_bytes > 0 && !question.repeatable) return RetryAnswer::kNo;
      break;
    case Stage::kResponse:
      if (!settings.on.Status(failure.status) || !question.repeatable) return RetryAnswer::kNo;
      break;
  }
  if (!question.body_held) return RetryAnswer::kNo;
  return question.retries < settings.attempts ? RetryAnswer::kCounted : RetryAnswer::kNo;
}

}  // namespace rondo::proxy
