#include "rondo/upstream/pick_state.h"

#include <algorithm>

namespace rondo::upstream {

bool PickState::Contains(uint64_t serial) const {
  return std::any_of(entries(), entries() + count_,
                     [serial](const Entry& entry) { return entry.serial == serial; });
}

void PickState::Add(uint64_t serial, bool refused) {
  for (size_t i = 0; i < count_; ++i) {
    if (entries()[i].serial != serial) continue;
    entries()[i].refused |= refused;
    return;
  }
  view_ = 0;
  if (count_ < kInline && more_.empty()) {
    inline_[count_] = Entry{serial, refused};
  } else {
    if (more_.empty()) more_.assign(inline_.begin(), inline_.end());
    more_.push_back(Entry{serial, refused});
  }
  ++count_;
}

void PickState::KeepRefused() {
  Entry* const end = std::remove_if(entries(), entries() + count_,
                                    [](const Entry& entry) { return !entry.refused; });
  count_ = static_cast<size_t>(end - entries());
  if (!more_.empty()) more_.resize(count_);
  view_ = 0;
}

}  // namespace rondo::upstream
