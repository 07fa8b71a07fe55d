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

// A word for the metrics. Without a handshake it did not come to one.
const char* ReasonOf(int error, const tls::Handshake* handshake, const rt::CancelToken& token) {
  switch (error) {
    case EPROTO:
      return handshake != nullptr ? handshake->reason() : "system_error";
    case ECANCELED:
      return token.reason() == rt::CancelReason::kDeadline ? "handshake_timeout" : "shutdown";
    case ECONNRESET:
    case EPIPE:
      return "client_gone";
    default:
      return "system_error";
  }
}

}  // namespace

// The TLS handshake: then fd_ is the secured descriptor. It counts, and has an object of its own,
// from the first bytes to its end: clients that say nothing take no place from those that do.
rt::Task<bool> Arrival::Secure() {
  Block hello;
  const int32_t heard = co_await Hear(hello);
  if (heard <= 0) {
    CountFailure(heard == 0 ? ECONNRESET : -heard, nullptr);
    co_return false;
  }
  const uint32_t limit = version_->snapshot->config.limits.handshakes;
  std::atomic<uint32_t>& under_way = worker_.counters().handshakes;
  if (under_way.fetch_add(1, std::memory_order_relaxed) >= limit && limit > 0) {
    under_way.fetch_sub(1, std::memory_order_relaxed);
    Reject("handshake_limit");
    co_return false;
  }
  traffic().handshakes_under_way.Add(1);
  rt::Secured secured = co_await ShakeHands(hello.view());
  under_way.fetch_sub(1, std::memory_order_relaxed);
  traffic().handshakes_under_way.Add(-1);
  hello.Reset();
  if (secured.fd < 0) {
    if (secured.error == EPROTO) co_await Linger();
    co_return false;
  }
  (secured.result.resumed ? traffic().resumed_handshakes : traffic().handshakes).Add();
  fd_ = secured.fd;
  if (origin_.facts == nullptr) origin_.facts = MakeFacts(worker_);
  origin_.facts->tls = std::move(secured.result);
  co_return true;
}

// The first bytes, which may be here already. 0 or less: there are none, as Receiver::Wait.
rt::Task<int32_t> Arrival::Hear(Block& hello) {
  io::BufferRef& early = origin_.early;
  if (!early) {
    const int32_t received = co_await receiver_.Wait(token_);
    if (received <= 0) co_return received;
    early = receiver_.TakeBuffer();
  }
  // A flood of them is not to hold a whole buffer each.
  hello = Block(frames(), early.size());
  std::memcpy(hello.data(), early.data(), early.size());
  hello.set_size(early.size());
  early.Reset();
  co_return static_cast<int32_t>(hello.size());
}

// When it is this connection's turn.
rt::Task<rt::Secured> Arrival::ShakeHands(std::string_view hello) {
  rt::Secured secured;
  const int32_t turn = co_await worker_.turns().Take(token_);
  if (turn < 0) {
    secured.error = ECANCELED;
    CountFailure(secured.error, nullptr);
    co_return secured;
  }
  const std::unique_ptr<tls::Handshake> handshake =
      tls::MakeServerHandshake(listener_.tls->ForWorker(worker_.index()));
  secured = co_await rt::Secure(worker_.loop(), fd_, *handshake, hello, true, token_);
  if (secured.fd < 0) CountFailure(secured.error, handshake.get());
  co_return secured;
}

void Arrival::CountFailure(int error, const tls::Handshake* handshake) {
  const char* reason = ReasonOf(error, handshake, token_);
  traffic().handshake_failures.Add(reason);
  if (!LogEnabled(LogLevel::kDebug)) return;
  std::string line = "TLS handshake on listener " + listener_.settings.name;
  if (origin_.has_peer) line += " with " + origin_.peer.ToString();
  line += std::string(" failed: ") + reason;
  if (error == EPROTO && handshake != nullptr && !handshake->detail().empty())
    line += ": " + handshake->detail();
  LogDebug(line);
}

// What a client sends before it has read the alert would throw the alert away:
// read that first.
rt::Task<> Arrival::Linger() {
  if (token_.cancelled() || worker_.engine().Shutdown(fd_, io::ShutdownHow::kWrite) < 0) co_return;
  deadline_.Set(worker_.loop().Now() + kLingerMax);
  size_t bytes = 0;
  while (bytes < kLingerBytesMax) {
    const int32_t received = co_await receiver_.Wait(token_);
    if (received <= 0) co_return;
    receiver_.TakeBuffer().Reset();
    bytes += static_cast<size_t>(received);
  }
}

}  // namespace rondo::proxy
