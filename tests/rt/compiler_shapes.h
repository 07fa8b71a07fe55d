// What the tests of coroutine shapes are written with: a place to suspend, and values that notice
// when they are lost, copied or freed twice.
#pragma once

#include <gtest/gtest.h>

#include <coroutine>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rondo/base/check.h"
#include "rondo/rt/task.h"

namespace rondo::rt::testing {

// Where the coroutines of one test suspend, and the memory of their frames.
class Place {
 public:
  Freelist& frames() { return frames_; }

  // Suspends until Run gets here.
  auto Pause() {
    struct Awaiter {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> waiter) { place.waiting_.push_back(waiter); }
      void await_resume() const noexcept {}
      Place& place;
    };
    return Awaiter{*this};
  }

  // Resumes whoever waits, the longest first, until nobody does; returns how many that were.
  int Run() {
    int resumed = 0;
    for (; !waiting_.empty(); ++resumed) {
      const auto next = waiting_.front();
      waiting_.pop_front();
      next.resume();
    }
    return resumed;
  }
  // What happened, in order.
  void Note(std::string what) { notes_.push_back(std::move(what)); }
  std::vector<std::string> TakeNotes() { return std::exchange(notes_, {}); }

  int live = 0;  // objects of type Owned that were not moved away

 private:
  Freelist frames_;
  std::deque<std::coroutine_handle<>> waiting_;
  std::vector<std::string> notes_;
};

// Owns memory, can only be moved, notes its end.
class Owned {
 public:
  Owned(Place& place, std::string name)
      : place_(&place), name_(std::make_unique<std::string>(std::move(name))) {
    ++place_->live;
  }
  Owned(Owned&& other) noexcept : place_(other.place_), name_(std::move(other.name_)) {}
  Owned& operator=(Owned&& other) noexcept {
    End();
    name_ = std::move(other.name_);
    return *this;
  }
  ~Owned() { End(); }
  const std::string& name() const {
    RONDO_CHECK(name_ != nullptr);
    return *name_;
  }

 private:
  void End() {
    if (!name_) return;
    place_->Note("~" + *name_);
    --place_->live;
  }
  Place* place_;
  std::unique_ptr<std::string> name_;
};

// The kind of aggregate that some compilers free twice where it stands in an awaiting expression.
struct Parcel {
  std::unique_ptr<int> number;
  std::string text;
  Owned owned;
};

// Spawns `task`, lets it run to its end and checks that nothing is left of it.
inline void RunToEnd(Place& place, Task<> task) {
  Scope scope;
  scope.Spawn(std::move(task));
  EXPECT_EQ(scope.count(), 1u) << "it did not suspend";
  EXPECT_GT(place.Run(), 0);
  EXPECT_EQ(scope.count(), 0u);
  EXPECT_EQ(place.live, 0);
  EXPECT_EQ(place.frames().blocks_out(), 0u);
}

}  // namespace rondo::rt::testing
