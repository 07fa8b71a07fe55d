// How fast a client has to send its request, and to take the answer (min_rate): while the proxy
// waits for it, and only then.
#include <algorithm>

#include "proxy/exchange.h"

namespace rondo::proxy {

// Begins what the listener asks for; the request's own may have begun with its head.
void Exchange::WatchPace() {
  const config::Listener& settings = client_.listener().settings;
  if (settings.min_rate_request > 0 && !request_rate_.active()) {
    request_rate_ = protect::RateWatch(settings.min_rate_request);
  }
  response_rate_ = protect::RateWatch(settings.min_rate_response);
  client_sender_.WatchRate(response_rate_.active() ? &response_rate_ : nullptr);
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

// Until when the client has to take the next piece of what is sent to it from now on.
Instant Exchange::ResponseDue(Duration patience) {
  const Instant now = worker_.loop().Now();
  if (!response_rate_.active()) return now + patience;
  response_rate_.Wait(now);
  return std::min(now + patience, response_rate_.due());
}

}  // namespace rondo::proxy
