// The TLS handshake of a client that arrives.
#include <cerrno>
#include <cstring>
#include <string>

#include "proxy/arrival.h"
#include "proxy/block.h"
#include "proxy/turns.h"
#include "rondo/base/log.h"
#include "rondo/tls/server_setup.h"

namespace rondo::proxy {
namespace {

// A word for the metrics.
const char *ReasonOf(const rt::Secured &secured,
                     const tls::Handshake &handshake,
                     const rt::CancelToken &token) {
  switch (secured.error) {
  case EPROTO:
    return handshake.reason();
  case ECANCELED:
    return token.reason() == rt::CancelReason::kDeadline ? "handshake_timeout"
                                                         : "shutdown";
  case ECONNRESET:
  case EPIPE:
    return "client_gone";
  default:
    return "system_error";
  }
}

} // namespace

// The TLS handshake: then fd_ is the secured descriptor.
rt::Task<bool> Arrival::Secure() {
  const uint32_t limit = version_->snapshot->config.limits.handshakes;
  std::atomic<uint32_t> &under_way = worker_.counters().handshakes;
  if (under_way.fetch_add(1, std::memory_order_relaxed) >= limit && limit > 0) {
    under_way.fetch_sub(1, std::memory_order_relaxed);
    Reject("handshake_limit");
    co_return false;
  }
  traffic().handshakes_under_way.Add(1);
  const std::unique_ptr<tls::Handshake> handshake =
      tls::MakeServerHandshake(listener_.tls->ForWorker(worker_.index()));
  rt::Secured secured = co_await ShakeHands(*handshake);
  under_way.fetch_sub(1, std::memory_order_relaxed);
  traffic().handshakes_under_way.Add(-1);
  if (secured.fd < 0) {
    CountFailure(secured, *handshake);
    if (secured.error == EPROTO)
      co_await Linger();
    co_return false;
  }
  (secured.result.resumed ? traffic().resumed_handshakes : traffic().handshakes)
      .Add();
  fd_ = secured.fd;
  if (origin_.facts == nullptr)
    origin_.facts = MakeFacts(worker_);
  origin_.facts->tls = std::move(secured.result);
  co_return true;
}

// Begins only when the client has said something, and when it is this
// connection's turn.
rt::Task<rt::Secured> Arrival::ShakeHands(tls::Handshake &handshake) {
  rt::Secured nothing;
  io::BufferRef &early = origin_.early;
  if (!early) {
    const int32_t received = co_await receiver_.Wait(token_);
    if (received <= 0) {
      nothing.error = received == 0 ? ECONNRESET : -received;
      co_return nothing;
    }
    early = receiver_.TakeBuffer();
  }
  // A flood of them is not to hold a whole buffer each.
  Block hello(frames(), early.size());
  std::memcpy(hello.data(), early.data(), early.size());
  hello.set_size(early.size());
  early.Reset();
  const int32_t turn = co_await worker_.turns().Take(token_);
  if (turn < 0) {
    nothing.error = ECANCELED;
    co_return nothing;
  }
  rt::Secured secured = co_await rt::Secure(worker_.loop(), fd_, handshake,
                                            hello.view(), true, token_);
  co_return secured;
}

void Arrival::CountFailure(const rt::Secured &secured,
                           const tls::Handshake &handshake) {
  const char *reason = ReasonOf(secured, handshake, token_);
  traffic().handshake_failures.Add(reason);
  if (!LogEnabled(LogLevel::kDebug))
    return;
  std::string line = "TLS handshake on listener " + listener_.settings.name;
  if (origin_.has_peer)
    line += " with " + origin_.peer.ToString();
  line += std::string(" failed: ") + reason;
  if (secured.error == EPROTO && !handshake.detail().empty())
    line += ": " + handshake.detail();
  LogDebug(line);
}

// What a client sends before it has read the alert would throw the alert away:
// read that first.
rt::Task<> Arrival::Linger() {
  if (token_.cancelled() ||
      worker_.engine().Shutdown(fd_, io::ShutdownHow::kWrite) < 0)
    co_return;
  deadline_.Set(worker_.loop().Now() + kLingerMax);
  size_t bytes = 0;
  while (bytes < kLingerBytesMax) {
    const int32_t received = co_await receiver_.Wait(token_);
    if (received <= 0)
      co_return;
    receiver_.TakeBuffer().Reset();
    bytes += static_cast<size_t>(received);
  }
}

} // namespace rondo::proxy
