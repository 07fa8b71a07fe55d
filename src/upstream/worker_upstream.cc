#include "rondo/upstream/worker_upstream.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "rondo/metrics/backend_cell.h"
#include "rondo/tls/client_setup.h"

namespace rondo::upstream {

using std::chrono::seconds;

WorkerUpstream::WorkerUpstream(rt::Loop& loop, std::shared_ptr<const UpstreamConfig> config,
                               size_t worker, size_t workers, uint64_t seed)
    : loop_(loop),
      config_(std::move(config)),
      generation_(config_->shared->generation),
      board_(config_->shared->board),
      worker_(worker),
      workers_(workers),
      seed_(seed),
      budget_(config_->settings.retries.budget_percent) {
  board_.Join(worker, loop.engine());
  Backends nobody_left;
  TakeConfig(nobody_left);
  MakeView();
}

WorkerUpstream::~WorkerUpstream() {
  RONDO_CHECK(users_ == 0 && connections_ == 0 && queue_.empty() && retired_backends_.empty());
}

BackendConnection::BackendConnection(WorkerBackend& backend, int fd, io::Engine& engine,
                                     Instant now)
    : receiver(engine, nullptr, this),
      sender(engine),
      backend_(backend),
      idle_timer_(nullptr, *this),
      opened_at_(now),
      fd_(fd) {
  receiver.Open(fd);
  sender.Open(fd);
}

BackendConnection& WorkerUpstream::Make(WorkerBackend& backend, int fd, Trunk* trunk) {
  void* memory = loop_.frames().Allocate(sizeof(BackendConnection));
  auto* connection = new (memory) BackendConnection(backend, fd, loop_.engine(), loop_.Now());
  connection->receiver.set_unawaited(&OnUnawaited);
  connection->idle_timer_.set_fire(&OnIdleTimeout);
  connection->way_ = way_;
  connection->trunk_ = trunk;
  ++connections_;
  ++backend.uses;
  if (trunk == nullptr) backend.cell().active.Add(1);
  return *connection;
}

void WorkerUpstream::Free(BackendConnection& connection) {
  WorkerBackend& backend = connection.backend_;
  if (connection.trunk_ == nullptr) backend.cell().active.Add(-1);
  connection.~BackendConnection();
  loop_.frames().Free(&connection, sizeof(BackendConnection));
  --connections_;
  if (--backend.uses == 0) FreeIfRetired(backend);
}

bool WorkerUpstream::Fit(uint32_t way, uint64_t requests, Instant opened_at) const {
  if (way != way_) return false;
  const auto& keepalive = settings().keepalive;
  if (keepalive.max_requests > 0 && requests >= uint64_t{keepalive.max_requests}) return false;
  return keepalive.max_age == Duration::zero() || loop_.Now() - opened_at < keepalive.max_age;
}

bool WorkerUpstream::Fit(const BackendConnection& connection) const {
  return Fit(connection.way_, connection.requests_, connection.opened_at_);
}

// Whether anybody may want an idle connection to it: not where it was removed, drained or is held.
bool WorkerUpstream::MayPool(const WorkerBackend& backend) {
  if (backend.retired) return false;
  switch (backend.shared->state.load(std::memory_order_relaxed)) {
    case health::State::kDrained:
    case health::State::kMaintenance:
      return false;
    case health::State::kChecking:
    case health::State::kWarming:
    case health::State::kUp:
    case health::State::kDown:
    case health::State::kEjected:
    case health::State::kDraining:
      break;
  }
  return true;
}

namespace {

bool IsFor(const BackendConnection& connection, const ClientEndpoints* client) {
  if (client == nullptr || connection.client() == nullptr) return client == connection.client();
  return *client == *connection.client();
}

// The warmest of `idle` that was introduced for this client.
BackendConnection* FindIdle(IntrusiveList<BackendConnection>& idle, const ClientEndpoints* client) {
  BackendConnection* found = nullptr;
  idle.ForEach([&](BackendConnection& connection) {
    if (found == nullptr && IsFor(connection, client)) found = &connection;
  });
  return found;
}

}  // namespace

BackendConnection* WorkerUpstream::TakeIdle(WorkerBackend& backend, Duration idle_less_than,
                                            const ClientEndpoints* client) {
  if (http2()) return TakeStream(backend);
  while (!backend.idle.empty()) {
    BackendConnection* found = &backend.idle.front();
    if (introduces_clients()) found = FindIdle(backend.idle, client);
    if (found == nullptr) return nullptr;
    BackendConnection& connection = *found;
    if (loop_.Now() - connection.idle_since_ >= idle_less_than)
      return nullptr;  // the rest is older
    LeavePool(connection);
    if (!Fit(connection)) {
      Close(connection);
      continue;
    }
    ++connection.requests_;
    connection.keepalive_hint_s_ = -1;
    backend.cell().reused.Add();
    return &connection;
  }
  return nullptr;
}

rt::Task<ConnectResult> WorkerUpstream::Connect(WorkerBackend& backend, rt::CancelToken& token,
                                                const ClientEndpoints* client) {
  ConnectResult result{nullptr, ESTALE};
  // Once more where the configuration said otherwise meanwhile.
  while (result.error == ESTALE) {
    if (http2()) {
      result = co_await ConnectStream(backend, token);
      continue;
    }
    result = co_await Dial(backend, token, client, false);
    if (result.connection == nullptr) continue;
    BackendConnection& connection = *result.connection;
    connection.requests_ = 1;
    backend.cell().opened.Add();
    backend.cell().connect.Observe(loop_.Now() - connection.opened_at_);
  }
  co_return result;
}

// A connection that is ready for what is asked over it. ESTALE: what is spoken with backends has
// changed since.
rt::Task<ConnectResult> WorkerUpstream::Dial(WorkerBackend& backend, rt::CancelToken& token,
                                             const ClientEndpoints* client, bool for_http2) {
  const int fd = loop_.engine().OpenStream(backend.shared->address);
  if (fd < 0) co_return ConnectResult{nullptr, -fd};
  BackendConnection& connection = Make(backend, fd);
  const int32_t result =
      co_await connection.sender.Connect(&backend.address.any, backend.address.length, token);
  if (result < 0) {
    Close(connection);
    co_return ConnectResult{nullptr, -result};
  }
  if (for_http2 != http2()) {
    Close(connection);
    co_return ConnectResult{nullptr, ESTALE};
  }
  if (config_->tls != nullptr || introduces_clients()) {
    const ConnectResult introduced = co_await Introduce(connection, client, token);
    if (introduced.connection == nullptr) {
      Close(connection);
      co_return introduced;
    }
  }
  co_return ConnectResult{&connection, 0};
}

void WorkerUpstream::Release(BackendConnection& connection) {
  if (connection.shared()) {
    Close(connection);  // it is over; whether its trunk stays is decided when the engine says so
    return;
  }
  WorkerBackend& backend = connection.backend_;
  Duration timeout = settings().keepalive.idle_timeout;
  if (connection.keepalive_hint_s_ >= 0) {
    // A second less than the backend promised, so that our request does not meet its closing.
    const Duration promised = seconds(std::max(0, connection.keepalive_hint_s_ - 1));
    timeout = std::min(timeout, promised);
  }
  if (backend.idle_count >= idle_max_) MakeRoom(backend);
  if (backend.idle_count >= idle_max_ || timeout <= Duration::zero() || !Fit(connection) ||
      connection.receiver.ready() || !MayPool(backend)) {
    Close(connection);
    return;
  }
  connection.idle_ = true;
  connection.idle_since_ = loop_.Now();
  backend.idle.PushFront(connection);
  ++backend.idle_count;
  ++idle_connections_;
  backend.cell().idle.Add(1);
  backend.cell().active.Add(-1);
  connection.receiver.Arm();
  loop_.wheel().Arm(connection.idle_timer_, loop_.Now() + timeout);
}

// What was introduced for a client is of no use to the others: the one that waits longest goes first,
// since its client may have gone long ago.
void WorkerUpstream::MakeRoom(WorkerBackend& backend) {
  if (introduces_clients() && !backend.idle.empty()) Close(backend.idle.back());
}

void WorkerUpstream::LeavePool(BackendConnection& connection) {
  connection.Unlink();
  connection.idle_timer_.Cancel();
  connection.idle_ = false;
  --connection.backend_.idle_count;
  --idle_connections_;
  connection.backend_.cell().idle.Add(-1);
  connection.backend_.cell().active.Add(1);
}

void WorkerUpstream::Close(BackendConnection& connection, bool reset) {
  if (connection.idle_) LeavePool(connection);
  if (reset) loop_.engine().ResetOnClose(connection.fd_);
  connection.receiver.Stop(&OnStopped);
}

int WorkerUpstream::Detach(BackendConnection& connection) {
  const int fd = connection.fd_;
  Free(connection);
  return fd;
}

void WorkerUpstream::CloseIdle() {
  for (auto& backend : backends_) {
    while (!backend->idle.empty()) Close(backend->idle.front());
  }
  CloseIdleTrunks();
}

void WorkerUpstream::OnUnawaited(rt::Receiver& receiver) {
  auto& connection = *static_cast<BackendConnection*>(receiver.owner());
  // While leased, what arrives is held until the exchange asks. While idle, an end, an error or
  // bytes that nobody asked for all mean that it must not be used again.
  if (connection.idle_) connection.backend_.upstream->Close(connection);
}

void WorkerUpstream::OnStopped(rt::Receiver& receiver) {
  auto& connection = *static_cast<BackendConnection*>(receiver.owner());
  WorkerUpstream& upstream = *connection.backend_.upstream;
  upstream.loop_.engine().Close(connection.fd_);
  upstream.Free(connection);
}

void WorkerUpstream::OnIdleTimeout(io::Timer& timer) {
  auto& connection = static_cast<BackendConnection::IdleTimer&>(timer).connection;
  connection.backend_.upstream->Close(connection);
}

}  // namespace rondo::upstream
