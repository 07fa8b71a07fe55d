// Task<T>: a lazy coroutine, awaited once by its parent, which owns its frame; or, for Task<void>, started
// by Scope::Spawn, after which it owns itself. Frames come from the Freelist of the coroutine's first
// argument (or of `this`), which must have `Freelist& frames()`. A suspended frame is never destroyed while
// its loop may still deliver to it. One thread.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "rondo/base/check.h"
#include "rondo/base/freelist.h"

namespace rondo::rt {

class Scope;

namespace detail {

// Frames remember their freelist in a header, since operator delete is given only the address and size.
class FrameAllocated {
 public:
  template <class First, class... Rest>
  static void* operator new(size_t size, First& first, Rest&...) {
    Freelist& frames = first.frames();
    void* block = frames.Allocate(size + kHeaderBytes);
    *static_cast<Freelist**>(block) = &frames;
    return static_cast<char*>(block) + kHeaderBytes;
  }
  static void operator delete(void* frame, size_t size) {
    void* block = static_cast<char*>(frame) - kHeaderBytes;
    (*static_cast<Freelist**>(block))->Free(block, size + kHeaderBytes);
  }

 private:
  static constexpr size_t kHeaderBytes = 16;  // keeps the frame 16-byte aligned
};

class PromiseBase : public FrameAllocated {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }

  struct Final {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) noexcept;
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  // Exceptions do not cross a loop: one that gets here is our bug.
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }

  std::coroutine_handle<> continuation;  // the parent that awaits, where there is one
  Scope* scope = nullptr;                // or the scope it was spawned in
};

template <class T>
class Promise : public PromiseBase {
 public:
  auto get_return_object() noexcept { return std::coroutine_handle<Promise>::from_promise(*this); }
  template <class U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T Take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
 public:
  auto get_return_object() noexcept { return std::coroutine_handle<Promise>::from_promise(*this); }
  void return_void() noexcept {}
  void Take() noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Handle handle) : handle_(handle) {}  // NOLINT: made by get_return_object
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();  // never started, or finished
  }

  // Runs the child until it returns; resumed by symmetric transfer, so depth costs no stack.
  auto operator co_await() && noexcept {
    struct Awaiter {
      explicit Awaiter(Handle child) : handle(child) {}
      Awaiter(const Awaiter&) = delete;
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
        handle.promise().continuation = parent;
        return handle;
      }
      T await_resume() { return handle.promise().Take(); }
      Handle handle;
    };
    return Awaiter(handle_);
  }

 private:
  friend class Scope;
  Handle Release() { return std::exchange(handle_, {}); }
  Handle handle_;
};

// Counts flows that were started and not awaited one by one. All must have ended before it goes.
class Scope {
 public:
  Scope() = default;
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { RONDO_CHECK(count_ == 0); }

  // Starts `task`, which runs until its first suspension before this returns. It must not hold references
  // to anything that ends before the scope is empty.
  void Spawn(Task<void> task) {
    auto handle = task.Release();
    handle.promise().scope = this;
    ++count_;
    handle.resume();
  }
  size_t count() const { return count_; }

  // Waits until every flow has ended. One waiter at a time.
  auto Join() {
    struct Awaiter {
      explicit Awaiter(Scope& joined) : scope(joined) {}
      Awaiter(const Awaiter&) = delete;
      bool await_ready() const noexcept { return scope.count_ == 0; }
      void await_suspend(std::coroutine_handle<> waiter) noexcept { scope.waiter_ = waiter; }
      void await_resume() noexcept {}
      Scope& scope;
    };
    return Awaiter(*this);
  }

 private:
  friend class detail::PromiseBase;
  std::coroutine_handle<> Finished() noexcept {
    --count_;
    if (count_ == 0 && waiter_) return std::exchange(waiter_, {});
    return std::noop_coroutine();
  }

  size_t count_ = 0;
  std::coroutine_handle<> waiter_;
};

template <class P>
std::coroutine_handle<> detail::PromiseBase::Final::await_suspend(
    std::coroutine_handle<P> done) noexcept {
  PromiseBase& promise = done.promise();
  if (promise.scope == nullptr) return promise.continuation;
  Scope& spawned_in = *promise.scope;
  done.destroy();
  return spawned_in.Finished();
}

}  // namespace rondo::rt
