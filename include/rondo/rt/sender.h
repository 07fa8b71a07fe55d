// The sending half of a connection: at most one send in flight; sends all it was given, however many
// pieces the kernel takes it in. One thread.
#pragma once

#include <sys/uio.h>

#include <array>
#include <coroutine>
#include <span>

#include "rondo/rt/cancel.h"

namespace rondo::rt {

class Sender : public Cancelable {
 public:
  static constexpr size_t kPartsMax = 7;
  explicit Sender(io::Engine& engine) : Cancelable(&OnDeliver), engine_(engine) {}
  ~Sender() = default;

  void Open(int descriptor) { fd = descriptor; }

  // While sending, every piece the peer takes sets `deadline` to `patience` from then. Null: no such deadline.
  void WatchProgress(Deadline* deadline, Duration patience) {
    deadline_ = deadline;
    patience_ = patience;
  }

  // Adds bytes to the next send; they stay in place until it has ended. At most kPartsMax parts.
  void Add(const char* bytes, size_t count) {
    if (count == 0) return;
    RONDO_CHECK(part_count_ < kPartsMax);
    parts_[part_count_++] = iovec{const_cast<char*>(bytes), count};
  }
  bool empty() const { return part_count_ == 0; }
  // Leaves out the first `bytes` of what was added, which are with the peer already. REQUIRES: more
  // was added.
  void Skip(uint64_t bytes) {
    const bool left = Advance(static_cast<size_t>(bytes));
    RONDO_CHECK(left);
  }

  // Sends what was added: 0 once all of it was taken, or a negative errno (-ECANCELED: the token).
  // sent() says how many bytes went out in either case.
  auto Send(CancelToken& token) {
    struct Awaiter {
      Awaiter(Sender& to, CancelToken& by) : sender(to), token(by) {}
      Awaiter(const Awaiter&) = delete;
      bool await_ready() noexcept {
        sender.sent_ = 0;
        sender.result_ = 0;
        if (token.cancelled()) {
          sender.part_count_ = sender.part_first_ = 0;
          sender.result_ = -ECANCELED;
          return true;
        }
        return sender.part_count_ == 0;
      }
      void await_suspend(std::coroutine_handle<> waiter) noexcept {
        sender.waiter_ = waiter;
        sender.token_ = &token;
        token.Link(sender);
        sender.Submit();
      }
      int32_t await_resume() noexcept { return sender.result_; }
      Sender& sender;
      CancelToken& token;
    };
    return Awaiter(*this, token);
  }
  // Connects the descriptor: 0 or a negative errno.
  auto Connect(const void* to, size_t to_size, CancelToken& by_token) {
    struct Awaiter {
      Awaiter(Sender& to, CancelToken& by) : sender(to), token(by) {}
      Awaiter(const Awaiter&) = delete;
      bool await_ready() const noexcept { return token.cancelled(); }
      void await_suspend(std::coroutine_handle<> waiter) noexcept {
        sender.waiter_ = waiter;
        token.Link(sender);
        sender.engine_.Submit(sender);
      }
      int32_t await_resume() noexcept { return sender.result_; }
      Sender& sender;
      CancelToken& token;
    };
    kind = Kind::kConnect;
    address = to;
    size = to_size;
    result_ = -ECANCELED;
    sent_ = 0;
    return Awaiter(*this, by_token);
  }

  // Of the latest send.
  uint64_t sent() const { return sent_; }
  int32_t outcome() const { return result_; }

 private:
  static void OnDeliver(io::Op& op);
  void Submit();
  bool Advance(size_t bytes);
  void Finish(int32_t outcome);

  io::Engine& engine_;
  std::coroutine_handle<> waiter_;
  CancelToken* token_ = nullptr;
  Deadline* deadline_ = nullptr;
  Duration patience_{};
  uint64_t sent_ = 0;
  int32_t result_ = 0;
  uint8_t part_count_ = 0;
  uint8_t part_first_ = 0;
  std::array<iovec, kPartsMax> parts_;
};

}  // namespace rondo::rt
