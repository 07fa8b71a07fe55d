// What control hands to a worker while it serves.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "rondo/upstream/snapshot.h"

namespace rondo::proxy {

// A listening socket of a worker, which closes it when it drains, when it is told to, or when the
// listener is gone from the snapshot.
struct ListenFd {
  int fd = -1;
  uint32_t slot = 0;  // of its listener: upstream::ListenerSnapshot::slot
  uint32_t id = 0;  // by which it can be closed; the same for all workers' sockets of one address,
                    // if one likes
};

struct Publication {
  // May be the one in force, where only states of backends have changed (drains begin, drained
  // backends are let go), or only sockets. Not null.
  std::shared_ptr<const upstream::Snapshot> snapshot;
  uint64_t epoch = 0;  // rises with every publication
  // Ids of listening sockets that earlier publications brought; unknown ones do not matter. They
  // are closed before those of `open` are opened, so that an id may be used again.
  std::vector<uint32_t> close;
  std::vector<ListenFd> open;  // the worker's from here on
  // Of publications that were not taken in time: opened and closed again before the worker saw
  // them.
  std::vector<ListenFd> dead;

  // Takes over what an earlier one, which nobody took, would have done.
  void Follow(Publication&& untaken);
};

}  // namespace rondo::proxy
