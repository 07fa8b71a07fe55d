// The prober on the engine that the control thread runs on, with real sockets.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/prober.h"
#include "rondo/io/engine.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class ProberEngineTest : public ::testing::Test, public ProbeListener {
 protected:
  void SetUp() override {
    auto made = io::MakeEngine(io::EngineKind::kEpoll, {});
    ASSERT_TRUE(made.ok()) << made.status();
    engine_ = std::move(*made);
    loop_ = std::make_unique<rt::Loop>(*engine_);
    prober_ = std::make_unique<Prober>(*loop_, *this, 1);
  }
  void TearDown() override {
    prober_->Stop();
    const Instant latest = loop_->Now() + seconds(10);
    while (!prober_->stopped() && loop_->Now() < latest) loop_->Tick(latest);
    EXPECT_TRUE(prober_->stopped());
    prober_.reset();
    if (listener_ >= 0) close(listener_);
  }
  void OnCheck(uint64_t, const health::CheckResult& result) override { results_.push_back(result); }
  void OnWarmedUp(uint64_t, uint32_t succeeded) override { warmed_.push_back(succeeded); }

  // An address with a socket that nobody accepts from: the kernel does, and never answers.
  SocketAddress Listen() {
    auto opened = io::OpenListener(*SocketAddress::Parse("127.0.0.1:0"), io::ListenMode::kAlone);
    EXPECT_TRUE(opened.ok()) << opened.status();
    listener_ = *opened;
    return io::BoundAddress(listener_);
  }
  health::CheckResult CheckOnce(const SocketAddress& address, config::HealthCheck check) {
    check.interval = minutes(10);
    prober_->Add({.serial = 1,
                  .address = address,
                  .check = std::make_shared<const config::HealthCheck>(check)});
    const Instant latest = loop_->Now() + seconds(10);
    while (results_.empty() && loop_->Now() < latest) loop_->Tick(latest);
    return results_.empty() ? health::CheckResult{.detail = "no result"} : results_[0];
  }
  // Accepts the check that waits and answers it.
  void Answer(std::string_view bytes) {
    const Instant latest = loop_->Now() + seconds(1);
    int fd = accept(listener_, nullptr, nullptr);
    while (fd < 0 && loop_->Now() < latest) {
      loop_->Tick(loop_->Now() + milliseconds(1));
      fd = accept(listener_, nullptr, nullptr);
    }
    ASSERT_GE(fd, 0);
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    close(fd);
  }

  std::unique_ptr<io::Engine> engine_;
  std::unique_ptr<rt::Loop> loop_;
  std::unique_ptr<Prober> prober_;
  std::vector<health::CheckResult> results_;
  std::vector<uint32_t> warmed_;
  int listener_ = -1;
};

TEST_F(ProberEngineTest, ConnectsAndThatIsEnoughForTcp) {
  const health::CheckResult result = CheckOnce(Listen(), {.type = config::HealthCheck::Type::kTcp});
  EXPECT_TRUE(result.passed()) << result.detail;
}

TEST_F(ProberEngineTest, IsRefusedWhereNobodyListens) {
  const SocketAddress address = Listen();
  close(std::exchange(listener_, -1));
  EXPECT_EQ(CheckOnce(address, {}).detail, "connect_refused");
}

TEST_F(ProberEngineTest, IsRefusedWhereThereIsNoSuchUnixSocket) {
  const auto address = *SocketAddress::Parse("unix:" + ::testing::TempDir() + "no_such_socket");
  const health::CheckResult result = CheckOnce(address, {});
  EXPECT_EQ(CheckOutcomeName(result.outcome), "connect_refused");
  EXPECT_EQ(result.detail, "connect_refused: No such file or directory");
}

TEST_F(ProberEngineTest, WaitsForAnAnswerAsLongAsItsTimeout) {
  const health::CheckResult result = CheckOnce(Listen(), {.timeout = milliseconds(100)});
  EXPECT_EQ(result.detail, "response_timeout");
  EXPECT_GE(result.took, milliseconds(100));
}

TEST_F(ProberEngineTest, ReadsTheAnswer) {
  const SocketAddress address = Listen();
  prober_->Add({.serial = 1, .address = address, .check = std::make_shared<config::HealthCheck>()});
  const Instant latest = loop_->Now() + seconds(10);
  Answer("HTTP/1.1 503 Not now\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  while (results_.empty() && loop_->Now() < latest) loop_->Tick(latest);
  ASSERT_EQ(results_.size(), 1u);
  EXPECT_EQ(results_[0].detail, "status 503, expected 200");
}

TEST_F(ProberEngineTest, WarmUpsThatAreRefusedAreOverAtOnce) {
  const SocketAddress address = Listen();
  close(std::exchange(listener_, -1));
  prober_->Add({.serial = 1, .address = address, .check = nullptr});
  prober_->StartWarmUp(1, {.requests = 10, .concurrency = 3});
  const Instant latest = loop_->Now() + seconds(5);
  while (warmed_.empty() && loop_->Now() < latest) loop_->Tick(latest);
  EXPECT_EQ(warmed_, std::vector<uint32_t>{0});
}

}  // namespace
}  // namespace rondo::control
