// A worker's listeners by their slots: their sockets, how many connections they have, and what a
// connection whose listener was removed goes by. One thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "proxy/listener.h"
#include "proxy/versions.h"

namespace rondo::proxy {

class Listeners {
 public:
  explicit Listeners(Worker& worker) : worker_(worker) {}
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // A socket that this worker owns from here on; accepts once Start was called.
  void Open(const ListenFd& socket);
  void Start();
  // Stops accepting on sockets of this id. Who has connected already is served.
  void Close(uint32_t id);
  void StopAll();
  bool all_closed() const { return sockets_.empty(); }
  // Forgets sockets that have closed. Once a tick.
  void Sweep() {
    if (stopping_ > 0) SweepClosed();
  }

  // The worker's current version has changed; `before` was current. Listeners that are gone stop
  // accepting, and their connections keep `before` until they have ended. Whether any is newly
  // gone: then its connections are to be drained.
  bool Changed(const Pin& before);
  // Whether the listener of this slot was removed.
  bool gone(uint32_t slot) const { return static_cast<bool>(entries_[slot].last_version); }
  // The version that a new exchange of this listener goes by.
  Pin PinFor(uint32_t slot) const;
  // Null where the listener is gone and nobody is left there.
  const upstream::ListenerSnapshot* Find(uint32_t slot) const;

  void CountConnection(uint32_t slot) { ++EntryOf(slot).connections; }
  void DiscountConnection(uint32_t slot);
  size_t connections(uint32_t slot) const {
    return slot < entries_.size() ? entries_[slot].connections : 0;
  }

 private:
  struct Entry {
    uint32_t sockets = 0;
    uint32_t connections = 0;
    Pin last_version;  // where the listener is gone: the last that had it
  };
  Entry& EntryOf(uint32_t slot);
  void Stop(ListenerSocket& socket);
  void SweepClosed();
  void FreeIfOver(Entry& entry);

  Worker& worker_;
  std::vector<std::unique_ptr<ListenerSocket>> sockets_;
  std::vector<Entry> entries_;  // by slot
  size_t stopping_ = 0;         // of sockets_
  bool started_ = false;
};

}  // namespace rondo::proxy
