// The sending half of a connection, on all engines and under many seeds of faults.
#include "rondo/rt/sender.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <utility>

#include "rt/rt_suite.h"

namespace rondo::rt::testing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string Numbers(size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

class SenderSuite : public RtSuite {
 public:
  using RtSuite::frames;

 protected:
  void SetUp() override {
    RtSuite::SetUp();
    if (IsSkipped()) return;
    fds_ = MakePair();
    sender_ = std::make_unique<Sender>(engine());
    sender_->Open(fds_.mine);
  }
  static Task<> SendOnce(SenderSuite& suite) {
    suite.result_ = co_await suite.sender_->Send(suite.token());
    ++suite.sends_done_;
  }

  // Far more than sockets hold: nobody takes all of it unless the peer reads.
  void AddTooMuch() {
    if (much_.empty()) much_ = Numbers(is_real() ? 8 << 20 : 1 << 20);
    for (size_t i = 0; i < Sender::kPartsMax; ++i) sender_->Add(much_.data(), much_.size());
  }
  // Ends this direction and returns all that the peer can read.
  std::string AllThatArrived() {
    engine().Shutdown(fds_.mine, io::ShutdownHow::kWrite);
    return PeerReceive(fds_.peer, SIZE_MAX);
  }
  // Whether `bytes` is the beginning of much_ again and again.
  bool IsMuch(std::string_view bytes) const {
    while (bytes.size() > much_.size()) {
      if (bytes.substr(0, much_.size()) != much_) return false;
      bytes.remove_prefix(much_.size());
    }
    return std::string_view(much_).substr(0, bytes.size()) == bytes;
  }

  Pair fds_{-1, -1};
  std::unique_ptr<Sender> sender_;
  Scope scope_;
  std::string much_;
  int32_t result_ = INT32_MIN;
  int sends_done_ = 0;
};

TEST_P(SenderSuite, SendsEveryPartInOrder) {
  struct Case {
    std::vector<size_t> parts;
  };
  const size_t large = is_real() ? 400'000 : 10'000;
  const Case cases[] = {{{1}},
                        {{100}},
                        {{large}},
                        {{10, 20}},
                        {{1, 1, 1, 1, 1, 1}},
                        {{200, 6, large, 2, 5, 1}},
                        {{large, 1, large, 1, large}}};
  for (const Case& c : cases) {
    std::vector<std::string> parts;
    std::string all;
    for (const size_t bytes : c.parts) {
      parts.push_back(Numbers(bytes));
      all += parts.back();
    }
    for (const std::string& part : parts) sender_->Add(part.data(), part.size());
    EXPECT_FALSE(sender_->empty());
    const int before = sends_done_;
    scope_.Spawn(SendOnce(*this));
    EXPECT_EQ(sends_done_, before) << "it never completes inline";
    EXPECT_EQ(PeerReceive(fds_.peer, all.size()), all);
    RunUntil([&] { return sends_done_ > before; });
    EXPECT_EQ(result_, 0);
    EXPECT_EQ(sender_->outcome(), 0);
    EXPECT_EQ(sender_->sent(), all.size());
    EXPECT_TRUE(sender_->empty());
  }
}

TEST_P(SenderSuite, NothingToSendIsSentAtOnce) {
  sender_->Add(nullptr, 0);
  EXPECT_TRUE(sender_->empty());
  scope_.Spawn(SendOnce(*this));
  EXPECT_EQ(sends_done_, 1);
  EXPECT_EQ(result_, 0);
  EXPECT_EQ(sender_->sent(), 0u);
}

TEST_P(SenderSuite, ACancelledTokenSendsNothingAndForgetsTheParts) {
  token().Cancel(CancelReason::kFinished);
  sender_->Add("abc", 3);
  scope_.Spawn(SendOnce(*this));
  EXPECT_EQ(sends_done_, 1);
  EXPECT_EQ(result_, -ECANCELED);
  EXPECT_EQ(sender_->sent(), 0u);
  EXPECT_TRUE(sender_->empty());
  token().ClearPassing();
  sender_->Add("d", 1);
  scope_.Spawn(SendOnce(*this));
  RunUntil([&] { return sends_done_ == 2; });
  EXPECT_EQ(result_, 0);
  EXPECT_EQ(AllThatArrived(), "d");
}

TEST_P(SenderSuite, CancelEndsASendThatThePeerDoesNotTake) {
  AddTooMuch();
  scope_.Spawn(SendOnce(*this));
  RunFor(is_real() ? milliseconds(20) : milliseconds(500));
  EXPECT_EQ(sends_done_, 0);
  token().Cancel(CancelReason::kClientGone);
  EXPECT_EQ(sends_done_, 0);
  RunUntil([&] { return sends_done_ == 1; });
  EXPECT_EQ(result_, -ECANCELED);
  const uint64_t sent = sender_->sent();
  EXPECT_LT(sent, much_.size() * Sender::kPartsMax);
  const std::string arrived = AllThatArrived();
  EXPECT_EQ(arrived.size(), sent);
  EXPECT_TRUE(IsMuch(arrived));
}

TEST_P(SenderSuite, CancelAtAnyMomentSaysHowMuchWasSent) {
  const std::string text = Numbers(is_real() ? 50'000 : 5'000);
  Rng rng(GetParam().seed);
  std::string expected;
  for (int round = 0; round < 10; ++round) {
    const size_t first = 1 + rng.Below(text.size() - 1);
    sender_->Add(text.data(), first);
    sender_->Add(text.data() + first, text.size() - first);
    const int before = sends_done_;
    scope_.Spawn(SendOnce(*this));
    if (rng.Chance(0.8)) RunFor(microseconds(rng.Between(0, 500)));
    token().Cancel(CancelReason::kDeadline);
    RunUntil([&] { return sends_done_ > before; });
    ASSERT_TRUE(result_ == 0 || result_ == -ECANCELED) << result_;
    ASSERT_EQ(result_ == 0, sender_->sent() == text.size());
    token().ClearPassing();
    const std::string piece = text.substr(0, sender_->sent());
    ASSERT_EQ(PeerReceive(fds_.peer, piece.size()), piece);
  }
  EXPECT_EQ(AllThatArrived(), "");
}

TEST_P(SenderSuite, ProgressMovesTheDeadline) {
  if (is_real()) GTEST_SKIP() << "needs virtual time";
  Deadline deadline(loop().wheel(), token());
  const Duration patience = seconds(10);
  sender_->WatchProgress(&deadline, patience);
  AddTooMuch();
  deadline.Set(engine().Now() + patience);
  const Instant began = engine().Now();
  scope_.Spawn(SendOnce(*this));
  // A peer that takes some now and then is waited for, however long it needs.
  Instant last = began;
  for (int i = 0; i < 10; ++i) {
    RunFor(seconds(7));
    ASSERT_EQ(sends_done_, 0);
    const uint64_t sent = sender_->sent();
    TestOp op;
    while (sender_->sent() == sent) {
      Submit(op, io::Op::Kind::kReceiveProvided, fds_.peer);
      ASSERT_TRUE(RunUntil([&] { return op.done(); }));
      RunFor(milliseconds(600));
    }
    last = engine().Now();
  }
  // One that takes nothing any more is not.
  RunUntil([&] { return sends_done_ == 1; });
  EXPECT_EQ(result_, -ECANCELED);
  EXPECT_EQ(token().reason(), CancelReason::kDeadline);
  EXPECT_GT(engine().Now() - began, seconds(77));
  EXPECT_LE(engine().Now(), last + patience + seconds(1));
  deadline.Clear();
  AllThatArrived();
}

TEST_P(SenderSuite, ABrokenPeerIsAnError) {
  engine().ResetOnClose(fds_.peer);
  PeerClose(fds_.peer);
  const std::string text = Numbers(100'000);
  for (int i = 0; i < 3; ++i) {
    // The first sends may go out before the reset has come.
    do {
      sender_->Add(text.data(), text.size());
      const int before = sends_done_;
      scope_.Spawn(SendOnce(*this));
      RunUntil([&] { return sends_done_ > before; });
    } while (result_ == 0);
    EXPECT_TRUE(result_ == -EPIPE || result_ == -ECONNRESET) << result_;
    EXPECT_TRUE(sender_->empty());
  }
}

// -- connecting --

class ConnectSuite : public RtSuite {
 public:
  using RtSuite::frames;

 protected:
  static Task<> ConnectOnce(ConnectSuite& suite, Sender* sender, io::RawAddress address) {
    suite.result_ = co_await sender->Connect(&address.any, address.length, suite.token());
    ++suite.connects_done_;
  }
  static Task<> SendOnce(ConnectSuite& suite, Sender* sender) {
    suite.result_ = co_await sender->Send(suite.token());
  }
  int32_t result_ = INT32_MIN;
  int connects_done_ = 0;
  Scope scope_;
};

TEST_P(ConnectSuite, ConnectsAndThenSends) {
  const SocketAddress at = world().AddressOf(Listen());
  const int fd = engine().OpenStream(at);
  Sender sender(engine());
  sender.Open(fd);
  scope_.Spawn(ConnectOnce(*this, &sender, io::ToRawAddress(at)));
  EXPECT_EQ(connects_done_, 0);
  RunUntil([&] { return connects_done_ == 1; });
  EXPECT_EQ(result_, 0);
  sender.Add("x", 1);
  scope_.Spawn(SendOnce(*this, &sender));
  RunUntil([&] { return scope_.count() == 0; });
  EXPECT_EQ(result_, 0);
  engine().Close(fd);
}

TEST_P(ConnectSuite, ARefusedConnectIsAnError) {
  const SocketAddress nobody = world().UnusedAddress(SocketAddress::Kind::kIp);
  const int fd = engine().OpenStream(nobody);
  Sender sender(engine());
  sender.Open(fd);
  scope_.Spawn(ConnectOnce(*this, &sender, io::ToRawAddress(nobody)));
  RunUntil([&] { return connects_done_ == 1; });
  EXPECT_EQ(result_, -ECONNREFUSED);
  engine().Close(fd);
}

TEST_P(ConnectSuite, ACancelledTokenDoesNotConnect) {
  const SocketAddress at = world().AddressOf(Listen());
  const int fd = engine().OpenStream(at);
  Sender sender(engine());
  sender.Open(fd);
  token().Cancel(CancelReason::kShutdown);
  scope_.Spawn(ConnectOnce(*this, &sender, io::ToRawAddress(at)));
  EXPECT_EQ(connects_done_, 1);
  EXPECT_EQ(result_, -ECANCELED);
  EXPECT_FALSE(sender.in_flight());
  engine().Close(fd);
}

TEST_P(ConnectSuite, CancelRacesWithTheResultAndEitherWins) {
  const SocketAddress at = world().AddressOf(Listen());
  Rng rng(GetParam().seed);
  for (int round = 0; round < 10; ++round) {
    const int fd = engine().OpenStream(at);
    Sender sender(engine());
    sender.Open(fd);
    const int before = connects_done_;
    scope_.Spawn(ConnectOnce(*this, &sender, io::ToRawAddress(at)));
    if (rng.Chance(0.7)) RunFor(microseconds(rng.Between(0, 2000)));
    token().Cancel(CancelReason::kDeadline);
    RunUntil([&] { return connects_done_ > before; });
    EXPECT_TRUE(result_ == 0 || result_ == -ECANCELED) << result_;
    EXPECT_FALSE(sender.in_flight());
    token().ClearPassing();
    engine().Close(fd);
  }
}

INSTANTIATE_TEST_SUITE_P(All, SenderSuite, ::testing::ValuesIn(AllWorlds(60)), NameOfWorld);
INSTANTIATE_TEST_SUITE_P(All, ConnectSuite, ::testing::ValuesIn(AllWorlds(60)), NameOfWorld);

}  // namespace
}  // namespace rondo::rt::testing
