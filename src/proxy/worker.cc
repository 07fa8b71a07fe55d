#include "rondo/proxy/worker.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <new>

#include "proxy/admission.h"
#include "proxy/arrival.h"
#include "proxy/connection.h"
#include "proxy/http2_client.h"
#include "proxy/leaving.h"
#include "proxy/listeners.h"
#include "proxy/tunnel.h"
#include "proxy/turns.h"
#include "proxy/versions.h"
#include "rondo/base/poison.h"

namespace rondo::proxy {

Worker::Worker(io::Engine& engine, std::shared_ptr<const upstream::Snapshot> snapshot,
               std::vector<ListenFd> listen_fds, ProcessCounters& counters, AccessLogSink* log_sink,
               const WorkerOptions& options)
    : loop_(engine),
      counters_(counters),
      options_(options),
      rng_(options.seed),
      versions_(std::make_unique<Versions>(loop_, options_, rng_, std::move(snapshot))),
      listeners_(std::make_unique<Listeners>(*this)),
      access_log_(loop_, this->snapshot().config.logging.access.format, log_sink, options.index),
      turns_(std::make_unique<Turns>(loop_.engine(), kHandshakesPerTick)),
      memory_timer_(&OnMemoryTimer, *this),
      acknowledged_(options.epoch),
      oldest_pinned_(options.epoch) {
  loop_.streams().Seed(options.seed);
  ApplySettings();
  for (const ListenFd& socket : listen_fds) listeners_->Open(socket);
}

Worker::~Worker() {
  RONDO_CHECK(client_count_ == 0 && tunnel_count_ == 0 && scope_.count() == 0);
  // What was published too late.
  const std::unique_ptr<Publication> untaken(published_.exchange(nullptr));
  if (untaken != nullptr) {
    for (const ListenFd& socket : untaken->open) engine().Close(socket.fd);
    for (const ListenFd& socket : untaken->dead) engine().Close(socket.fd);
  }
  for (char* buffer : large_free_) {
    UnpoisonMemory(buffer, kLargeBytes);
    delete[] buffer;
  }
}

void Worker::Start() { listeners_->Start(); }

const upstream::Snapshot& Worker::snapshot() const { return *versions_->current().snapshot; }

void Worker::Tick() {
  loop_.Tick();
  if (finished_) return;  // what is published now stays where it is
  if (published_.load(std::memory_order_relaxed) != nullptr) TakePublication();
  // What was freed in this tick, here or elsewhere, goes to who waits; the ones resumed run in the
  // next tick.
  versions_->ServeQueues();
  versions_->Sweep();
  listeners_->Sweep();
  turns_->NextRound();
  ReportPinned();
  const Phase requested = requested_.load(std::memory_order_acquire);
  if (requested != phase_) {
    if (phase_ == Phase::kServing) EnterDraining();
    if (requested == Phase::kCancelling) EnterCancelling();
    phase_ = requested;
  }
  if (phase_ != Phase::kServing) CheckFinished();
  WatchMemory();
}

// A burst leaves memory behind: look again a while after it, and only then, so that an idle worker
// sleeps.
void Worker::WatchMemory() {
  buffers_peak_ = std::max(buffers_peak_, engine().buffers().buffers_out());
  if (memory_timer_.armed()) return;
  if (buffers_peak_ > kWarmBuffers || frames().kept_bytes() > kWarmBytes ||
      loop_.secure().may_shrink()) {
    loop_.wheel().Arm(memory_timer_, loop_.Now() + kTrimAfter);
  }
}

void Worker::OnMemoryTimer(io::Timer& timer) {
  Worker& self = static_cast<MemoryTimer&>(timer).worker;
  const size_t peak = std::exchange(self.buffers_peak_, self.engine().buffers().buffers_out());
  self.engine().buffers().Trim(std::max(kWarmBuffers, peak));
  self.loop_.secure().ShrinkIdle();
  self.frames().TrimUnused();
  // Once more while something is left to give back; then the worker may sleep.
  if (peak > kWarmBuffers || self.frames().kept_bytes() > kWarmBytes ||
      self.loop_.secure().may_shrink()) {
    self.loop_.wheel().Arm(timer, self.loop_.Now() + kTrimAfter);
  }
}

void Worker::RequestPhase(Phase phase) {
  requested_.store(phase, std::memory_order_release);
  engine().Wake();
}

void Worker::EnterDraining() {
  phase_ = Phase::kDraining;
  listeners_->StopAll();
  clients_.ForEach([](ClientConnection& client) { client.Drain(); });
  http2_clients_.ForEach([](Http2Client& client) { client.Drain(); });
  SpreadCloses(*this, tunnels_, tunnels_until());
}

void Worker::EnterCancelling() {
  arrivals_.ForEach([](Arrival& arrival) { arrival.Cancel(); });
  clients_.ForEach([](ClientConnection& client) { client.Cancel(rt::CancelReason::kShutdown); });
  tunnels_.ForEach([](Tunnel& tunnel) { tunnel.Cut("shutdown"); });
  http2_clients_.ForEach([](Http2Client& client) { client.Cancel(); });
}

void Worker::CheckFinished() {
  if (!listeners_->all_closed() || client_count_ > 0 || tunnel_count_ > 0 || scope_.count() > 0)
    return;
  if (versions_->CloseIdle() > 0) return;
  if (loop_.streams().connections() > 0) return;
  if (loop_.busy()) return;  // closed, but last bytes are on their way
  // Where the log cannot be handed over (nobody reads it), its timer tries again, but not for ever.
  if (log_until_ == kNever) log_until_ = loop_.Now() + kLogPatience;
  finished_ = access_log_.Flush() || phase_ == Phase::kCancelling || loop_.Now() >= log_until_;
  if (!finished_) return;
  // Nobody waits for this one any more, and no snapshot is kept for its sake while others still
  // drain.
  acknowledged_.store(UINT64_MAX, std::memory_order_release);
  versions_->End();
  oldest_pinned_.store(UINT64_MAX, std::memory_order_release);
  if (options_.bell != nullptr) options_.bell->Ring();
}

void Worker::Accepted(int fd, uint32_t slot) {
  const uint32_t limit = snapshot().config.limits.connections;
  const uint32_t before = counters_.connections.fetch_add(1, std::memory_order_relaxed);
  const upstream::ListenerSnapshot* listener = listeners_->Find(slot);
  const bool too_many = limit > 0 && before >= limit;
  if (too_many || listener == nullptr) {
    if (listener != nullptr) {
      traffic_table_.Of(slot, listener->settings.name).rejected.Add("connection_limit");
    }
    counters_.connections.fetch_sub(1, std::memory_order_relaxed);
    engine().Close(fd);
    return;
  }
  traffic_table_.Of(slot, listener->settings.name).connections.Add(1);
  listeners_->CountConnection(slot);
  Origin origin;
  if (const SocketAddress peer = engine().PeerAddress(fd); peer.kind == SocketAddress::Kind::kIp) {
    // Reset before it was accepted. The kernel would still give what it had sent, and nothing that
    // is asked of addresses (allow, deny, limits, who is trusted) could be answered.
    if (peer.port == 0) return TurnedAway(fd, slot);
    origin.has_peer = true;
    origin.peer = peer.ip;
    origin.port = peer.port;
  }
  if (Arrival::IsAskedBy(*listener)) {
    Arrival::Begin(*this, fd, slot, std::move(origin));
  } else if (const char* refusal = RefusalOf(*this, *listener, origin); refusal != nullptr) {
    traffic_table_.Known(slot).rejected.Add(refusal);
    TurnedAway(fd, slot);
  } else {
    LetIn(fd, slot, std::move(origin));
  }
}

ClientConnection& Worker::AddClient(int fd, uint32_t slot, Origin origin) {
  void* memory = frames().Allocate(sizeof(ClientConnection));
  auto* client = new (memory) ClientConnection(*this, fd, slot, std::move(origin));
  clients_.PushBack(*client);
  ++client_count_;
  return *client;
}

void Worker::LetIn(int fd, uint32_t slot, Origin origin) {
  if (origin.facts != nullptr && origin.facts->tls && origin.facts->tls->alpn == "h2") {
    Http2Client::Begin(*this, fd, slot, std::move(origin));
    return;
  }
  io::BufferRef early = std::move(origin.early);
  ClientConnection& client = AddClient(fd, slot, std::move(origin));
  client.Start(std::move(early));
  if (phase_ == Phase::kCancelling) client.Cancel(rt::CancelReason::kShutdown);
}

void Worker::LetInStream(int fd, uint32_t slot, Origin origin) {
  ClientConnection& client = AddClient(fd, slot, std::move(origin));
  client.StartStream();
  if (phase_ == Phase::kCancelling) client.Cancel(rt::CancelReason::kShutdown);
}

// One connection less.
void Worker::Discount(uint32_t slot) {
  listeners_->DiscountConnection(slot);
  traffic_table_.Known(slot).connections.Add(-1);
}

void Worker::TurnedAway(int fd, uint32_t slot) {
  engine().Close(fd);
  counters_.connections.fetch_sub(1, std::memory_order_relaxed);
  Discount(slot);
}

void Worker::Add(Arrival& arrival) {
  arrivals_.PushBack(arrival);
  if (phase_ == Phase::kCancelling) arrival.Cancel();
}

void Worker::Removed(Arrival& arrival) {
  arrival.Unlink();
  arrival.~Arrival();
  frames().Free(&arrival, sizeof(Arrival));
}

void Worker::Closed(ClientConnection& connection) {
  engine().Close(connection.fd());
  if (!connection.on_stream()) counters_.connections.fetch_sub(1, std::memory_order_relaxed);
  HandedOver(connection);
}

void Worker::HandedOver(ClientConnection& connection) {
  if (!connection.on_stream()) Discount(connection.slot());
  Free(connection);
}

void Worker::Free(ClientConnection& connection) {
  connection.Unlink();
  --client_count_;
  connection.~ClientConnection();
  frames().Free(&connection, sizeof(ClientConnection));
}

void Worker::SpeakHttp2(ClientConnection& connection, io::BufferRef preface) {
  const int fd = connection.fd();
  const uint32_t slot = connection.slot();
  Origin origin = connection.TakeOrigin();
  origin.early = std::move(preface);
  Free(connection);
  Http2Client::Begin(*this, fd, slot, std::move(origin));
}

void Worker::Add(Http2Client& client) {
  http2_clients_.PushBack(client);
  if (phase_ == Phase::kCancelling) client.Cancel();
}

void Worker::Ended(Http2Client& client) {
  client.Unlink();
  counters_.connections.fetch_sub(1, std::memory_order_relaxed);
  Discount(client.slot());
  client.~Http2Client();
  frames().Free(&client, sizeof(Http2Client));
}

void Worker::Add(Tunnel& tunnel) {
  tunnels_.PushBack(tunnel);
  ++tunnel_count_;
}

void Worker::Removed(Tunnel& tunnel) {
  tunnel.Unlink();
  --tunnel_count_;
  if (!tunnel.on_stream()) counters_.connections.fetch_sub(1, std::memory_order_relaxed);
}

char* Worker::TakeLarge() {
  ++large_out_;
  if (large_free_.empty()) return new char[kLargeBytes];
  char* buffer = large_free_.back();
  large_free_.pop_back();
  UnpoisonMemory(buffer, kLargeBytes);
  return buffer;
}

void Worker::ReturnLarge(char* buffer) {
  constexpr size_t kKept = 8;
  --large_out_;
  if (large_free_.size() < kKept) {
    PoisonMemory(buffer, kLargeBytes);
    large_free_.push_back(buffer);
  } else {
    delete[] buffer;
  }
}

std::string_view Worker::Date() {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  constexpr size_t kLength = 29;
  const int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(engine().WallNow().time_since_epoch())
          .count();
  if (second != date_second_) {
    const std::time_t time = second;
    std::tm utc{};
    gmtime_r(&time, &utc);
    char text[64];
    std::snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[utc.tm_wday],
                  utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                  utc.tm_sec);
    std::memcpy(date_, text, kLength);
    date_second_ = second;
  }
  return {date_, kLength};
}

}  // namespace rondo::proxy
