// The engine on epoll: a completion is what a non-blocking call gave when it was tried, and where
// it said EAGAIN the op waits for readiness and the call is tried again.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "io/socket_engine.h"

namespace rondo::io {

class EpollEngine final : public SocketEngine {
 public:
  static absl::StatusOr<std::unique_ptr<EpollEngine>> Make(const EngineOptions& options);
  ~EpollEngine() override;

  void Submit(Op& op) override;
  void Cancel(Op& op) override;
  void Run(Instant deadline) override;
  int OpenStream(const SocketAddress& address) override;
  void Close(int fd) override;

 private:
  // What is known of a descriptor. It is registered once, edge-triggered for both directions, when
  // an op first has to wait; from then on `readable` and `writable` say whether a try can succeed.
  struct Descriptor {
    Op* receiver =
        nullptr;  // the receive-like op in flight: waiting, or linked in parked_ or pending_
    Op* sender = nullptr;
    uint32_t received_tick = 0;
    bool registered = false;
    bool readable = false;
    bool writable = false;
    // The peer has ended or broken the stream, or there is urgent data: a short receive is then no
    // sign that nothing is left.
    bool ending = false;
  };

  EpollEngine(const EngineOptions& options, int epoll_fd, int wake_fd);

  Descriptor& DescriptorOf(int fd) {
    if (static_cast<size_t>(fd) >= descriptors_.size()) GrowTable(fd);
    return descriptors_[static_cast<size_t>(fd)];
  }
  void GrowTable(int fd);

  // Starts every op of pending_, in the order of their submission.
  void StartPending();
  void Start(Op& op);
  void StartReceive(Op& op);
  void StartWaitReadable(Op& op);
  void StartSend(Op& op);
  void StartConnect(Op& op);

  // One try each; where it would block the op goes on waiting.
  void TryReceive(Op& op);
  void TrySend(Op& op);
  void TryAccept(Op& op);
  void FinishConnect(Op& op);

  void WaitForBytes(Op& op) override;
  void FinishParked(Op& op, int32_t result, char* buffer) override;
  // Registers the descriptor where it is not yet; a failure completes `op`.
  void Register(Op& op, uint32_t events);
  void FinishReceiver(Op& op, int32_t result, char* buffer = nullptr);
  void FinishSender(Op& op, int32_t result);
  void FinishAccept(Op& op, int32_t result);

  // Waits, handles what has become ready, and delivers it; returns what is left of the tick's
  // deliveries.
  size_t Collect(Instant deadline);
  int Wait(Instant deadline);
  void PrefetchReceiver(int fd);
  void OnEvent(int fd, uint32_t events);
  void OnReadable(Op& op);

  static constexpr int kEventsMax = 256;

  const int epoll_fd_;
  uint32_t tick_ = 1;
  bool has_pwait2_ = true;               // Linux 5.11
  IntrusiveList<Op> pending_;            // submitted, not yet started
  std::vector<Descriptor> descriptors_;  // by descriptor
  std::array<epoll_event, kEventsMax> events_;
};

}  // namespace rondo::io
