// What a request wants and what it has tried. Backends are named by their serials, so that a state
// stays true while backends come and go between two attempts.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "rondo/balance/policy.h"

namespace rondo::upstream {

// What a request tells about where it wants to go.
struct PickKey {
  uint64_t hash = 0;               // what ip_hash or consistent_hash hash
  std::optional<uint64_t> sticky;  // from its stickiness cookie
};

// Of one request to one upstream on one worker. Allocates only beyond kInline backends.
class PickState {
 public:
  static constexpr size_t kInline = 8;

  // Whether this one was tried in the present round (a round ends when every backend was tried;
  // those that refused stay tried for good).
  bool Contains(uint64_t serial) const;
  bool empty() const { return count_ == 0; }
  // `refused`: it would not take a connection. Adding one twice changes nothing but that it
  // refused.
  void Add(uint64_t serial, bool refused);

 private:
  friend class WorkerUpstream;
  struct Entry {
    uint64_t serial = 0;
    bool refused = false;
  };
  Entry* entries() { return more_.empty() ? inline_.data() : more_.data(); }
  const Entry* entries() const { return more_.empty() ? inline_.data() : more_.data(); }
  // Begins a new round: forgets those that did not refuse.
  void KeepRefused();

  size_t count_ = 0;
  std::array<Entry, kInline> inline_{};
  std::vector<Entry> more_;  // all of them, once there are more than kInline
  // The same as the members of the policies of view number `view_`; 0: of none.
  uint64_t view_ = 0;
  balance::Tried primary_;
  balance::Tried backup_;
};

}  // namespace rondo::upstream
