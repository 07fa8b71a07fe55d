// Virtual time and what is to happen in it. Events of one instant run in the order they were
// scheduled.
#pragma once

#include <functional>
#include <vector>

#include "rondo/base/check.h"
#include "rondo/base/time.h"

namespace rondo::sim {

class EventQueue {
 public:
  using Event = std::function<void()>;

  explicit EventQueue(Instant start) : now_(start) {}

  Instant now() const { return now_; }
  void At(Instant when, Event event);
  void After(Duration delay, Event event) { At(now_ + delay, std::move(event)); }

  // When the next event is due; kNever where there is none.
  Instant next() const { return heap_.empty() ? kNever : heap_.front().when; }
  size_t size() const { return heap_.size(); }
  // Runs the next event. REQUIRES: next() <= now().
  void RunNext();
  // REQUIRES: not back in time, and not past the next event.
  void AdvanceTo(Instant when);
  // Drops all events without running them.
  void Clear() { heap_.clear(); }

 private:
  struct Entry {
    Instant when;
    uint64_t order;
    Event event;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }

  Instant now_;
  uint64_t order_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace rondo::sim
