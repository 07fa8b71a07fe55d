// One side of a simulated stream connection: bytes, ends and resets travel to the other side in
// order, with drawn delays, through a pipe that holds a bounded number of bytes. Behaves as Linux
// TCP sockets were observed to: what was received stays readable after a reset (unless the fault
// plan says otherwise), an error is reported once, closing with unread bytes sends a reset.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "event_queue.h"
#include "fault_plan.h"
#include "rondo/base/address.h"
#include "rondo/base/rng.h"
#include "rondo/io/engine.h"

namespace rondo::sim {

enum class Side : uint8_t { kRead, kWrite };

// Told when an op on a descriptor may be able to proceed.
class Watcher {
 public:
  virtual void OnReady(int fd, Side side) = 0;

 protected:
  ~Watcher() = default;
};

// What a test does to an address while connections to it exist or are made.
struct AddressControl {
  int refusal = 0;               // connects get this error; 0: they are made
  bool silent = false;           // nothing gets through: connects unanswered, data stuck
  int64_t bytes_per_second = 0;  // in each direction; 0: no limit
};

class SimStream : public std::enable_shared_from_this<SimStream> {
 public:
  // What one direction holds at the most; each connection draws its own.
  static constexpr size_t kCapacityMax = 256 * 1024;
  enum class State : uint8_t { kFresh, kConnecting, kConnected, kFailed };

  SimStream(EventQueue& events, Rng& rng, std::shared_ptr<const FaultPlan> faults)
      : events_(events), rng_(rng), faults_(std::move(faults)) {}

  // Bytes, 0 at the end, -EAGAIN, or the error.
  int Receive(char* out, size_t size);
  // Bytes taken, -EAGAIN, or the error.
  int Send(const char* bytes, size_t size);
  // Whether Receive or Send would give anything but -EAGAIN.
  bool readable() const;
  bool writable();
  // Bytes that a send could take at the most now; 0 where it would fail.
  size_t room() const;
  // -EINPROGRESS while connecting, then 0 or the error.
  int ConnectResult();
  int Shutdown(io::ShutdownHow how);
  void Close();
  void ResetOnClose() { linger_zero_ = true; }

  void Watch(Watcher* watcher, int fd) { watcher_ = watcher, fd_ = fd; }
  State state() const { return state_; }
  bool closed() const { return closed_; }
  // A reset ended this connection, or a close that left bytes unread: bytes may be missing.
  bool aborted() const { return aborted_; }
  size_t unread_bytes() const { return unread_.size() - unread_from_; }
  size_t flying_bytes() const { return pipe_bytes_ - unread_bytes(); }
  uint64_t bytes_sent() const { return bytes_sent_; }
  uint64_t bytes_received() const { return bytes_received_; }
  const SocketAddress& local() const { return local_; }
  const SocketAddress& remote() const { return remote_; }

 private:
  friend class SimNetwork;
  struct Segment {
    enum class Kind : uint8_t { kData, kEnd, kReset } kind;
    Instant arrives;
    std::string bytes;
  };

  // `address` is the listener's; `control` what a test may do to it.
  static void Pair(SimStream& client, SimStream& server, std::shared_ptr<AddressControl> control,
                   Duration latency);
  void Fail(int error);
  void Push(Segment::Kind kind, std::string bytes);  // into this side's incoming pipe
  void Arrive();
  bool TakeSegment(Segment& segment);  // false: nothing more may be taken
  void TakeReset();
  void SendReset();
  void ResetBoth();
  void Notify(Side side);
  void LetGo();
  Duration Latency();

  EventQueue& events_;
  Rng& rng_;
  std::shared_ptr<const FaultPlan> faults_;
  Watcher* watcher_ = nullptr;
  int fd_ = -1;
  State state_ = State::kFresh;
  SocketAddress local_, remote_;
  std::shared_ptr<SimStream> peer_;  // gone once both sides are closed
  std::shared_ptr<AddressControl> control_;
  Duration base_latency_{};

  // The incoming direction.
  std::deque<Segment> flying_;
  Instant last_arrival_{};
  std::string unread_;
  size_t unread_from_ = 0;
  size_t pipe_bytes_ = 0;  // flying and unread
  size_t capacity_ = 0;
  bool end_arrived_ = false;
  bool read_shut_ = false;
  uint64_t bytes_received_ = 0;
  uint64_t reset_at_ = UINT64_MAX;  // fault: both sides are reset once so many bytes arrived here

  // The outgoing direction.
  bool wants_room_ = false;
  bool write_shut_ = false;
  uint64_t bytes_sent_ = 0;

  int error_ = 0;  // reported once, by whichever call comes first
  bool reset_ = false;
  bool closed_ = false;
  bool linger_zero_ = false;
  bool aborted_ = false;
};

}  // namespace rondo::sim
