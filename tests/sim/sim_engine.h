// io::Engine on the simulated network, in virtual time. One for each simulated thread. Nothing
// completes when it is submitted: an op is tried after a drawn delay and again whenever its stream
// changes, and a result is collected after another drawn delay, so completions of different ops
// overtake each other and a cancel may come too late.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fault_plan.h"
#include "rondo/io/engine.h"
#include "sim_process.h"

namespace rondo::sim {

class SimWorld;

struct SimEngineOptions {
  // Engines with the same process name share descriptors. Empty: a process of its own.
  std::string process;
  size_t buffers_max = 64;
  size_t descriptors_max = 1000;  // of the process, which takes that of its first engine
  FaultPlan faults;
  // Where its connects come from.
  IpAddress source_v4 = IpAddress::V4(0x7f000001);
  // Run does not only look: it moves the whole world forward until it has something to deliver or
  // the deadline has come. For tests that call Run themselves.
  bool drives_world = false;
};

class SimEngine final : public io::Engine {
 public:
  SimEngine(SimWorld& world, std::string name, const SimEngineOptions& options);
  ~SimEngine() override;  // what is still in flight or open is reported by SimWorld::Leaks

  void Submit(io::Op& op) override;
  void Cancel(io::Op& op) override;
  void Run(Instant deadline) override;
  void Wake() override { woken_.store(true); }
  void Post(io::Op& op, int32_t result) override;

  int OpenStream(const SocketAddress& address) override;
  int Shutdown(int fd, io::ShutdownHow how) override;
  void Close(int fd) override;
  void ResetOnClose(int fd) override;
  SocketAddress PeerAddress(int fd) override;
  SocketAddress LocalAddress(int fd) override;
  WallTime WallNow() const override;

  // In the place of io::OpenListener: a listening descriptor, or -EADDRINUSE or -EMFILE.
  int Listen(const SocketAddress& address, io::ListenMode mode = io::ListenMode::kAlone,
             size_t backlog = 4096);

  // Takes an op back that cannot be completed any more, because the test ends or has failed.
  void Forget(io::Op& op);

  const std::string& name() const { return name_; }
  SimProcess& process() { return *process_; }
  FaultPlan& faults() { return *faults_; }
  // Whether Run would deliver something now, or was woken.
  bool HasWork() const;
  // What the last Run was asked to wait for; kNever once that has come.
  Instant deadline() const { return deadline_; }
  size_t in_flight() const { return flights_.size(); }
  size_t completions() const { return completions_; }
  void ListLeaks(std::vector<std::string>& lines) const;

 private:
  friend class SimWorld;
  friend class SimProcess;
  struct Flight {
    io::Op* op;
    bool decided = false;    // its final result is fixed: neither tries nor cancels change it
    bool collected = false;  // its final result is in ready_
    bool starved = false;
    Instant last_result{};  // results of one op stay in order
    Instant submitted_at{};
    Instant spared_until{};  // a drawn lack of buffers lasts until then
    io::BufferRef buffer;
  };
  struct Ready {
    uint64_t flight;
    int32_t result;
    bool more;
  };

  void TrySoon(uint64_t id);
  void Try(uint64_t id);
  void TryAccept(uint64_t id, Flight& flight, SimListener* listener);
  void TryConnect(uint64_t id, Flight& flight, SimStream& stream);
  void TryReceiveProvided(uint64_t id, Flight& flight, SimStream& stream);
  void TrySend(uint64_t id, Flight& flight, SimStream& stream);
  int AddAccepted(SimListener& listener);
  void BeginConnect(io::Op& op, Descriptor& descriptor);
  void Starve(uint64_t id, Flight& flight);
  void FeedStarved();
  void Decide(uint64_t id, Flight& flight, int32_t result, bool more = false);
  void DeliverOne();
  Flight* FindFlight(uint64_t id);
  void Detach(uint64_t id, int fd);
  void WaitForWork(Instant deadline);

  SimWorld& world_;
  std::string name_;
  std::shared_ptr<SimProcess> process_;
  std::shared_ptr<FaultPlan> faults_;
  SocketAddress source_;
  bool drives_world_;
  uint16_t next_port_ = 50000;
  // Events outlive engines: they hold this, and do nothing once it is gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<uint64_t, Flight> flights_;  // ordered, so that a walk over it is the same in each run
  std::deque<uint64_t> starved_;
  std::deque<Ready> ready_;
  Instant deadline_ = kNever;
  std::atomic<bool> woken_{false};
  uint64_t last_id_ = 0;
  size_t completions_ = 0;
};

}  // namespace rondo::sim
