// Something that flows wait for and that happens again and again ("anything changed"): NotifyAll
// resumes all who wait at that moment. It carries no value and keeps no memory: look at what
// matters, wait, look again; between the look and the wait nothing can happen unseen, since all of
// it runs on one thread.
#pragma once

#include <coroutine>

#include "rondo/rt/cancel.h"

namespace rondo::rt {

class Notice {
 public:
  explicit Notice(io::Engine& engine) : engine_(engine) {}
  Notice(const Notice&) = delete;
  Notice& operator=(const Notice&) = delete;
  // REQUIRES: nobody waits.
  ~Notice() = default;

  // One flow's wait; lives in its frame.
  class Waiter : public Cancelable, public ListHook<Notice> {
   public:
    Waiter(Notice& notice, CancelToken& token)
        : Cancelable(&OnDeliver), notice_(notice), token_(token) {}
    Waiter(const Waiter&) = delete;
    bool await_ready() noexcept {
      result = -ECANCELED;
      return token_.cancelled();
    }
    void await_suspend(std::coroutine_handle<> flow) noexcept {
      flow_ = flow;
      token_.Link(*this);
      notice_.waiters_.PushBack(*this);
    }
    int32_t await_resume() noexcept { return result; }

   private:
    static void OnDeliver(io::Op& op);
    Notice& notice_;
    CancelToken& token_;
    std::coroutine_handle<> flow_;
  };

  // Waits for the next NotifyAll: 0, or -ECANCELED by the token.
  Waiter Wait(CancelToken& token) { return Waiter(*this, token); }
  // Resumes all who wait, from the ready queue: nobody runs before this returns.
  void NotifyAll();
  bool awaited() const { return !waiters_.empty(); }

 private:
  io::Engine& engine_;
  mutable IntrusiveList<Waiter, Notice> waiters_;
};

}  // namespace rondo::rt
