// Where simulated streams meet: listeners by address (several on one address form a group, and each
// connection goes to one of them by chance), connects with their delays and failures, and what a
// test may do to an address while traffic is running.
#pragma once

#include <cerrno>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim_stream.h"

namespace rondo::sim {

struct SimListener {
  SocketAddress address;
  bool shares_address = false;
  size_t backlog = 4096;
  bool closed = false;
  std::deque<std::shared_ptr<SimStream>> pending;  // connected, not yet accepted
  Watcher* watcher = nullptr;
  int fd = -1;
};

class SimNetwork {
 public:
  SimNetwork(EventQueue& events, Rng& rng) : events_(events), rng_(rng) {}
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;
  ~SimNetwork();

  // -- what a test does to an address; applies to connections there are and to later ones --
  // Connects get this error. Connections stay.
  void Refuse(const SocketAddress& address, int error = ECONNREFUSED) {
    Control(address)->refusal = error;
  }
  // Nothing gets through: connects are not answered, data gets stuck. Until Restore, like a pulled
  // cable.
  void BlackHole(const SocketAddress& address) { Control(address)->silent = true; }
  // `bytes_per_second` in each direction of each connection.
  void Slow(const SocketAddress& address, int64_t bytes_per_second);
  // Back to normal; what a black hole held back arrives now.
  void Restore(const SocketAddress& address);
  // Resets all connections made to `address`, on both sides at once; returns how many.
  size_t ResetConnections(const SocketAddress& address);

  // Each connection's delay in one direction is drawn once, up to this, and may be much less.
  void set_latency_max(Duration max) { latency_max_ = max; }
  // Ever made.
  size_t connections() const { return connections_; }

  // -- for SimEngine --
  // Null where the address is taken. Port 0 becomes a free one.
  std::shared_ptr<SimListener> Listen(SocketAddress address, bool shares_address, size_t backlog);
  void CloseListener(SimListener& listener);
  // Starts connecting; the stream tells its watcher when that has ended.
  void Connect(const std::shared_ptr<SimStream>& stream, const SocketAddress& to,
               const SocketAddress& from);

 private:
  static constexpr Duration kConnectTimeout = std::chrono::seconds(127);  // Linux: six retries

  struct Attempt {
    std::shared_ptr<SimStream> stream;
    std::shared_ptr<AddressControl> control;
    bool lost;
    Instant began;
    Duration retry_after;
  };
  void Try(const std::shared_ptr<Attempt>& attempt);
  void TryLater(const std::shared_ptr<Attempt>& attempt);
  Duration DrawLatency();
  // One of the listeners that `address` reaches; null where there is none.
  std::shared_ptr<SimListener> Find(const SocketAddress& address);
  std::shared_ptr<AddressControl> Control(const SocketAddress& address);
  // Streams on the connecting side, of connections made to `address`.
  std::vector<std::shared_ptr<SimStream>> ConnectionsTo(const SocketAddress& address);

  EventQueue& events_;
  Rng& rng_;
  std::vector<std::shared_ptr<SimListener>> listeners_;
  std::map<std::string, std::shared_ptr<AddressControl>> controls_;
  std::vector<std::weak_ptr<SimStream>> clients_;
  uint16_t next_listen_port_ = 40000;
  size_t connections_ = 0;
  Duration latency_max_ = std::chrono::milliseconds(3);
};

}  // namespace rondo::sim
