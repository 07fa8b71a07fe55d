#include "sim_engine.h"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "draw.h"
#include "rondo/io/socket_address.h"
#include "sim_world.h"

namespace rondo::sim {
namespace {

constexpr auto kWallStart = std::chrono::seconds(1'767'225'600);  // 2026-01-01

Side SideOf(io::Op::Kind kind) {
  switch (kind) {
    case io::Op::Kind::kAccept:
    case io::Op::Kind::kReceive:
    case io::Op::Kind::kReceiveProvided:
    case io::Op::Kind::kWaitReadable:
      return Side::kRead;
    case io::Op::Kind::kConnect:
    case io::Op::Kind::kSend:
    case io::Op::Kind::kSendVector:
    case io::Op::Kind::kWaitWritable:
      return Side::kWrite;
    case io::Op::Kind::kNone:
      break;
  }
  RONDO_CHECK(kind != io::Op::Kind::kNone);
  return Side::kRead;
}

Duration DrawTime(Rng& rng, int64_t microseconds_max) {
  return std::chrono::nanoseconds(rng.Between(0, microseconds_max * 1000));
}

}  // namespace

SimEngine::SimEngine(SimWorld& world, std::string name, const SimEngineOptions& options)
    : Engine(options.buffers_max),
      world_(world),
      name_(std::move(name)),
      process_(world.Process(options.process.empty() ? name_ : options.process,
                             options.descriptors_max)),
      faults_(std::make_shared<FaultPlan>(options.faults)),
      drives_world_(options.drives_world) {
  source_.ip = options.source_v4;
  now_ = world.now();
  world.engines_.push_back(this);
}

SimEngine::~SimEngine() {
  *alive_ = false;
  ListLeaks(world_.leaks_);
  for (auto& [id, flight] : flights_) Detach(id, flight.op->fd);
  std::erase(world_.engines_, this);
  for (auto& actor : world_.actors_) {
    if (actor.engine == this) actor.engine = nullptr;
  }
}

void SimEngine::Submit(io::Op& op) {
  RONDO_CHECK(!op.in_flight());
  const Side side = SideOf(op.kind);
  const bool moves_bytes = op.kind == io::Op::Kind::kReceive || op.kind == io::Op::Kind::kSend ||
                           op.kind == io::Op::Kind::kSendVector;
  RONDO_CHECK(!moves_bytes || op.size > 0);  // a kernel would answer 0: like an end of stream
  op.buffer.Reset();
  op.state = io::Op::State::kInFlight;
  op.more = false;
  const uint64_t id = op.engine_data = ++last_id_;
  Flight& flight = flights_[id];
  flight.op = &op;
  flight.submitted_at = world_.now();
  Descriptor* descriptor = process_->Find(op.fd);
  if (descriptor == nullptr) return Decide(id, flight, -EBADF);
  for (const Slot& slot : descriptor->slots) {
    // Several engines may accept from one shared listener; else one op a side.
    RONDO_CHECK(slot.side != side || (descriptor->listener && slot.engine != this));
  }
  descriptor->slots.push_back(Slot{this, id, side});
  if (op.kind == io::Op::Kind::kConnect) BeginConnect(op, *descriptor);
  TrySoon(id);
}

void SimEngine::BeginConnect(io::Op& op, Descriptor& descriptor) {
  if (!descriptor.stream) return;
  const SimStream::State state = descriptor.stream->state();
  if (state == SimStream::State::kConnecting || state == SimStream::State::kConnected) return;
  const SocketAddress to =
      io::FromRawAddress(static_cast<const sockaddr*>(op.address), static_cast<socklen_t>(op.size));
  SocketAddress from = source_;
  if (to.kind == SocketAddress::Kind::kUnix) {
    from = SocketAddress{};
    from.kind = SocketAddress::Kind::kUnix;
  } else {
    if (!to.ip.is_v4()) from.ip = *IpAddress::Parse("::1");
    from.port = next_port_;
    next_port_ = next_port_ == 65535 ? 32768 : static_cast<uint16_t>(next_port_ + 1);
  }
  world_.network().Connect(descriptor.stream, to, from);
}

void SimEngine::Cancel(io::Op& op) {
  if (op.state != io::Op::State::kInFlight) return;
  op.state = io::Op::State::kCancelling;
  const uint64_t id = op.engine_data;
  Rng& rng = world_.rng();
  const Duration delay = rng.Chance(faults_->late_cancel)
                             ? std::chrono::microseconds(DrawSkewed(rng, 10, 5000))
                             : DrawTime(rng, 10);
  world_.events().After(delay, [this, alive = alive_, id] {
    if (!*alive) return;
    // The kernel may find the result at the very moment of the cancel.
    if (world_.rng().Chance(0.5)) Try(id);
    Flight* flight = FindFlight(id);
    if (flight != nullptr && !flight->decided) Decide(id, *flight, -ECANCELED);
  });
}

void SimEngine::Run(Instant deadline) {
  if (drives_world_) WaitForWork(deadline);
  deadline_ = deadline;
  now_ = world_.now();
  woken_.store(false);
  FeedStarved();
  size_t budget = kDeliveriesMax;
  Rng& rng = world_.rng();
  if (ready_.size() > 1 && rng.Chance(faults_->short_tick)) budget = DrawPart(rng, ready_.size());
  while (!ready_.empty() && budget-- > 0) DeliverOne();
}

void SimEngine::Post(io::Op& op, int32_t result) {
  RONDO_CHECK(!op.in_flight());
  op.state = io::Op::State::kReady;
  op.more = false;
  const uint64_t id = op.engine_data = ++last_id_;
  Flight& flight = flights_[id];
  flight.op = &op;
  flight.decided = flight.collected = true;
  flight.submitted_at = world_.now();
  ready_.push_back(Ready{id, result, false});
}

int SimEngine::OpenStream(const SocketAddress& address) {
  if (world_.rng().Chance(faults_->open_fails)) return -EMFILE;
  Descriptor descriptor;
  descriptor.stream = std::make_shared<SimStream>(world_.events(), world_.rng(), faults_);
  descriptor.opened_by = "OpenStream by " + name_ + " for " + address.ToString();
  descriptor.opened_at = world_.now();
  return process_->Add(std::move(descriptor));
}

int SimEngine::Listen(const SocketAddress& address, io::ListenMode mode, size_t backlog) {
  if (process_->open_count() >= process_->descriptors_max()) return -EMFILE;
  Descriptor descriptor;
  descriptor.listener = world_.network().Listen(address, mode != io::ListenMode::kAlone, backlog);
  if (!descriptor.listener) return -EADDRINUSE;
  descriptor.opened_by = "Listen by " + name_ + " on " + address.ToString();
  descriptor.opened_at = world_.now();
  return process_->Add(std::move(descriptor));
}

int SimEngine::Shutdown(int fd, io::ShutdownHow how) {
  Descriptor* descriptor = process_->Find(fd);
  if (descriptor == nullptr) return -EBADF;
  if (descriptor->stream) return descriptor->stream->Shutdown(how);
  if (how == io::ShutdownHow::kBoth) {
    world_.network().CloseListener(*descriptor->listener);
    process_->OnReady(fd, Side::kRead);
  }
  return 0;
}

void SimEngine::Close(int fd) {
  Descriptor* descriptor = process_->Find(fd);
  RONDO_CHECK(descriptor != nullptr);      // closed twice, or never opened
  RONDO_CHECK(descriptor->slots.empty());  // an op of it is in flight
  if (descriptor->stream) descriptor->stream->Close();
  if (descriptor->listener) world_.network().CloseListener(*descriptor->listener);
  process_->Remove(fd);
}

void SimEngine::ResetOnClose(int fd) {
  Descriptor* descriptor = process_->Find(fd);
  if (descriptor != nullptr && descriptor->stream) descriptor->stream->ResetOnClose();
}

SocketAddress SimEngine::PeerAddress(int fd) {
  Descriptor* descriptor = process_->Find(fd);
  if (descriptor == nullptr || !descriptor->stream) return {};
  return descriptor->stream->remote();
}

SocketAddress SimEngine::LocalAddress(int fd) {
  Descriptor* descriptor = process_->Find(fd);
  if (descriptor == nullptr) return {};
  return descriptor->stream ? descriptor->stream->local() : descriptor->listener->address;
}

WallTime SimEngine::WallNow() const {
  return WallTime(kWallStart + world_.now().time_since_epoch());
}

void SimEngine::Forget(io::Op& op) {
  if (!op.in_flight()) return;
  const uint64_t id = op.engine_data;
  std::erase_if(ready_, [id](const Ready& ready) { return ready.flight == id; });
  std::erase(starved_, id);
  Detach(id, op.fd);
  flights_.erase(id);
  op.state = io::Op::State::kIdle;
}

bool SimEngine::HasWork() const {
  if (woken_.load() || !ready_.empty()) return true;
  return !starved_.empty() && buffers_.buffers_out() < buffers_.buffers_max();
}

void SimEngine::DeliverOne() {
  const Ready ready = ready_.front();
  ready_.pop_front();
  Flight& flight = *FindFlight(ready.flight);
  io::Op& op = *flight.op;
  op.result = ready.result;
  op.more = ready.more;
  ++completions_;
  world_.Note(ready.flight, static_cast<uint64_t>(static_cast<uint32_t>(op.fd)) << 32 |
                                static_cast<uint32_t>(ready.result));
  if (!ready.more) {
    op.buffer = std::move(flight.buffer);
    op.state = io::Op::State::kIdle;
    Detach(ready.flight, op.fd);
    flights_.erase(ready.flight);
  }
  op.deliver(op);  // the op may be gone after this
}

void SimEngine::Decide(uint64_t id, Flight& flight, int32_t result, bool more) {
  flight.decided = !more;
  if (flight.starved) std::erase(starved_, id);
  flight.starved = false;
  Rng& rng = world_.rng();
  const Duration delay = rng.Chance(faults_->slow_completion)
                             ? std::chrono::microseconds(DrawSkewed(rng, 100, 20'000))
                             : DrawTime(rng, 30);
  flight.last_result = std::max(flight.last_result, world_.now() + delay);
  world_.events().At(flight.last_result, [this, alive = alive_, id, result, more] {
    if (!*alive) return;
    Flight* decided = FindFlight(id);
    if (decided == nullptr) return;
    ready_.push_back(Ready{id, result, more});
    if (more) return;
    decided->collected = true;
    decided->op->state = io::Op::State::kReady;
  });
}

SimEngine::Flight* SimEngine::FindFlight(uint64_t id) {
  const auto found = flights_.find(id);
  return found == flights_.end() ? nullptr : &found->second;
}

void SimEngine::Detach(uint64_t id, int fd) {
  Descriptor* descriptor = process_->Find(fd);
  if (descriptor == nullptr) return;
  std::erase_if(descriptor->slots,
                [&](const Slot& slot) { return slot.engine == this && slot.flight == id; });
}

void SimEngine::WaitForWork(Instant deadline) {
  // Also a look takes a moment, in which things happen.
  world_.RunFor(DrawTime(world_.rng(), 10));
  while (!HasWork() && world_.now() < deadline) {
    if (world_.Step(deadline) != SimWorld::StepResult::kNothing) continue;
    if (deadline != kNever) return world_.events().AdvanceTo(deadline);
    // Only another real thread can end this wait.
    for (int i = 0; !woken_.load(); ++i) {
      RONDO_CHECK(i < 10'000);  // ten seconds: a test waits for what cannot come
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
}

}  // namespace rondo::sim
