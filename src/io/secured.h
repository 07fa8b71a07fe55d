// One secured descriptor of a SecureEngine: its channel, its one receive and its one send at the
// engine below, and what lies between those and the ops above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "rondo/io/secure_engine.h"

namespace rondo::io {

// The op it is itself is the receive at the engine below; between two of those it is posted where
// something is there already. Lives in the engine's freelist.
class SecureEngine::Secured final : public Op, public ListHook<SecureEngine::Secured> {
 public:
  using InList = ListHook<Secured>;

  static Secured* Make(SecureEngine& engine, int fd, std::unique_ptr<tls::Channel> channel,
                       std::span<const char> early, bool truncation_ends);

  void Submit(Op& op);
  void Cancel(Op& op);
  int Shutdown(ShutdownHow how);
  void ResetOnClose();
  // Its number is free again. REQUIRES: no op above is in flight. It may be gone after this.
  void Close();
  // Closed, and the grace is over.
  void Cut();

  int descriptor() const { return fd; }
  // Of the sends that have ended.
  uint64_t Unacknowledged() const;
  Instant close_by() const { return close_by_; }
  // Parked: tries again to open what is there; false where there is still no buffer.
  bool Unpark();
  // Gives memory back where it was not used since the last call.
  void ShrinkIdle();

  // Plain bytes that one send takes at the most.
  static constexpr size_t kSendMax = 4 * tls::kRecordPlainMax;
  // A block for long records: to be sent, or received and not yet opened.
  static constexpr size_t kLongBytes = 4 * tls::kRecordMax + 1024;

 private:
  // Records on their way to the kernel, or the wait for room there.
  struct Outgoing;
  enum class Filled : uint8_t { kResult, kNeedsBuffer, kNeedsBytes };

  Secured(SecureEngine& on, int kernel_fd, std::unique_ptr<tls::Channel> over,
          bool truncation_is_end);
  ~Secured();
  void Destroy();
  void Used();

  // -- receiving --
  void SubmitReceive(Op& op);
  void CancelReceive(Op& op);
  static void OnReceived(Op& op);
  size_t TakeProvided();
  void Advance();
  Filled Fill(Op& op, int32_t* filled);
  int32_t TakePlain(Op& op);
  bool OpenToPool();
  tls::Channel::Opened OpenRaw(std::span<char> out);
  tls::Channel::Opened Open(std::span<char> in, std::span<char> out);
  void Listen();
  void PostLook();
  void FinishReceive(int32_t outcome);
  void SetEnd(int32_t outcome);
  bool ended() const { return end_ <= 0; }
  size_t raw_size() const { return raw_end_ - raw_begin_; }
  bool WholeRecord() const;
  void SaveRaw(std::span<const char> bytes);
  void MakeRoom();
  char* NewRaw(size_t bytes, uint32_t* capacity);
  void FreeRaw();

  // -- sending --
  void SubmitSend(Op& op);
  void CancelSend(Op& op);
  static void OnSent(Op& op);
  void Sent(Outgoing& outgoing);
  // Starts the next thing to be sent. REQUIRES: none is under way.
  void Pump();
  void SealSend();
  void PostSender(int32_t outcome);
  Outgoing& NewOutgoing(size_t bytes);
  void FreeOutgoing();
  void Flush() {
    if (outgoing_ == nullptr) Pump();
  }
  static void DeliverTo(Op& op, int32_t outcome);

  SecureEngine& engine_;
  std::unique_ptr<tls::Channel> channel_;
  Op* receiver_ = nullptr;  // the op above
  Op* sender_ = nullptr;
  Outgoing* outgoing_ = nullptr;
  char* raw_ = nullptr;  // received and not yet opened: bytes [raw_begin_, raw_end_)
  uint32_t raw_capacity_ = 0;
  uint32_t raw_begin_ = 0;
  uint32_t raw_end_ = 0;
  uint32_t plain_at_ = 0;
  BufferRef plain_;  // opened and not yet taken, from plain_at_ on
  Instant close_by_{};
  int32_t end_ = 1;         // what receives end with from now on; 1: it goes on
  int32_t send_error_ = 0;  // what sends end with from now on
  // Plain bytes of the next send at most: grows while the kernel takes all at once. What a slow
  // peer takes is seen piece by piece, so that it does not look like one that takes nothing.
  uint32_t send_max_ = tls::kRecordPlainMax;
  uint32_t taken_ = 0;  // plain bytes of sender_ that outgoing_ holds
  bool truncation_ends_;
  bool said_close_ = false;   // nothing is sealed any more
  bool shut_wanted_ = false;  // the kernel's shutdown comes behind what is being sent
  bool shut_both_ = false;
  bool reset_ = false;
  bool closed_ = false;
  bool used_ = true;
  bool shrunk_ = false;
};

}  // namespace rondo::io
