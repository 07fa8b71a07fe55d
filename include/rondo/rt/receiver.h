// The receiving half of a connection: at most one receive in flight, armed ahead of need, so that the
// bytes of an answer (or the news that the peer has gone) arrive without another trip to the kernel.
// Whoever reads takes the bytes when they are wanted: not re-arming is the back-pressure. One thread.
#pragma once

#include <coroutine>

#include "rondo/rt/cancel.h"

namespace rondo::rt {

class Receiver : public Cancelable {
 public:
  // Called when the receive ended and no flow waits for it: bytes are held, the end or an error was seen, or
  // the token it was watched under was cancelled (then nothing is held).
  using Unawaited = void (*)(Receiver&);

  // `owner` is for the callbacks to find their way back.
  Receiver(io::Engine& engine, Unawaited unawaited, void* owner)
      : Cancelable(&OnDeliver), engine_(engine), unawaited_(unawaited), owner_(owner) {}
  // REQUIRES: not armed.
  ~Receiver() = default;
  void* owner() const { return owner_; }

  // The descriptor to receive from; before the first Arm.
  void Open(int descriptor) { fd = descriptor; }
  void set_unawaited(Unawaited unawaited) { unawaited_ = unawaited; }

  // Starts receiving into a pooled buffer, or into `bytes` (which stays in place until the bytes are taken or
  // the receive was stopped). No effect while armed, while bytes are held, or after the end or an error.
  void Arm() { ArmInto(nullptr, 0); }
  void ArmInto(char* bytes, size_t room);
  bool armed() const { return in_flight(); }
  // Arms, and lets `token` end the receive, though no flow waits: how an idle connection waits.
  // REQUIRES: nothing held.
  void Watch(CancelToken& token) {
    Arm();
    token.Link(*this);
    if (token.cancelled()) engine_.Cancel(*this);
  }
  // Bytes, an end or an error are here already: Wait would not suspend.
  bool ready() const { return held_; }
  // What is held: bytes > 0, 0 for the end, a negative errno. Only where ready().
  int32_t held_result() const { return result; }

  // Bytes that somebody else received before: held, as if they had just come. REQUIRES: nothing held,
  // not armed.
  void Hold(io::BufferRef bytes) {
    RONDO_DCHECK(!held_ && !in_flight() && bytes.size() > 0);
    kind = Kind::kReceiveProvided;
    result = static_cast<int32_t>(bytes.size());
    buffer = std::move(bytes);
    held_ = true;
  }

  // Waits for bytes: their count; 0 at the end of the stream; a negative errno (-ECANCELED: the token).
  // Arms where that was not done. Bytes stay held until TakeBuffer or TakePlain.
  auto Wait(CancelToken& token) {
    struct Awaiter {
      Awaiter(Receiver& from, CancelToken& by) : receiver(from), token(by) {}
      Awaiter(const Awaiter&) = delete;
      bool await_ready() const noexcept { return token.cancelled() || receiver.held_; }
      void await_suspend(std::coroutine_handle<> waiter) noexcept {
        receiver.waiter_ = waiter;
        receiver.Arm();
        token.Link(receiver);
      }
      int32_t await_resume() noexcept { return receiver.held_ ? receiver.result : -ECANCELED; }
      Receiver& receiver;
      CancelToken& token;
    };
    return Awaiter(*this, token);
  }
  // The held bytes, which arrived in a pooled buffer. REQUIRES: held_result() > 0 and Arm() was used.
  io::BufferRef TakeBuffer() {
    RONDO_DCHECK(held_ && result > 0);
    held_ = false;
    return std::move(buffer);
  }
  // The held bytes were received into the memory given to ArmInto: says so and makes place for the next.
  void TakePlain() {
    RONDO_DCHECK(held_ && result > 0);
    held_ = false;
  }
  // Whether what is held came by ArmInto.
  bool plain() const { return kind == Kind::kReceive; }

  // Ends the receive in flight and waits until it has ended; bytes that still came are held.
  auto Settle() {
    struct Awaiter {
      explicit Awaiter(Receiver& from) : receiver(from) {}
      Awaiter(const Awaiter&) = delete;
      bool await_ready() const noexcept { return !receiver.in_flight(); }
      void await_suspend(std::coroutine_handle<> waiter) noexcept {
        receiver.waiter_ = waiter;
        receiver.engine_.Cancel(receiver);
      }
      void await_resume() noexcept {}
      Receiver& receiver;
    };
    return Awaiter(*this);
  }

  // Ends the receive in flight; when it has ended (or at once, where none is) calls `stopped(*this)`, after
  // which the descriptor may be closed. Bytes that still came are dropped.
  void Stop(Unawaited stopped);

 private:
  static void OnDeliver(io::Op& op);

  io::Engine& engine_;
  Unawaited unawaited_;
  void* owner_;
  std::coroutine_handle<> waiter_;
  bool held_ = false;
  bool stopping_ = false;
};

}  // namespace rondo::rt
