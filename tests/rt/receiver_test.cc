// The receiving half of a connection, on all engines and under many seeds of faults.
#include "rondo/rt/receiver.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <utility>

#include "rt/rt_suite.h"

namespace rondo::rt::testing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Text in which every position can be told.
std::string Numbers(size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

class ReceiverSuite : public RtSuite {
 protected:
  void SetUp() override {
    RtSuite::SetUp();
    if (IsSkipped()) return;
    fds_ = MakePair();
    receiver_ = std::make_unique<Receiver>(engine(), &OnUnawaited, this);
    receiver_->Open(fds_.mine);
  }
  void TearDown() override {
    if (receiver_ != nullptr) {
      if (!stopped_) receiver_->Stop(&OnStopped);
      RunUntil([&] { return stopped_; });
      EXPECT_FALSE(receiver_->armed());
      receiver_.reset();
    }
    RtSuite::TearDown();
  }
  static void OnUnawaited(Receiver& receiver) {
    ++static_cast<ReceiverSuite*>(receiver.owner())->unawaited_;
  }
  static void OnStopped(Receiver& receiver) {
    static_cast<ReceiverSuite*>(receiver.owner())->stopped_ = true;
  }

  // What is held, taken.
  std::string Take() {
    const auto count = static_cast<size_t>(receiver_->held_result());
    if (receiver_->plain()) {
      receiver_->TakePlain();
      return plain_.substr(0, count);
    }
    const io::BufferRef buffer = receiver_->TakeBuffer();
    EXPECT_EQ(buffer.size(), count);
    return {buffer.data(), buffer.size()};
  }
  static Task<> WaitOnce(ReceiverSuite& suite) {
    suite.result_ = co_await suite.receiver_->Wait(suite.token());
    ++suite.waits_done_;
  }
  static Task<> SettleOnce(ReceiverSuite& suite) {
    co_await suite.receiver_->Settle();
    ++suite.waits_done_;
  }
  // Waits and takes until `total` bytes have come or something else has.
  static Task<> ReadAll(ReceiverSuite& suite, size_t total) {
    while (suite.got_.size() < total) {
      if (!suite.plain_.empty()) {
        suite.receiver_->ArmInto(suite.plain_.data(), suite.plain_.size());
      }
      suite.result_ = co_await suite.receiver_->Wait(suite.token());
      if (suite.result_ == -ECANCELED) {
        ++suite.cancels_seen_;
        suite.token().ClearPassing();
        continue;
      }
      if (suite.result_ <= 0) break;
      suite.got_ += suite.Take();
    }
    ++suite.waits_done_;
  }
  static Task<> SendAll(ReceiverSuite&, Sender* sender, CancelToken* token, std::string bytes) {
    sender->Add(bytes.data(), bytes.size());
    const int32_t result = co_await sender->Send(*token);
    EXPECT_EQ(result, 0);
  }
  // One Wait from its beginning to its end.
  int32_t Wait() {
    const int before = waits_done_;
    scope_.Spawn(WaitOnce(*this));
    RunUntil([&] { return waits_done_ > before; });
    return result_;
  }
  void SettleReceiver() {
    const int before = waits_done_;
    scope_.Spawn(SettleOnce(*this));
    RunUntil([&] { return waits_done_ > before; });
  }

  Pair fds_{-1, -1};
  std::unique_ptr<Receiver> receiver_;
  Scope scope_;
  std::string plain_;  // not empty: receives go into it
  std::string got_;
  int32_t result_ = INT32_MIN;
  int waits_done_ = 0;
  int cancels_seen_ = 0;
  int unawaited_ = 0;
  bool stopped_ = false;

 public:
  using RtSuite::frames;
};

TEST_P(ReceiverSuite, WaitGivesWhatThePeerSent) {
  scope_.Spawn(WaitOnce(*this));
  EXPECT_EQ(waits_done_, 0);
  EXPECT_TRUE(receiver_->armed());
  PeerSend(fds_.peer, "x");
  RunUntil([&] { return waits_done_ == 1; });
  EXPECT_EQ(result_, 1);
  EXPECT_TRUE(receiver_->ready());
  EXPECT_EQ(Take(), "x");
  EXPECT_FALSE(receiver_->ready());
  EXPECT_EQ(unawaited_, 0);
}

TEST_P(ReceiverSuite, WhatCameAheadOfTheWaitDoesNotSuspendIt) {
  receiver_->Arm();
  EXPECT_TRUE(receiver_->armed());
  PeerSend(fds_.peer, "x");
  RunUntil([&] { return receiver_->ready(); });
  EXPECT_EQ(unawaited_, 1);
  scope_.Spawn(WaitOnce(*this));
  EXPECT_EQ(waits_done_, 1);
  EXPECT_EQ(result_, 1);
  EXPECT_EQ(Take(), "x");
}

TEST_P(ReceiverSuite, WhatIsHeldKeepsTheNextReceiveFromStarting) {
  PeerSend(fds_.peer, "x");
  ASSERT_EQ(Wait(), 1);
  PeerSend(fds_.peer, "y");
  receiver_->Arm();
  EXPECT_FALSE(receiver_->armed());
  EXPECT_EQ(Wait(), 1);  // still the same byte
  EXPECT_EQ(Take(), "x");
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(Take(), "y");
}

TEST_P(ReceiverSuite, AllBytesComeInOrder) {
  const std::string sent = Numbers(is_real() ? 300'000 : 20'000);
  scope_.Spawn(ReadAll(*this, sent.size()));
  PeerSend(fds_.peer, sent);
  RunUntil([&] { return waits_done_ == 1; });
  EXPECT_EQ(got_, sent);
}

TEST_P(ReceiverSuite, AllBytesComeInOrderIntoPlainMemory) {
  const std::string sent = Numbers(is_real() ? 300'000 : 20'000);
  plain_.resize(7'000);
  scope_.Spawn(ReadAll(*this, sent.size()));
  PeerSend(fds_.peer, sent);
  RunUntil([&] { return waits_done_ == 1; });
  EXPECT_EQ(got_, sent);
  EXPECT_TRUE(receiver_->plain());
}

TEST_P(ReceiverSuite, AReceiveThatWasArmedStaysWhatItIs) {
  plain_.resize(100);
  receiver_->Arm();
  receiver_->ArmInto(plain_.data(), plain_.size());
  PeerSend(fds_.peer, "x");
  EXPECT_EQ(Wait(), 1);
  EXPECT_FALSE(receiver_->plain());
  EXPECT_EQ(Take(), "x");
}

TEST_P(ReceiverSuite, TheEndIsHeldForGood) {
  PeerSend(fds_.peer, "x");
  PeerClose(fds_.peer);
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(Take(), "x");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Wait(), 0);
    EXPECT_TRUE(receiver_->ready());
    receiver_->Arm();
    EXPECT_FALSE(receiver_->armed());
  }
}

