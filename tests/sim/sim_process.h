// The descriptors of one simulated process: small numbers, the lowest free one first, so that a
// number is reused at once, as in a real kernel. The engines (threads) of a process share it.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sim_network.h"

namespace rondo::sim {

class SimEngine;

// An op in flight on a descriptor.
struct Slot {
  SimEngine* engine;
  uint64_t flight;
  Side side;
};

struct Descriptor {
  std::shared_ptr<SimStream> stream;  // one of these two; neither: free
  std::shared_ptr<SimListener> listener;
  std::vector<Slot> slots;
  std::string opened_by;  // for leak reports
  Instant opened_at{};
  bool open() const { return stream || listener; }
};

class SimProcess final : public Watcher {
 public:
  // Numbers begin at `first`, different for each process, so that a mix-up is found.
  SimProcess(std::string name, int first, size_t descriptors_max)
      : name_(std::move(name)), first_(first), descriptors_max_(descriptors_max) {}

  const std::string& name() const { return name_; }
  // The new descriptor's number, or -EMFILE.
  int Add(Descriptor descriptor);
  // Null where `fd` is not open.
  Descriptor* Find(int fd);
  // REQUIRES: open, no op in flight.
  void Remove(int fd);
  size_t open_count() const { return open_count_; }
  size_t descriptors_max() const { return descriptors_max_; }
  void set_descriptors_max(size_t max) { descriptors_max_ = max; }
  // A line for each open descriptor.
  void ListOpen(Instant now, std::vector<std::string>& lines) const;

  void OnReady(int fd, Side side) override;

 private:
  std::string name_;
  int first_;
  size_t descriptors_max_;
  size_t open_count_ = 0;
  std::deque<Descriptor> table_;  // a deque: a Descriptor stays in place while others are added
};

}  // namespace rondo::sim
