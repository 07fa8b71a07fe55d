// Shares out what takes long, a handshake's arithmetic: only so many flows begin with it in one
// round of the loop, oldest first, so that in a flood of them who is connected already is served
// between. One thread.
#pragma once

#include <coroutine>

#include "rondo/rt/cancel.h"

namespace rondo::proxy {

class Turns;

// See Turns::Take.
class Turn : public rt::Cancelable, public ListHook<Turns> {
 public:
  Turn(Turns& turns, rt::CancelToken& token);
  Turn(const Turn&) = delete;
  bool await_ready() noexcept;
  void await_suspend(std::coroutine_handle<> flow) noexcept;
  int32_t await_resume() noexcept { return result; }

 private:
  static void OnDeliver(io::Op& op);

  Turns& turns_;
  rt::CancelToken& token_;
  std::coroutine_handle<> flow_;
};

class Turns {
 public:
  Turns(io::Engine& engine, size_t per_round) : engine_(engine), per_round_(per_round) {}

  // `co_await turns.Take(token)`: 0 when it is this flow's turn, -ECANCELED by the token.
  Turn Take(rt::CancelToken& token) { return Turn(*this, token); }
  // A round of the loop is over.
  void NextRound() {
    taken_ = 0;
    if (!waiting_.empty()) Serve();
  }

 private:
  friend class Turn;
  void Serve();

  io::Engine& engine_;
  const size_t per_round_;
  size_t taken_ = 0;
  IntrusiveList<Turn, Turns> waiting_;
};

}  // namespace rondo::proxy
