// How fast a client has to send its request, and to take the answer (min_rate): while the proxy
// waits for it, and only then.
#include <algorithm>

#include "proxy/exchange.h"

namespace rondo::proxy {
namespace {

// A send that takes no longer is not looked at at all.
constexpr Duration kFirstLook = std::chrono::milliseconds(10);

}  // namespace

// Begins what the listener asks for; the request's own may have begun with its head.
void Exchange::WatchPace() {
  const config::Listener& settings = client_.listener().settings;
  if (settings.min_rate_request > 0 && !request_rate_.active()) {
    request_rate_ = protect::RateWatch(settings.min_rate_request);
  }
  if (settings.min_rate_response > 0) {
    response_rate_ = protect::RateWatch(settings.min_rate_response);
  }
}

void Exchange::ForgetPace() {
  request_rate_ = response_rate_ = protect::RateWatch();
  arrived_ = INT64_MIN;
  client_too_slow_ = false;
}

// Until when the next bytes of the request are waited for, `latest` where nothing else is asked.
Instant Exchange::RequestDue(Instant now, Instant latest) {
  if (!request_rate_.active()) return latest;
  // Who waits for 100 (Continue) waits for the backend.
  if (expects_continue_ && request_block_ && received_bytes_ == 0) return latest;
  request_rate_.Wait(now);
  return std::min(latest, request_rate_.due());
}

// The wait is over: whether for the reason that too little had come by now.
bool Exchange::TookTooLong(int32_t received, Instant now) {
  if (!request_rate_.active()) return false;
  const bool too_slow = received <= 0 && request_rate_.TooSlow(now);
  if (received > 0) request_rate_.Moved(static_cast<uint64_t>(received), now);
  request_rate_.Stop(now);
  return too_slow;
}

// A send to the client begins.
void Exchange::BeginTaking() {
  const Instant now = worker_.loop().Now();
  const bool first = arrived_ == INT64_MIN;
  if (!first) response_rate_.Wait(now);
  worker_.loop().wheel().Arm(pace_timer_, first ? now + kFirstLook : response_rate_.due());
}

void Exchange::EndTaking() {
  pace_timer_.Cancel();
  response_rate_.Stop(worker_.loop().Now());
}

// What the system's buffers hold has not moved: they take much at once, and then nothing for long,
// however evenly the client reads.
void Exchange::OnPaceTimer(io::Timer& timer) {
  Exchange& self = static_cast<PaceTimer&>(timer).exchange;
  protect::RateWatch& rate = self.response_rate_;
  const Instant now = self.worker_.loop().Now();
  const auto taken = static_cast<int64_t>(self.sent_bytes_ + self.client_sender_.sent());
  const int64_t arrived =
      taken - static_cast<int64_t>(self.worker_.engine().Unacknowledged(self.client_.fd()));
  if (self.arrived_ == INT64_MIN) {
    self.arrived_ = arrived;
    rate.Wait(now);
  } else if (now >= rate.due()) {
    rate.Moved(static_cast<uint64_t>(std::max<int64_t>(0, arrived - self.arrived_)), now);
    self.arrived_ = arrived;
  }
  if (rate.TooSlow(now)) {
    self.client_too_slow_ = true;
    self.client_.token.Cancel(rt::CancelReason::kDeadline);
    return;
  }
  self.worker_.loop().wheel().Arm(self.pace_timer_, rate.due());
}

}  // namespace rondo::proxy