TEST_P(ReceiverSuite, AnErrorIsHeldForGood) {
  engine().ResetOnClose(fds_.peer);
  PeerClose(fds_.peer);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Wait(), -ECONNRESET);
    EXPECT_EQ(receiver_->held_result(), -ECONNRESET);
  }
}

TEST_P(ReceiverSuite, TheUnawaitedEndIsReportedOnce) {
  receiver_->Arm();
  PeerClose(fds_.peer);
  RunUntil([&] { return unawaited_ > 0; });
  Settle();
  EXPECT_EQ(unawaited_, 1);
  EXPECT_TRUE(receiver_->ready());
  EXPECT_EQ(receiver_->held_result(), 0);
}

TEST_P(ReceiverSuite, ATokenCancelledBeforeTheWaitFailsItAtOnce) {
  token().Cancel(CancelReason::kDeadline);
  scope_.Spawn(WaitOnce(*this));
  EXPECT_EQ(waits_done_, 1);
  EXPECT_EQ(result_, -ECANCELED);
  EXPECT_FALSE(receiver_->armed());
  token().ClearPassing();
  PeerSend(fds_.peer, "x");
  EXPECT_EQ(Wait(), 1);
  Take();
}

TEST_P(ReceiverSuite, WhatIsHeldWinsOverACancelledToken) {
  receiver_->Arm();
  PeerSend(fds_.peer, "x");
  RunUntil([&] { return receiver_->ready(); });
  token().Cancel(CancelReason::kShutdown);
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(Take(), "x");
  EXPECT_EQ(Wait(), -ECANCELED);
}

TEST_P(ReceiverSuite, CancelEndsAWaitAndResumesNobodyInline) {
  scope_.Spawn(WaitOnce(*this));
  RunFor(milliseconds(1));
  token().Cancel(CancelReason::kClientGone);
  EXPECT_EQ(waits_done_, 0);
  RunUntil([&] { return waits_done_ == 1; });
  EXPECT_EQ(result_, -ECANCELED);
  EXPECT_FALSE(receiver_->ready());
  EXPECT_FALSE(receiver_->armed());
}

TEST_P(ReceiverSuite, CancelsAtAnyMomentLoseNoBytes) {
  const std::string sent = Numbers(is_real() ? 60'000 : 15'000);
  Rng rng(GetParam().seed);
  scope_.Spawn(ReadAll(*this, sent.size()));
  for (size_t at = 0; at < sent.size();) {
    const size_t piece = std::min<size_t>(sent.size() - at, 1 + rng.Below(2000));
    PeerSend(fds_.peer, std::string_view(sent).substr(at, piece));
    at += piece;
    if (rng.Chance(0.5)) RunFor(microseconds(rng.Between(0, 300)));
    token().Cancel(CancelReason::kDeadline);
  }
  RunUntil([&] { return waits_done_ == 1; });
  EXPECT_EQ(got_, sent);
}

