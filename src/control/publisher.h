// Hands snapshots to the workers and knows who has which. Control thread only.
//
// Every publication has an epoch, rising by one. Once all workers have acknowledged epoch E, no new
// lease begins that the snapshot of E does not allow. A snapshot is freed here, and not by the
// worker that drops it last: it may hold thousands of records.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "rondo/proxy/worker.h"
#include "rondo/upstream/snapshot.h"

namespace rondo::control {

// A listening socket that no worker has yet.
struct ListenSocket {
  int fd = -1;
  std::string listener;  // its name
  uint32_t id = 0;
};
// With the slots that the snapshot gives its listeners.
std::vector<proxy::ListenFd> WithSlots(const std::vector<ListenSocket>& sockets,
                                       const upstream::Snapshot& snapshot);

class Publisher {
 public:
  Publisher() = default;
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // The workers run with what was published last by now; they outlive the publisher's use. Without
  // workers (tests, and before they start) everything counts as acknowledged at once.
  void Start(std::vector<proxy::Worker*> workers);

  // Sockets that go with the next publication: `open` for each worker, whose listeners are in its
  // snapshot; `close` by id, in all of them.
  void StageSockets(std::vector<std::vector<ListenSocket>> open, std::vector<uint32_t> close);

  // Returns its epoch. The snapshot may be the one in force: then it is about the acknowledgement
  // alone.
  uint64_t Publish(std::shared_ptr<const upstream::Snapshot> snapshot);
  uint64_t epoch() const { return epoch_; }
  // The newest epoch that all workers have acknowledged.
  uint64_t acknowledged() const;
  // Frees snapshots that no worker pins any more. After the bell rang. How many are still held.
  size_t Collect();
  const std::shared_ptr<const upstream::Snapshot>& current() const { return current_; }

 private:
  struct Held {
    uint64_t epoch;  // the last under which it was current
    std::shared_ptr<const upstream::Snapshot> snapshot;
  };
  std::vector<proxy::Worker*> workers_;
  std::vector<std::vector<ListenSocket>> open_;
  std::vector<uint32_t> close_;
  uint64_t epoch_ = 0;
  std::shared_ptr<const upstream::Snapshot> current_;
  std::deque<Held> held_;  // oldest first
};

}  // namespace rondo::control
