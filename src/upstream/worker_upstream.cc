#include "rondo/upstream/worker_upstream.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "rondo/balance/stable_hash.h"

namespace rondo::upstream {

using std::chrono::seconds;

WorkerUpstream::WorkerUpstream(rt::Loop& loop, std::shared_ptr<const UpstreamConfig> config,
                               size_t worker, size_t workers, uint64_t seed)
    : loop_(loop),
      config_(std::move(config)),
      board_(config_->board.get()),
      worker_(worker),
      budget_(config_->settings.retries.budget_percent) {
  if (board_ != nullptr) board_->Join(worker, loop.engine());
  // Shared out over the workers so that the sum is the configured bound; at least one each.
  const size_t idle = static_cast<size_t>(config_->settings.keepalive.idle);
  idle_max_ = idle == 0 ? 0 : std::max<size_t>(1, idle / workers + (worker < idle % workers ? 1 : 0));

  std::vector<balance::Member> primary_members;
  std::vector<balance::Member> backup_members;
  for (const auto& shared : config_->backends) {
    auto backend = std::make_unique<WorkerBackend>();
    backend->upstream = this;
    backend->shared = shared;
    backend->address = io::ToRawAddress(shared->settings.address);
    backend->backup = shared->settings.backup;
    auto& members = backend->backup ? backup_members : primary_members;
    backend->member = members.size();
    backend->max_in_flight = shared->settings.max_connections;
    members.push_back(balance::Member{shared->settings.weight, balance::StableHash(shared->settings.id),
                                      &shared->in_flight, backend->max_in_flight, &shared->latency});
    if (config_->settings.sticky) {
      backend->sticky_hash = balance::StickyHash(config_->settings.name, shared->settings.id);
      sticky_.emplace(backend->sticky_hash, backend.get());
    }
    (backend->backup ? backups_ : primaries_).push_back(backend.get());
    backends_.push_back(std::move(backend));
  }
  const auto kind = config_->settings.balance;
  if (!primary_members.empty()) {
    primary_policy_ = balance::MakePolicy(kind, std::move(primary_members), seed);
  }
  if (!backup_members.empty()) {
    backup_policy_ = balance::MakePolicy(kind, std::move(backup_members), seed);
  }
}

WorkerUpstream::~WorkerUpstream() { RONDO_CHECK(connections_ == 0 && queue_.empty()); }

void WorkerUpstream::MarkTried(PickState& state, const WorkerBackend& backend, bool refused) {
  (backend.backup ? state.backup : state.primary).Add(backend.member);
  if (refused) (backend.backup ? state.backup_refused : state.primary_refused).Add(backend.member);
}

BackendConnection::BackendConnection(WorkerBackend& backend, int fd, io::Engine& engine, Instant now)
    : receiver(engine, nullptr, this),
      sender(engine),
      backend_(backend),
      idle_timer_(nullptr, *this),
      opened_at_(now),
      fd_(fd) {
  receiver.Open(fd);
  sender.Open(fd);
}

BackendConnection& WorkerUpstream::Make(WorkerBackend& backend, int fd) {
  void* memory = loop_.frames().Allocate(sizeof(BackendConnection));
  auto* connection = new (memory) BackendConnection(backend, fd, loop_.engine(), loop_.Now());
  connection->receiver.set_unawaited(&OnUnawaited);
  connection->idle_timer_.set_fire(&OnIdleTimeout);
  ++connections_;
  return *connection;
}

void WorkerUpstream::Free(BackendConnection& connection) {
  connection.~BackendConnection();
  loop_.frames().Free(&connection, sizeof(BackendConnection));
  --connections_;
}

bool WorkerUpstream::Fit(const BackendConnection& connection) const {
  const auto& keepalive = settings().keepalive;
  if (keepalive.max_requests > 0 &&
      connection.requests_ >= static_cast<uint64_t>(keepalive.max_requests)) {
    return false;
  }
  return keepalive.max_age == Duration::zero() ||
         loop_.Now() - connection.opened_at_ < keepalive.max_age;
}

BackendConnection* WorkerUpstream::TakeIdle(WorkerBackend& backend, Duration idle_less_than) {
  while (!backend.idle.empty()) {
    BackendConnection& connection = backend.idle.front();
    if (loop_.Now() - connection.idle_since_ >= idle_less_than) return nullptr;  // the rest is older
    LeavePool(connection);
    if (!Fit(connection)) {
      Close(connection);
      continue;
    }
    ++connection.requests_;
    connection.keepalive_hint_s_ = -1;
    return &connection;
  }
  return nullptr;
}

rt::Task<ConnectResult> WorkerUpstream::Connect(WorkerBackend& backend, rt::CancelToken& token) {
  const int fd = loop_.engine().OpenStream(backend.shared->settings.address);
  if (fd < 0) co_return ConnectResult{nullptr, -fd};
  BackendConnection& connection = Make(backend, fd);
  const int32_t result =
      co_await connection.sender.Connect(&backend.address.any, backend.address.length, token);
  if (result < 0) {
    Close(connection);
    co_return ConnectResult{nullptr, -result};
  }
  connection.requests_ = 1;
  co_return ConnectResult{&connection, 0};
}

void WorkerUpstream::Release(BackendConnection& connection) {
  WorkerBackend& backend = connection.backend_;
  Duration timeout = settings().keepalive.idle_timeout;
  if (connection.keepalive_hint_s_ >= 0) {
    // A second less than the backend promised, so that our request does not meet its closing.
    const Duration promised = seconds(std::max(0, connection.keepalive_hint_s_ - 1));
    timeout = std::min(timeout, promised);
  }
  if (backend.idle_count >= idle_max_ || timeout <= Duration::zero() || !Fit(connection) ||
      connection.receiver.ready()) {
    Close(connection);
    return;
  }
  connection.idle_ = true;
  connection.idle_since_ = loop_.Now();
  backend.idle.PushFront(connection);
  ++backend.idle_count;
  ++idle_connections_;
  connection.receiver.Arm();
  loop_.wheel().Arm(connection.idle_timer_, loop_.Now() + timeout);
}

void WorkerUpstream::LeavePool(BackendConnection& connection) {
  connection.Unlink();
  connection.idle_timer_.Cancel();
  connection.idle_ = false;
  --connection.backend_.idle_count;
  --idle_connections_;
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
}

void WorkerUpstream::OnUnawaited(rt::Receiver& receiver) {
  auto& connection = *static_cast<BackendConnection*>(receiver.owner());
  // While leased, what arrives is held until the exchange asks. While idle, an end, an error or bytes that
  // nobody asked for all mean that it must not be used again.
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