TEST_P(ReceiverSuite, AWatchReportsBytes) {
  receiver_->Watch(token());
  PeerSend(fds_.peer, "x");
  RunUntil([&] { return unawaited_ > 0; });
  ASSERT_TRUE(receiver_->ready());
  EXPECT_EQ(Take(), "x");
  // The token no longer knows it.
  token().Cancel(CancelReason::kShutdown);
  Settle();
  EXPECT_EQ(unawaited_, 1);
}

TEST_P(ReceiverSuite, AWatchEndsWithItsTokenHoldingNothing) {
  receiver_->Watch(token());
  RunFor(milliseconds(1));
  token().Cancel(CancelReason::kDeadline);
  EXPECT_EQ(unawaited_, 0);
  RunUntil([&] { return unawaited_ > 0; });
  EXPECT_FALSE(receiver_->ready());
  EXPECT_FALSE(receiver_->armed());
  token().ClearPassing();
  receiver_->Watch(token());
  PeerSend(fds_.peer, "x");
  RunUntil([&] { return unawaited_ > 1; });
  ASSERT_TRUE(receiver_->ready());
  EXPECT_EQ(Take(), "x");
}

TEST_P(ReceiverSuite, AWatchUnderACancelledTokenEndsSoonAndNotInline) {
  token().Cancel(CancelReason::kShutdown);
  receiver_->Watch(token());
  EXPECT_EQ(unawaited_, 0);
  RunUntil([&] { return unawaited_ > 0; });
  EXPECT_FALSE(receiver_->ready());
}

TEST_P(ReceiverSuite, SettleEndsTheReceiveInFlight) {
  receiver_->Arm();
  RunFor(milliseconds(1));
  SettleReceiver();
  EXPECT_FALSE(receiver_->armed());
  EXPECT_FALSE(receiver_->ready());
  EXPECT_EQ(unawaited_, 0);
  PeerSend(fds_.peer, "x");
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(Take(), "x");
}

TEST_P(ReceiverSuite, SettleOfAnIdleReceiverDoesNotSuspend) {
  scope_.Spawn(SettleOnce(*this));
  EXPECT_EQ(waits_done_, 1);
}

TEST_P(ReceiverSuite, SettleKeepsBytesThatStillCame) {
  const std::string sent = Numbers(8'000);
  Rng rng(GetParam().seed);
  CancelToken peer_token(engine());
  Sender peer(engine());
  peer.Open(fds_.peer);
  scope_.Spawn(SendAll(*this, &peer, &peer_token, sent));
  for (int round = 0; got_.size() < sent.size(); ++round) {
    ASSERT_LT(round, 100'000);
    receiver_->Arm();
    RunFor(microseconds(rng.Between(0, 500)));
    SettleReceiver();
    ASSERT_FALSE(receiver_->armed());
    if (receiver_->ready()) got_ += Take();
  }
  RunUntil([&] { return scope_.count() == 0; });
  EXPECT_EQ(got_, sent);
}

TEST_P(ReceiverSuite, StopEndsTheReceiveInFlightLater) {
  receiver_->Arm();
  RunFor(milliseconds(1));
  receiver_->Stop(&OnStopped);
  EXPECT_FALSE(stopped_);
  RunUntil([&] { return stopped_; });
  EXPECT_FALSE(receiver_->armed());
  EXPECT_EQ(unawaited_, 0);
}

TEST_P(ReceiverSuite, StopOfAnIdleReceiverIsDoneAtOnce) {
  receiver_->Stop(&OnStopped);
  EXPECT_TRUE(stopped_);
}

TEST_P(ReceiverSuite, StopGivesTheHeldBufferBack) {
  receiver_->Arm();
  PeerSend(fds_.peer, "x");
  RunUntil([&] { return receiver_->ready(); });
  EXPECT_EQ(engine().buffers().buffers_out(), 1u);
  receiver_->Stop(&OnStopped);
  EXPECT_TRUE(stopped_);
  EXPECT_FALSE(receiver_->ready());
  EXPECT_EQ(engine().buffers().buffers_out(), 0u);
}

TEST_P(ReceiverSuite, StopDropsBytesThatStillCome) {
  receiver_->Arm();
  PeerSend(fds_.peer, "x");
  receiver_->Stop(&OnStopped);
  RunUntil([&] { return stopped_; });
  EXPECT_FALSE(receiver_->ready());
  EXPECT_EQ(engine().buffers().buffers_out(), 0u);
}

TEST_P(ReceiverSuite, StopWhileWatchedLeavesTheToken) {
  receiver_->Watch(token());
  receiver_->Stop(&OnStopped);
  RunUntil([&] { return stopped_; });
  token().Cancel(CancelReason::kShutdown);
  Settle();
  EXPECT_EQ(unawaited_, 0);
}

INSTANTIATE_TEST_SUITE_P(All, ReceiverSuite, ::testing::ValuesIn(AllWorlds(100)), NameOfWorld);

}  // namespace
}  // namespace rondo::rt::testing
