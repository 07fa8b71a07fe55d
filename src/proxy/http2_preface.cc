// Prior knowledge: a client may begin a plain connection with HTTP/2's preface (RFC 9113 §3.4), as
// the first thing that it says. "P", "PR" and "PRI" may also begin a method.
#include <algorithm>
#include <cstring>

#include "proxy/exchange.h"
#include "rondo/http2/types.h"

namespace rondo::proxy {

// Whether all that is here is the beginning of the preface, or the preface and more.
bool Exchange::MayBePreface() const {
  const size_t size = std::min(input_.size(), http2::kPrefaceBytes);
  return size > 0 && std::memcmp(input_.data(), http2::kPreface, size) == 0;
}

// Waits until it is known; true: the preface is here. What is missing of it is received alone,
// behind the rest of it, so that it stays in one buffer.
rt::Task<bool> Exchange::ReadPreface() {
  const Instant latest = WatchHead();
  while (input_.size() < http2::kPrefaceBytes) {
    // A cancelled wait does not begin, so nothing would end a receive that was begun before it.
    if (client_.token.cancelled()) co_return false;
    client_.receiver.ArmInto(input_.Behind(), http2::kPrefaceBytes - input_.size());
    client_.deadline.Set(RequestDue(worker_.loop().Now(), latest));
    const int32_t received = co_await client_.receiver.Wait(client_.token);
    // What ends this wait ends that for the head too, which says why.
    TookTooLong(received, worker_.loop().Now());
    if (received <= 0) co_return false;
    client_.receiver.TakePlain();
    input_.Received(static_cast<size_t>(received));
    if (!MayBePreface()) co_return false;
  }
  co_return true;
}

}  // namespace rondo::proxy
