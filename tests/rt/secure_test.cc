// Handshakes as flows, on all engines and under many seeds of faults; the handshake itself is
// scripted.
#include "rondo/rt/secure.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <utility>

#include "io/test_channel.h"
#include "rt/rt_suite.h"

namespace rondo::rt::testing {
namespace {

using std::chrono::milliseconds;

// Wants "hello", answers "welcome", wants "thanks" and says "bye": then it is done. Anything else
// fails with the alert "no!".
class ScriptedHandshake final : public tls::Handshake {
 public:
  Step Advance(std::string_view received, size_t* consumed) override {
    const std::string_view wanted = stage_ == 0 ? "hello" : "thanks";
    const size_t missing = wanted.size() - taken_.size();
    *consumed = std::min(missing, received.size());
    taken_ += received.substr(0, *consumed);
    if (taken_ != wanted.substr(0, taken_.size())) {
      output_ = "no!";
      return Step::kFailed;
    }
    if (taken_.size() < wanted.size()) return Step::kNeedMore;
    taken_.clear();
    output_ += ++stage_ == 1 ? "welcome" : "bye";
    if (stage_ == 2) return Step::kDone;
    // Like one that finds more where it looks for more.
    size_t more = 0;
    const Step step = Advance(received.substr(*consumed), &more);
    *consumed += more;
    return step;
  }
  std::string_view output() const override { return output_; }
  void OutputTaken() override { output_.clear(); }
  const char* reason() const override { return "protocol"; }
  const std::string& detail() const override { return output_; }
  tls::HandshakeResult TakeResult() override {
    tls::HandshakeResult result;
    result.alpn = "scripted";
    return result;
  }
  std::unique_ptr<tls::Channel> TakeChannel() override {
    return io::testing::MakeTestChannels(3).second;
  }

 private:
  int stage_ = 0;
  std::string taken_;
  std::string output_;
};

class SecureSuite : public RtSuite {
 public:
  using RtSuite::frames;

 protected:
  void SetUp() override {
    RtSuite::SetUp();
    if (IsSkipped()) return;
    fds_ = MakePair();
  }
  static Task<> Run(SecureSuite& suite, std::string received) {
    suite.secured_ = co_await Secure(suite.loop(), suite.fds_.mine, suite.handshake_, received,
                                     false, suite.token());
    suite.done_ = true;
    if (suite.secured_.fd >= 0) suite.Replace(suite.fds_.mine, suite.secured_.fd);
  }
  // What the peer says with the first bytes of its channel.
  static std::string Sealed(std::string_view plain) {
    static_assert(tls::kRecordHeader == 5);
    auto channel = io::testing::MakeTestChannels(3).first;
    const iovec part{const_cast<char*>(plain.data()), plain.size()};
    std::string record(channel->SealedSize(plain.size()), '\0');
    record.resize(channel->Seal(std::span<const iovec>(&part, 1), 0, plain.size(), record.data()));
    return record;
  }

  void Start(std::string received = {}) { scope_.Spawn(Run(*this, std::move(received))); }
  void WaitUntilDone() {
    RunUntil([this] { return done_; });
  }

  Scope scope_;
  Pair fds_{};
  ScriptedHandshake handshake_;
  Secured secured_;
  bool done_ = false;
};

TEST_P(SecureSuite, AHandshakeInPiecesLeadsToASecuredDescriptor) {
  Start();
  PeerSend(fds_.peer, "he");
  Settle();
  EXPECT_FALSE(done_);
  EXPECT_EQ(engine().buffers().buffers_out(), 0u);  // nothing is held while the peer is waited for
  PeerSend(fds_.peer, "llo");
  EXPECT_EQ(PeerReceive(fds_.peer, 7), "welcome");
  PeerSend(fds_.peer, "thanks");
  EXPECT_EQ(PeerReceive(fds_.peer, 3), "bye");
  WaitUntilDone();
  ASSERT_TRUE(io::SecureEngine::secured(secured_.fd));
  EXPECT_EQ(secured_.error, 0);
  EXPECT_EQ(secured_.result.alpn, "scripted");
  // Received at the same time: a simulated connection may hold but few bytes.
  TestOp receive;
  Submit(receive, io::Op::Kind::kReceiveProvided, secured_.fd);
  PeerSend(fds_.peer, Sealed("hidden"));
  RunUntil([&] { return receive.done(); });
  EXPECT_EQ(receive.bytes, "hidden");
}

TEST_P(SecureSuite, BytesBehindTheHandshakeAreTheChannels) {
  const std::string all = "hellothanks" + Sealed("early");
  Start(all);
  EXPECT_EQ(PeerReceive(fds_.peer, 10), "welcomebye");
  WaitUntilDone();
  ASSERT_GE(secured_.fd, 0);
  EXPECT_EQ(PeerReceive(secured_.fd, 5), "early");
}

TEST_P(SecureSuite, BytesThatAreHereAlreadyAreTheHandshakes) {
  Start("hel");
  PeerSend(fds_.peer, "lo");
  EXPECT_EQ(PeerReceive(fds_.peer, 7), "welcome");
  PeerSend(fds_.peer, "thanks");
  EXPECT_EQ(PeerReceive(fds_.peer, 3), "bye");
  WaitUntilDone();
  EXPECT_GE(secured_.fd, 0);
}

TEST_P(SecureSuite, AFailedHandshakeSaysWhyAndLeavesTheDescriptor) {
  Start();
  PeerSend(fds_.peer, "G");
  EXPECT_EQ(PeerReceive(fds_.peer, 3), "no!");
  WaitUntilDone();
  EXPECT_EQ(secured_.fd, -1);
  EXPECT_EQ(secured_.error, EPROTO);
}

TEST_P(SecureSuite, APeerThatGoesAwayEndsIt) {
  for (const char* said : {"", "hel", "hello", "hellotha"}) {
    handshake_ = ScriptedHandshake();
    done_ = false;
    Start();
    PeerSend(fds_.peer, std::string_view(said).substr(0, 5));
    if (std::string_view(said).size() >= 5) PeerReceive(fds_.peer, 7);
    if (std::string_view(said).size() > 5) PeerSend(fds_.peer, std::string_view(said).substr(5));
    PeerClose(fds_.peer);
    WaitUntilDone();
    EXPECT_EQ(secured_.fd, -1);
    EXPECT_EQ(secured_.error, ECONNRESET) << said;
    fds_ = MakePair();
  }
}

TEST_P(SecureSuite, ADeadlineEndsItAtEachStage) {
  for (const char* said : {"", "hel", "hello"}) {
    handshake_ = ScriptedHandshake();
    done_ = false;
    Start();
    PeerSend(fds_.peer, said);
    {
      Deadline deadline(loop().wheel(), token());
      deadline.Set(loop().Now() + milliseconds(30));
      WaitUntilDone();
    }
    EXPECT_EQ(secured_.fd, -1);
    EXPECT_EQ(secured_.error, ECANCELED) << said;
    token().ClearPassing();
    fds_ = MakePair();
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, SecureSuite, ::testing::ValuesIn(AllWorlds(30)), NameOfWorld);

}  // namespace
}  // namespace rondo::rt::testing
