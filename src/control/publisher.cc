#include "control/publisher.h"

#include <algorithm>
#include <utility>

#include "rondo/base/check.h"

namespace rondo::control {

std::vector<proxy::ListenFd> WithSlots(const std::vector<ListenSocket>& sockets,
                                       const upstream::Snapshot& snapshot) {
  std::vector<proxy::ListenFd> result;
  for (const ListenSocket& socket : sockets) {
    const auto found = std::ranges::find_if(snapshot.listeners, [&](const auto& listener) {
      return listener->settings.name == socket.listener;
    });
    RONDO_CHECK(found != snapshot.listeners.end());
    result.push_back(proxy::ListenFd{socket.fd, (*found)->slot, socket.id});
  }
  return result;
}

void Publisher::Start(std::vector<proxy::Worker*> workers) {
  RONDO_CHECK(workers_.empty());
  workers_ = std::move(workers);
}

void Publisher::StageSockets(std::vector<std::vector<ListenSocket>> open,
                             std::vector<uint32_t> close) {
  open_ = std::move(open);
  close_ = std::move(close);
}

uint64_t Publisher::Publish(std::shared_ptr<const upstream::Snapshot> snapshot) {
  if (current_ != nullptr && current_ != snapshot)
    held_.push_back(Held{epoch_, std::move(current_)});
  current_ = std::move(snapshot);
  ++epoch_;
  for (size_t i = 0; i < workers_.size(); ++i) {
    auto publication = std::make_unique<proxy::Publication>();
    publication->snapshot = current_;
    publication->epoch = epoch_;
    if (i < open_.size()) publication->open = WithSlots(open_[i], *current_);
    publication->close = close_;
    workers_[i]->Publish(std::move(publication));
  }
  if (!workers_.empty()) {
    open_.clear();
    close_.clear();
  }
  Collect();
  return epoch_;
}

uint64_t Publisher::acknowledged() const {
  uint64_t least = epoch_;
  for (const proxy::Worker* worker : workers_) least = std::min(least, worker->acknowledged());
  return least;
}

size_t Publisher::Collect() {
  uint64_t oldest = epoch_;
  for (const proxy::Worker* worker : workers_) oldest = std::min(oldest, worker->oldest_pinned());
  // One that a long exchange pins does not keep those that came after it. Nobody but this list and
  // who uses them has references to what is held, and none are made from the list: where its own is
  // the last, it stays the last.
  std::erase_if(held_, [oldest](const Held& each) {
    return each.epoch < oldest || each.snapshot.use_count() == 1;
  });
  return held_.size();
}

}  // namespace rondo::control
