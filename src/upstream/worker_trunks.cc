// Connections that requests share (HTTP/2): which one a request's stream is opened on, when further
// ones are made, and when they go.
//
// Who finds no room waits in a list of its backend, for a stream that ends as much as for a
// connection that is being made. Connections are made by flows of their own, which no request's end
// ends: a burst opens as many as it needs, not one for each request.
#include <algorithm>
#include <cerrno>
#include <new>

#include "rondo/metrics/backend_cell.h"
#include "rondo/upstream/worker_upstream.h"
#include "upstream/trunk.h"

namespace rondo::upstream {

using rt::CancelReason;

struct WorkerUpstream::TrunkAttempt : ListHook<> {
  TrunkAttempt(rt::Loop& loop, WorkerBackend& of)
      : backend(of), token(loop.engine()), deadline(loop.wheel(), token) {}
  WorkerBackend& backend;
  rt::CancelToken token;
  rt::Deadline deadline;
};

Trunk::Trunk(WorkerBackend& of, io::Engine& engine, Instant now)
    : backend(of), idle_timer(nullptr, *this), changed(engine), opened_at(now) {}

// A backend begins no streams.
void Trunk::OnStream(io::Http2Connection&, int) { RONDO_CHECK(false); }

void Trunk::OnChange(io::Http2Connection&) {
  changed.NotifyAll();
  backend.upstream->TrunkChanged(*this);
}

void Trunk::OnEnded(io::Http2Connection&, const char*) { backend.upstream->FreeTrunk(*this); }

bool BackendConnection::TrunkEnds() const { return trunk_->connection->ending(); }
const char* BackendConnection::TrunkFailure() const { return trunk_->connection->failure(); }

// -- streams --

BackendConnection* WorkerUpstream::TakeStream(WorkerBackend& backend) {
  // Not past those who wait: they are served as soon as there is room.
  return backend.stream_waits.empty() ? FindStream(backend) : nullptr;
}

// A stream of the oldest trunk that has room. Those that are used up are found out here.
BackendConnection* WorkerUpstream::FindStream(WorkerBackend& backend) {
  BackendConnection* found = nullptr;
  backend.trunks.ForEach([&](Trunk& trunk) {
    if (found != nullptr || trunk.closing()) return;
    if (Fit(trunk.way, trunk.requests, trunk.opened_at)) {
      found = OpenStream(trunk);
    } else {
      DrainTrunk(trunk);
    }
  });
  return found;
}

// Null: it has no room.
BackendConnection* WorkerUpstream::OpenStream(Trunk& trunk) {
  if (trunk.connection->room() == 0 || Stalled(trunk)) return nullptr;
  // What the backend said over one connection it will say over the next.
  if (!trunk.settled && trunk.connection->streams() >= trunk.backend.streams_assumed) {
    return nullptr;
  }
  const int fd = trunk.connection->OpenStream();
  if (fd < 0) return nullptr;
  if (trunk.idle) LeaveIdle(trunk);
  BackendConnection& connection = Make(trunk.backend, fd, &trunk);
  connection.requests_ = static_cast<uint32_t>(std::min<uint64_t>(++trunk.requests, UINT32_MAX));
  if (trunk.requests > 1) trunk.backend.cell().reused.Add();
  return &connection;
}

auto WorkerUpstream::WaitForStream(StreamWait& wait, rt::CancelToken& token) {
  struct Awaiter {
    Awaiter(WorkerUpstream& of, StreamWait& queued, rt::CancelToken& by)
        : upstream(of), waiting(queued), token_by(by) {}
    Awaiter(const Awaiter&) = delete;
    bool await_ready() noexcept {
      waiting.result = -ECANCELED;
      return token_by.cancelled();
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
      waiting.waiter_ = waiter;
      token_by.Link(waiting);
      upstream.EnqueueStream(waiting);
    }
    int32_t await_resume() noexcept { return waiting.result; }
    WorkerUpstream& upstream;
    StreamWait& waiting;
    rt::CancelToken& token_by;
  };
  return Awaiter(*this, wait, token);
}

rt::Task<ConnectResult> WorkerUpstream::ConnectStream(WorkerBackend& backend,
                                                      rt::CancelToken& token) {
  StreamWait wait(backend);
  const int32_t result = co_await WaitForStream(wait, token);
  if (result == 0) co_return ConnectResult{wait.connection, 0};
  co_return ConnectResult{nullptr, -result, wait.tls_failure};
}

void WorkerUpstream::EnqueueStream(StreamWait& wait) {
  wait.backend_.stream_waits.PushBack(wait);
  ++wait.backend_.stream_wait_count;
  ServeStreams(wait.backend_);
}

void StreamWait::Leave() {
  if (!ListHook<StreamWait>::linked()) return;
  ListHook<StreamWait>::Unlink();
  --backend_.stream_wait_count;
}

void StreamWait::OnDeliver(io::Op& op) {
  auto& self = static_cast<StreamWait&>(op);
  self.LeaveToken();
  self.Leave();
  std::exchange(self.waiter_, {}).resume();
}

// Gives streams to those who wait, and sees to it that connections are made for the rest.
void WorkerUpstream::ServeStreams(WorkerBackend& backend) {
  while (!backend.stream_waits.empty()) {
    StreamWait& wait = backend.stream_waits.front();
    const bool cancelled = wait.in_flight();  // its end was posted already
    if (!cancelled) wait.connection = FindStream(backend);
    if (!cancelled && wait.connection == nullptr) break;
    wait.Leave();
    if (!cancelled) loop_.engine().Post(wait, 0);
  }
  // What cannot even begin has ended when Spawn returns, and those who waited with it.
  const size_t each = backend.streams_assumed;
  const size_t wanted = (backend.stream_wait_count + each - 1) / each;
  for (size_t coming = backend.trunks_coming; coming < wanted; ++coming) {
    trunk_scope_.Spawn(MakeTrunk(backend));
  }
}

void WorkerUpstream::FailStreams(WorkerBackend& backend, int error, const char* tls_failure) {
  backend.stream_waits.ForEach([&](StreamWait& wait) {
    if (wait.in_flight()) return;
    wait.tls_failure = tls_failure;
    wait.Leave();
    loop_.engine().Post(wait, -error);
  });
}

void WorkerUpstream::TimedOut(BackendConnection& connection) {
  Trunk* trunk = connection.trunk_;
  if (trunk == nullptr || trunk->closing()) return;
  // A client's own short deadline says nothing of a connection that was only idle before.
  const bool silent = trunk->connection->heard_at() <= connection.opened_at_ &&
                      loop_.Now() - connection.opened_at_ >= Trunk::kSilenceMin;
  if (silent || Stalled(*trunk)) DrainTrunk(*trunk);
}

// What is sent to its backend does not get away.
bool WorkerUpstream::Stalled(const Trunk& trunk) const {
  const Instant since = trunk.connection->stalled_since();
  return since != kNever && loop_.Now() - since >= Trunk::kSilenceMin;
}

// Whether a stream may come free without another connection.
bool WorkerUpstream::HasTrunk(WorkerBackend& backend) const {
  bool found = false;
  backend.trunks.ForEach([&](const Trunk& trunk) {
    if (!trunk.closing() && !Stalled(trunk)) found = true;
  });
  return found;
}

rt::Task<int> WorkerUpstream::TakesTunnels(BackendConnection& connection, rt::CancelToken& token) {
  Trunk& trunk = *connection.trunk_;  // stays as long as its stream
  while (!trunk.connection->settings_received()) {
    if (trunk.connection->ending()) {
      // Who ends before it has said what it takes does more than decline a request.
      co_return trunk.settled || trunk.draining ? -ECONNREFUSED : -ECONNRESET;
    }
    const int32_t told = co_await trunk.changed.Wait(token);
    if (told < 0) co_return told;
  }
  co_return trunk.connection->takes_tunnels() ? 1 : 0;
}

// -- connections --

// One attempt, for whoever waits when it ends.
rt::Task<> WorkerUpstream::MakeTrunk(WorkerBackend& backend) {
  const BackendRef hold(backend);
  TrunkAttempt attempt(loop_, backend);
  trunk_attempts_.PushBack(attempt);
  ++connections_;
  ++backend.trunks_coming;
  attempt.deadline.Set(loop_.Now() + settings().timeouts.connect);
  const ConnectResult dialled = co_await Dial(backend, attempt.token, nullptr, true);
  --backend.trunks_coming;
  --connections_;
  attempt.Unlink();
  if (dialled.connection != nullptr) {
    TrunkMade(*dialled.connection);
  } else if (attempt.token.reason() == CancelReason::kShutdown) {
    FailStreams(backend, ESTALE, nullptr);
  } else if (backend.trunks_coming == 0 && !HasTrunk(backend)) {
    // As long as another attempt may succeed, or a stream end, nobody needs to know of this one.
    const bool late = attempt.token.reason() == CancelReason::kDeadline;
    FailStreams(backend, late ? ETIMEDOUT : dialled.error, dialled.tls_failure);
  }
}

// `dialled` goes on as a trunk.
void WorkerUpstream::TrunkMade(BackendConnection& dialled) {
  WorkerBackend& backend = dialled.backend_;
  const uint32_t way = dialled.way_;
  const Instant dialled_at = dialled.opened_at_;
  // Counted before the other is no longer.
  ++backend.uses;
  ++connections_;
  backend.cell().active.Add(1);
  const int fd = Detach(dialled);
  // Its age counts from now: what takes longer to connect to than max_age is to serve all the same.
  auto* trunk =
      new (loop_.frames().Allocate(sizeof(Trunk))) Trunk(backend, loop_.engine(), loop_.Now());
  trunk->way = way;
  trunk->idle_timer.set_fire(&OnTrunkTimer);
  backend.trunks.PushBack(*trunk);
  backend.cell().opened.Add();
  backend.cell().connect.Observe(loop_.Now() - dialled_at);
  http2::SessionOptions options;
  options.role = http2::Role::kClient;
  options.streams_max = Trunk::kStreamsMax;
  options.stream_window = Trunk::kStreamWindow;
  options.connection_window = Trunk::kStreamsMax * Trunk::kStreamWindow;
  options.header_bytes = static_cast<uint32_t>(head_limits_.header_bytes);
  options.header_count = static_cast<uint32_t>(head_limits_.header_count);
  trunk->connection = &loop_.streams().Start(fd, options, {}, *trunk);
  // One that was begun by a configuration that is no longer in force is used up, and who waits
  // looks again at what there is.
  if (way != way_) FailStreams(backend, ESTALE, nullptr);
  ServeStreams(backend);
  TrunkChanged(*trunk);
}

// Streams, settings or the end of it may have come or gone.
void WorkerUpstream::TrunkChanged(Trunk& trunk) {
  WorkerBackend& backend = trunk.backend;
  // Settings that come together with the end of it say nothing: there is no room any more.
  if (!trunk.settled && !trunk.closing() && trunk.connection->settings_received()) {
    trunk.settled = true;
    backend.streams_assumed =
        std::max<size_t>(1, trunk.connection->streams() + trunk.connection->room());
  }
  if (!backend.stream_waits.empty()) ServeStreams(backend);
  if (trunk.connection->streams() > 0 || (trunk.idle && !trunk.closing())) return;
  if (trunk.draining) return;  // the engine ends it
  size_t idle = 0;
  backend.trunks.ForEach([&idle](const Trunk& each) { idle += each.idle ? 1 : 0; });
  const Duration timeout = settings().keepalive.idle_timeout;
  if (idle >= idle_max_ || timeout <= Duration::zero() || trunk.connection->ending() ||
      !Fit(trunk.way, trunk.requests, trunk.opened_at) || !MayPool(backend)) {
    DrainTrunk(trunk);
    return;
  }
  trunk.idle = true;
  ++idle_connections_;
  backend.cell().idle.Add(1);
  backend.cell().active.Add(-1);
  loop_.wheel().Arm(trunk.idle_timer, loop_.Now() + timeout);
}

void WorkerUpstream::LeaveIdle(Trunk& trunk) {
  trunk.idle_timer.Cancel();
  trunk.idle = false;
  --idle_connections_;
  trunk.backend.cell().idle.Add(-1);
  trunk.backend.cell().active.Add(1);
}

// Its streams end as they would; no other begins.
void WorkerUpstream::DrainTrunk(Trunk& trunk) {
  if (trunk.draining) return;
  trunk.draining = true;
  if (trunk.idle) LeaveIdle(trunk);
  trunk.connection->Drain();
}

void WorkerUpstream::DrainTrunks(WorkerBackend& backend) {
  backend.trunks.ForEach([this](Trunk& trunk) { DrainTrunk(trunk); });
}

void WorkerUpstream::CloseIdleTrunks() {
  trunk_attempts_.ForEach([](TrunkAttempt& attempt) {
    if (attempt.backend.stream_waits.empty()) attempt.token.Cancel(CancelReason::kShutdown);
  });
  for (auto& backend : backends_) {
    backend->trunks.ForEach([this](Trunk& trunk) {
      if (trunk.connection->streams() == 0) DrainTrunk(trunk);
    });
  }
}

void WorkerUpstream::OnTrunkTimer(io::Timer& timer) {
  Trunk& trunk = static_cast<Trunk::IdleTimer&>(timer).trunk;
  trunk.backend.upstream->DrainTrunk(trunk);
}

void WorkerUpstream::FreeTrunk(Trunk& trunk) {
  WorkerBackend& backend = trunk.backend;
  if (trunk.idle) LeaveIdle(trunk);
  trunk.Unlink();
  trunk.~Trunk();
  loop_.frames().Free(&trunk, sizeof(Trunk));
  --connections_;
  backend.cell().active.Add(-1);
  if (!backend.stream_waits.empty()) ServeStreams(backend);
  if (--backend.uses == 0) FreeIfRetired(backend);
}

}  // namespace rondo::upstream
