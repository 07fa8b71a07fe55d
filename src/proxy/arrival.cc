#include "proxy/arrival.h"

#include <cstring>
#include <new>

#include "proxy/admission.h"
#include "proxy/listeners.h"
#include "rondo/http/forwarding.h"

namespace rondo::proxy {
namespace {

// It is always awaited.
void OnUnawaited(rt::Receiver&) {}

}  // namespace

void Arrival::Begin(Worker& worker, int fd, uint32_t slot, Origin origin) {
  void* memory = worker.frames().Allocate(sizeof(Arrival));
  auto* arrival = new (memory) Arrival(worker, fd, slot, std::move(origin));
  worker.Add(*arrival);
  worker.scope().Spawn(Run(*arrival));
}

Arrival::Arrival(Worker& worker, int fd, uint32_t slot, Origin origin)
    : worker_(worker),
      fd_(fd),
      slot_(slot),
      version_(worker.listeners().PinFor(slot)),
      listener_(*version_->snapshot->FindListener(slot)),
      origin_(std::move(origin)),
      token_(worker.engine()),
      deadline_(worker.loop().wheel(), token_),
      receiver_(worker.engine(), &OnUnawaited, this) {
  receiver_.Open(fd);
  deadline_.Set(worker.loop().Now() + version_->snapshot->config.timeouts.handshake);
}

rt::Task<> Arrival::Run(Arrival& arrival) {
  bool welcome = true;
  if (arrival.OwesHeader()) welcome = co_await arrival.ReadHeader();
  if (welcome) welcome = arrival.Admit();
  if (welcome && arrival.listener_.tls != nullptr) welcome = co_await arrival.Secure();
  if (welcome) {
    arrival.LetIn();
  } else {
    arrival.TurnAway();
  }
}

// Only from trusted peers: what others say of themselves is worth nothing. Who comes by a unix
// socket is on this machine, and was let in by the file's permissions.
bool Arrival::OwesHeader() const {
  const config::Listener& settings = listener_.settings;
  return settings.proxy_protocol &&
         (!origin_.has_peer || http::IsIn(origin_.peer, settings.trusted_proxies));
}

rt::Task<bool> Arrival::ReadHeader() {
  int32_t received = co_await receiver_.Wait(token_);
  if (received > 0) origin_.early = receiver_.TakeBuffer();
  // What is behind the header in the same buffer comes after it; the rest of one that arrives in
  // pieces goes to its place at once.
  bool more = true;
  while (received > 0 && more) {
    if (!TakeHeader(origin_.early.size(), &more)) co_return false;
    if (!more) break;
    const size_t held = origin_.early.size();
    receiver_.ArmInto(origin_.early.data() + held, io::BufferPool::kBufferBytes - held);
    received = co_await receiver_.Wait(token_);
    if (received > 0) {
      receiver_.TakePlain();
      origin_.early.set_size(static_cast<uint32_t>(held) + static_cast<uint32_t>(received));
    }
  }
  if (received > 0) co_return true;
  if (token_.reason() == rt::CancelReason::kDeadline) {
    Reject("proxy_header_timeout");
  } else if (origin_.early && !token_.cancelled()) {
    Reject("proxy_header_malformed");
  }  // else it went as it came, like the checks of many balancers
  co_return false;
}

// Whether what came is a header, or may become one (`more`).
bool Arrival::TakeHeader(size_t received, bool* more) {
  io::BufferRef& early = origin_.early;
  const proxyproto::Parsed parsed = proxyproto::ParseHeader({early.data(), received});
  *more = parsed.state == proxyproto::Parse::kNeedMore;
  if (*more) return true;
  if (parsed.state == proxyproto::Parse::kBad) {
    Reject(parsed.reason);
    return false;
  }
  if (parsed.header.source) {
    origin_.has_peer = true;
    origin_.peer = parsed.header.source->ip;
    origin_.port = parsed.header.source->port;
    origin_.facts = MakeFacts(worker_);
    origin_.facts->destination = parsed.header.destination;
  } else if (!parsed.header.local) {
    // Somebody's all the same, who is not to be taken for the proxy.
    origin_.has_peer = false;
    origin_.unknown = true;
  }
  const size_t behind = received - parsed.size;
  if (behind == 0) {
    early.Reset();
  } else {
    std::memmove(early.data(), early.data() + parsed.size, behind);
    early.set_size(static_cast<uint32_t>(behind));
  }
  return true;
}

bool Arrival::Admit() {
  const char* refusal = RefusalOf(worker_, listener_, origin_);
  if (refusal != nullptr) Reject(refusal);
  return refusal == nullptr;
}

metrics::TrafficCell& Arrival::traffic() { return worker_.traffic_table().Known(slot_); }

void Arrival::Reject(const char* reason) { traffic().rejected.Add(reason); }

void Arrival::LetIn() {
  Worker& worker = worker_;
  const int fd = fd_;
  const uint32_t slot = slot_;
  Origin origin = std::move(origin_);
  worker.Removed(*this);
  worker.LetIn(fd, slot, std::move(origin));
}

void Arrival::TurnAway() {
  Worker& worker = worker_;
  const int fd = fd_;
  const uint32_t slot = slot_;
  worker.Removed(*this);
  worker.TurnedAway(fd, slot);
}

}  // namespace rondo::proxy
