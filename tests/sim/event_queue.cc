#include "event_queue.h"

#include <algorithm>

namespace rondo::sim {

void EventQueue::At(Instant when, Event event) {
  heap_.push_back(Entry{std::max(when, now_), ++order_, std::move(event)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

void EventQueue::RunNext() {
  RONDO_CHECK(next() <= now_);
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  const Event event = std::move(heap_.back().event);
  heap_.pop_back();
  event();
}

void EventQueue::AdvanceTo(Instant when) {
  RONDO_CHECK(when >= now_ && when <= next());
  now_ = when;
}

}  // namespace rondo::sim
