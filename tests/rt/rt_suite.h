// The suite of rt/: the same tests on the simulated engine, under faults drawn from many seeds, and
// on io_uring and epoll. Both ends of each connection are the test's: one end is what is tested,
// the other is driven by bare ops.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "io/real_world.h"
#include "rondo/rt/cancel.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"
#include "rondo/rt/task.h"
#include "sim/sim_world.h"

namespace rondo::rt::testing {

using io::testing::EngineWorld;
using io::testing::TestOp;

class SimulatedWorld final : public EngineWorld {
 public:
  explicit SimulatedWorld(uint64_t seed) : world_(seed) {
    Rng rng(seed);
    sim::SimEngineOptions options;
    options.drives_world = true;
    // The first seeds meet an ideal world, and one that is ideal but for cancels that come too
    // late.
    if (seed == 1) options.faults.late_cancel = 1;
    if (seed > 1) options.faults = sim::FaultPlan::Draw(rng);
    // These tests are about connections that work; what breaks them is tested by name.
    options.faults.accept_ends = options.faults.accept_fails = options.faults.open_fails = 0;
    options.faults.refuse_connect = options.faults.lose_connect = 0;
    options.faults.reset_connection = options.faults.reset_discards = 0;
    engine_ = world_.MakeEngine("engine", options);
  }
  ~SimulatedWorld() override {
    engine_.reset();
    for (const std::string& leak : world_.Leaks()) ADD_FAILURE() << leak;
  }
  io::Engine& engine() override { return *engine_; }
  int Listen(const SocketAddress& address) override { return engine_->Listen(address); }
  SocketAddress AddressOf(int listener) override { return engine_->LocalAddress(listener); }
  SocketAddress UnusedAddress(SocketAddress::Kind) override {
    return *SocketAddress::Parse("127.0.0.1:1000");
  }
  bool is_real() const override { return false; }

 private:
  sim::SimWorld world_;
  std::unique_ptr<sim::SimEngine> engine_;
};

struct RtWorld {
  std::string name;
  uint64_t seed = 0;
  std::optional<io::EngineKind> real;  // nothing: simulated, from the seed
};

inline void PrintTo(const RtWorld& world, std::ostream* out) { *out << world.name; }
inline std::vector<RtWorld> AllWorlds(uint64_t seeds) {
  std::vector<RtWorld> worlds = {{"io_uring", 0, io::EngineKind::kIoUring},
                                 {"epoll", 0, io::EngineKind::kEpoll}};
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    worlds.push_back({"seed" + std::to_string(seed), seed, std::nullopt});
  }
  return worlds;
}
inline std::string NameOfWorld(const ::testing::TestParamInfo<RtWorld>& info) {
  return info.param.name;
}

class RtSuite : public ::testing::TestWithParam<RtWorld> {
 protected:
  void SetUp() override {
    const RtWorld& world = GetParam();
    if (world.real) {
      auto engine = io::MakeEngine(*world.real, io::EngineOptions{.buffers_max = 64});
      if (!engine.ok()) GTEST_SKIP() << "this machine does not have the engine";
      world_ = std::make_unique<io::testing::RealWorld>(std::move(*engine));
    } else {
      world_ = std::make_unique<SimulatedWorld>(world.seed);
    }
    loop_.emplace(world_->engine());
    token_.emplace(loop_->engine());
  }
  void TearDown() override {
    if (world_ == nullptr) return;
    for (const int fd : open_) engine().Close(fd);
    RunUntil([this] { return !loop_->busy(); });
    EXPECT_EQ(engine().buffers().buffers_out(), 0u);
    EXPECT_EQ(loop_->frames().blocks_out(), 0u);
    EXPECT_TRUE(loop_->wheel().empty());
    token_.reset();
    loop_.reset();
    world_.reset();
  }

  bool is_real() { return world_->is_real(); }
  io::Engine& engine() { return loop_->engine(); }
  Loop& loop() { return *loop_; }
  Freelist& frames() { return loop_->frames(); }
  CancelToken& token() { return *token_; }

  template <class Condition>
  bool RunUntil(Condition condition) {
    const Instant limit = engine().Now() + std::chrono::seconds(60);
    while (!condition()) {
      if (engine().Now() >= limit) {
        ADD_FAILURE() << "nothing happened for a minute";
        return false;
      }
      loop().Tick(std::min(limit, engine().Now() + std::chrono::milliseconds(50)));
    }
    return true;
  }
  // Lets `time` pass.
  void RunFor(Duration time) {
    const Instant until = engine().Now() + time;
    while (engine().Now() < until) loop().Tick(until);
  }
  // Long enough for whatever is on its way to arrive, in the simulation at least.
  void Settle() { RunFor(is_real() ? std::chrono::milliseconds(20) : std::chrono::seconds(5)); }

  // -- the other end --
  void Submit(TestOp& op, io::Op::Kind kind, int fd) {
    op.results.clear();
    op.kind = kind;
    op.fd = fd;
    engine().Submit(op);
  }
  void PeerSend(int fd, std::string_view bytes) {
    TestOp op;
    while (!bytes.empty()) {
      op.data = const_cast<char*>(bytes.data());
      op.size = bytes.size();
      Submit(op, io::Op::Kind::kSend, fd);
      if (!RunUntil([&] { return op.done(); })) return;
      ASSERT_GT(op.last(), 0);
      bytes.remove_prefix(static_cast<size_t>(op.last()));
    }
  }
  // Receives until `count` bytes have come, or the end.
  std::string PeerReceive(int fd, size_t count) {
    TestOp op;
    while (op.bytes.size() < count) {
      Submit(op, io::Op::Kind::kReceiveProvided, fd);
      if (!RunUntil([&] { return op.done(); }) || op.last() <= 0) break;
    }
    return op.bytes;
  }
  void PeerClose(int fd) {
    std::erase(open_, fd);
    engine().Close(fd);
  }
  // What was `fd` is to be closed as `secured`.
  void Replace(int fd, int secured) {
    std::erase(open_, fd);
    open_.push_back(secured);
  }

  struct Pair {
    int mine;
    int peer;
  };
  // Connected; closed at the end of the test.
  Pair MakePair() {
    const int listener = world_->Listen(*SocketAddress::Parse("127.0.0.1:0"));
    EXPECT_GE(listener, 0);
    TestOp accept;
    Submit(accept, io::Op::Kind::kAccept, listener);
    const SocketAddress at = world_->AddressOf(listener);
    const int mine = engine().OpenStream(at);
    const io::RawAddress raw = io::ToRawAddress(at);
    TestOp connect;
    connect.address = &raw.any;
    connect.size = raw.length;
    Submit(connect, io::Op::Kind::kConnect, mine);
    RunUntil([&] { return connect.done() && !accept.results.empty(); });
    EXPECT_EQ(connect.last(), 0);
    engine().Cancel(accept);
    RunUntil([&] { return !accept.in_flight(); });
    engine().Close(listener);
    const int peer = accept.results.empty() ? -1 : accept.results[0];
    open_.push_back(mine);
    open_.push_back(peer);
    return Pair{mine, peer};
  }
  int Listen() {
    const int listener = world_->Listen(*SocketAddress::Parse("127.0.0.1:0"));
    open_.push_back(listener);
    return listener;
  }
  EngineWorld& world() { return *world_; }

 private:
  std::vector<int> open_;
  std::unique_ptr<EngineWorld> world_;
  std::optional<Loop> loop_;
  std::optional<CancelToken> token_;
};

}  // namespace rondo::rt::testing
