#include "sim_process.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "sim_engine.h"

namespace rondo::sim {

int SimProcess::Add(Descriptor descriptor) {
  if (open_count_ >= descriptors_max_) return -EMFILE;
  size_t index = 0;
  while (index < table_.size() && table_[index].open()) ++index;
  if (index == table_.size()) table_.emplace_back();
  const int fd = first_ + static_cast<int>(index);
  table_[index] = std::move(descriptor);
  Descriptor& added = table_[index];
  if (added.stream) added.stream->Watch(this, fd);
  if (added.listener) {
    added.listener->watcher = this;
    added.listener->fd = fd;
  }
  ++open_count_;
  return fd;
}

Descriptor* SimProcess::Find(int fd) {
  const int index = fd - first_;
  if (index < 0 || static_cast<size_t>(index) >= table_.size()) return nullptr;
  Descriptor& descriptor = table_[static_cast<size_t>(index)];
  return descriptor.open() ? &descriptor : nullptr;
}

void SimProcess::Remove(int fd) {
  Descriptor* descriptor = Find(fd);
  RONDO_CHECK(descriptor != nullptr);
  RONDO_CHECK(descriptor->slots.empty());
  *descriptor = Descriptor{};
  --open_count_;
}

void SimProcess::OnReady(int fd, Side side) {
  Descriptor* descriptor = Find(fd);
  if (descriptor == nullptr) return;
  // Of several engines that accept from one listener all are told; the first to look gets it.
  for (const Slot& slot : descriptor->slots) {
    if (slot.side == side) slot.engine->TrySoon(slot.flight);
  }
}

void SimProcess::ListOpen(Instant now, std::vector<std::string>& lines) const {
  for (size_t i = 0; i < table_.size(); ++i) {
    const Descriptor& descriptor = table_[i];
    if (!descriptor.open()) continue;
    const auto age =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - descriptor.opened_at);
    std::string line =
        absl::StrCat("descriptor ", first_ + static_cast<int>(i), " of ", name_, " is open, from ",
                     descriptor.opened_by, " ", age.count(), " ms ago");
    if (descriptor.stream) {
      absl::StrAppend(&line, ", ", descriptor.stream->bytes_sent(), " bytes sent, ",
                      descriptor.stream->unread_bytes(), " unread, ",
                      descriptor.stream->flying_bytes(), " under way to it");
    }
    lines.push_back(std::move(line));
  }
}

}  // namespace rondo::sim
