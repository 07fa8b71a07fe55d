// An engine for tests in which only places are taken and nothing is sent.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <utility>

#include "rondo/io/engine.h"

namespace rondo::upstream::testing {

// Delivers what is posted, sleeps and is woken; there is nothing else to do where only places are
// taken.
class PostEngine final : public io::Engine {
 public:
  PostEngine() : Engine(1) {}
  void Submit(io::Op&) override { RONDO_CHECK(false); }
  void Cancel(io::Op&) override {}  // what is posted cannot be cancelled
  void Post(io::Op& op, int32_t result) override {
    RONDO_CHECK(!op.in_flight());
    op.state = io::Op::State::kReady;
    op.result = result;
    ready_.push_back(&op);
  }
  void Run(Instant) override {
    if (sleeps) Sleep();
    for (size_t left = ready_.size(); left > 0; --left) {
      io::Op& op = *ready_.front();
      ready_.pop_front();
      op.state = io::Op::State::kIdle;
      op.deliver(op);
    }
  }
  void Wake() override {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    wake_.notify_one();
  }
  int OpenStream(const SocketAddress&) override { return -ENOSYS; }
  int Shutdown(int, io::ShutdownHow) override { return -ENOSYS; }
  void Close(int) override {}
  void ResetOnClose(int) override {}
  SocketAddress PeerAddress(int) override { return {}; }
  SocketAddress LocalAddress(int) override { return {}; }
  WallTime WallNow() const override { return {}; }

  void SetNow(Instant now) { now_ = now; }
  bool TakeWake() {
    const std::lock_guard lock(mutex_);
    return std::exchange(woken_, false);
  }
  bool has_ready() const { return !ready_.empty(); }
  bool sleeps = false;  // Run waits where nothing is ready

 private:
  void Sleep() {
    now_ = Instant(std::chrono::steady_clock::now().time_since_epoch());
    std::unique_lock lock(mutex_);
    if (ready_.empty() &&
        !wake_.wait_for(lock, std::chrono::seconds(30), [this] { return woken_; })) {
      // The flows that wait cannot be ended from here.
      std::fputs("a worker sleeps for ever: a wake-up was lost\n", stderr);
      std::_Exit(1);
    }
    woken_ = false;
  }

  std::deque<io::Op*> ready_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;
};

}  // namespace rondo::upstream::testing
