// Listening sockets belong to the process: it opens them, keeps a descriptor of each, and gives
// workers duplicates. So an address that cannot be had is an error of the start or the reload and
// not of one thread, a socket may go from one listener to another without losing who waits in its
// backlog, and it is closed when nobody needs it any more. Control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "control/publisher.h"
#include "rondo/config/config.h"

namespace rondo::control {

class ListenerSockets {
 public:
  explicit ListenerSockets(size_t workers) : workers_(workers) {}
  ListenerSockets(const ListenerSockets&) = delete;
  ListenerSockets& operator=(const ListenerSockets&) = delete;
  ~ListenerSockets();  // closes what is left

  // Opens what `next` listens on and is not open yet: for each TCP address one socket for each
  // worker (SO_REUSEPORT), one for all for a unix path. On an error nothing is kept of it. Replaces
  // an earlier preparation.
  absl::Status Prepare(const config::Config& next);
  void DropPrepared();

  // What workers have to do about what was prepared: the descriptors are theirs from then on. Logs
  // a line "listening on ADDRESS (NAME)" for each new address. Sockets that are not needed any more
  // are closed here, and by the workers that were told their ids.
  struct Change {
    std::vector<std::vector<ListenSocket>> open;  // for each worker
    std::vector<uint32_t> close;
  };
  Change Commit();

  // The process gives up its own descriptors: with those of the workers the last are closed, and no
  // more connections come. Removes the files of unix sockets.
  void CloseAll();

 private:
  // An address that is open, for one listener.
  struct Entry {
    SocketAddress wanted;
    std::string listener;
    uint32_t id = 0;
    std::vector<int> sockets;      // the process's own: one for each worker, or one for all
    std::vector<int> for_workers;  // duplicates, before Commit
    bool fresh = false;            // opened by this preparation
    uint32_t from = 0;             // else: the entry in force whose sockets it takes over
  };
  const Entry* FindOpen(const config::Config& next, const SocketAddress& address,
                        const std::string& listener) const;
  absl::Status Open(Entry& entry);
  absl::Status Duplicate(Entry& entry);
  static void Close(std::vector<int>& descriptors);
  static void RemoveFile(const SocketAddress& address);

  const size_t workers_;
  uint32_t last_id_ = 0;
  std::vector<Entry> entries_;   // in force
  std::vector<Entry> prepared_;  // will be; those without for_workers stay as they are
};

}  // namespace rondo::control
