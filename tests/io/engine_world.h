// What the engine suite needs of the world around an engine, so that the same tests run on
// io_uring, on epoll and on the simulated engine; and the helpers that the tests are written with.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/io/engine.h"
#include "rondo/io/socket_address.h"

namespace rondo::io::testing {

// One engine and the network that it lives in. Both ends of every connection are the engine's own.
class EngineWorld {
 public:
  virtual ~EngineWorld() = default;
  virtual Engine& engine() = 0;
  // A listening descriptor of the engine at `address`; with port 0 at a free one. Closed by
  // Engine::Close.
  virtual int Listen(const SocketAddress& address) = 0;
  // Where a listening descriptor listens.
  virtual SocketAddress AddressOf(int listener) = 0;
  // An address of the kind where nobody listens. kUnix paths are fresh ones.
  virtual SocketAddress UnusedAddress(SocketAddress::Kind kind) = 0;
  // Whether time is the machine's, with threads, process limits and a kernel beside us.
  virtual bool is_real() const = 0;
  // Both ends of a new connection: the world may put others in their place.
  virtual void Connected(int& client, int& server) {
    (void)client;
    (void)server;
  }
  // After all descriptors are closed: runs the engine until it can go.
  virtual void Settle() {}
};

struct WorldMaker {
  const char* name;
  std::unique_ptr<EngineWorld> (*make)(const EngineOptions& options);
};

// An op that records its completions.
class TestOp : public Op {
 public:
  TestOp() : Op(&TestOp::OnDeliver) {}

  std::vector<int32_t> results;
  std::string bytes;         // of all provided receives
  bool keep_buffer = false;  // leave a received buffer in `buffer`
  std::function<void(TestOp&)> then;

  bool done() const { return !in_flight() && !results.empty(); }
  int32_t last() const { return results.empty() ? INT32_MIN : results.back(); }

 private:
  static void OnDeliver(Op& op) {
    auto& self = static_cast<TestOp&>(op);
    self.results.push_back(op.result);
    if (op.buffer) {
      self.bytes.append(op.buffer.data(), op.buffer.size());
      if (!self.keep_buffer) op.buffer.Reset();
    }
    if (self.then) self.then(self);
  }
};

class EngineSuite : public ::testing::TestWithParam<WorldMaker> {
 protected:
  struct Pair {
    int client;
    int server;
  };

  void SetUp() override { Make(EngineOptions{.buffers_max = 64}); }
  void TearDown() override {
    for (const int fd : open_) engine().Close(fd);
    if (world_ != nullptr) {
      world_->Settle();
      EXPECT_EQ(engine().buffers().buffers_out(), 0u);
    }
  }
  void Make(const EngineOptions& options) {
    world_.reset();
    world_ = GetParam().make(options);
    ASSERT_NE(world_, nullptr);
  }
  Engine& engine() { return world_->engine(); }
  EngineWorld& world() { return *world_; }

  int Keep(int fd) {
    EXPECT_GE(fd, 0);
    open_.push_back(fd);
    return fd;
  }
  void CloseNow(int fd) {
    Forget(fd);
    engine().Close(fd);
  }
  void Forget(int fd) { std::erase(open_, fd); }

  // Runs the engine until `condition` holds; fails the test where that takes 10 seconds of its
  // time.
  template <class Condition>
  bool RunUntil(Condition condition) {
    const Instant limit = engine().Now() + std::chrono::seconds(10);
    while (!condition()) {
      if (engine().Now() >= limit) {
        ADD_FAILURE() << "nothing happened for ten seconds";
        return false;
      }
      engine().Run(std::min(limit, engine().Now() + std::chrono::milliseconds(100)));
    }
    return true;
  }
  bool RunUntilDone(TestOp& op) {
    return RunUntil([&] { return op.done(); });
  }
  // Lets the engine do all that it can do now, and some time pass.
  void RunFor(Duration time) {
    const Instant until = engine().Now() + time;
    while (engine().Now() < until) engine().Run(until);
  }

  void Submit(TestOp& op, Op::Kind kind, int fd) {
    op.results.clear();
    op.kind = kind;
    op.fd = fd;
    engine().Submit(op);
  }
  void Send(TestOp& op, int fd, std::string_view data) {
    op.data = const_cast<char*>(data.data());
    op.size = data.size();
    Submit(op, Op::Kind::kSend, fd);
  }
  void Receive(TestOp& op, int fd, bool wait_first = true) {
    op.wait_first = wait_first;
    Submit(op, Op::Kind::kReceiveProvided, fd);
  }
  // Cancels, where it is needed, and waits for the end.
  void Stop(TestOp& op) {
    engine().Cancel(op);
    RunUntil([&] { return !op.in_flight(); });
  }

  int32_t Connect(int fd, const SocketAddress& address) {
    const RawAddress raw = ToRawAddress(address);
    TestOp op;
    op.address = &raw.any;
    op.size = raw.length;
    Submit(op, Op::Kind::kConnect, fd);
    RunUntilDone(op);
    return op.last();
  }
  // A connected pair; both are closed at the end of the test.
  Pair MakePair(const SocketAddress& address = Loopback()) {
    const int listener = world().Listen(address);
    EXPECT_GE(listener, 0);
    TestOp accept;
    Submit(accept, Op::Kind::kAccept, listener);
    const SocketAddress at = world().AddressOf(listener);
    Pair pair{engine().OpenStream(at), -1};
    EXPECT_GE(pair.client, 0);
    EXPECT_EQ(Connect(pair.client, at), 0);
    RunUntil([&] { return !accept.results.empty(); });
    if (!accept.results.empty()) pair.server = accept.results[0];
    Stop(accept);
    engine().Close(listener);
    world().Connected(pair.client, pair.server);
    Keep(pair.client);
    Keep(pair.server);
    return pair;
  }
  // Sends all of `data`, however many sends it takes.
  void SendAll(int fd, std::string_view data) {
    TestOp op;
    while (!data.empty()) {
      Send(op, fd, data);
      RunUntilDone(op);
      ASSERT_GT(op.last(), 0);
      data.remove_prefix(static_cast<size_t>(op.last()));
    }
  }
  std::string ReceiveAtLeast(int fd, size_t count) {
    TestOp op;
    while (op.bytes.size() < count) {
      Receive(op, fd);
      if (!RunUntilDone(op) || op.last() <= 0) break;
    }
    return op.bytes;
  }

  static SocketAddress Loopback() { return *SocketAddress::Parse("127.0.0.1:0"); }

 private:
  std::vector<int> open_;
  std::unique_ptr<EngineWorld> world_;
};

inline std::string NameOf(const ::testing::TestParamInfo<WorldMaker>& info) {
  return info.param.name;
}

}  // namespace rondo::io::testing
