// Discovery with everything real behind it: dnsmasq, c-ares, inotify, the epoll engine and the
// clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>

#include "control/cares_resolver.h"
#include "control/discovery.h"
#include "control/discovery_world.h"
#include "control/dns_servers.h"
#include "control/inotify_watcher.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::DiscoveryWorld;
using testing::Dnsmasq;
using ::testing::ElementsAre;
using testing::Folder;
using ::testing::IsEmpty;
using testing::ScriptedDns;

class DiscoveryRealTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = io::MakeEngine(io::EngineKind::kEpoll, io::EngineOptions{.buffers_max = 4});
    ASSERT_TRUE(made.ok());
    engine_ = *std::move(made);
    loop_ = std::make_unique<rt::Loop>(*engine_);
    watcher_ = std::make_unique<InotifyWatcher>(*loop_);
  }
  void TearDown() override {
    discovery_->Stop();
    watcher_->Stop();
    resolver_->Stop();
    while (!discovery_->stopped() || !watcher_->stopped() || !resolver_->stopped()) loop_->Tick();
    discovery_.reset();
    watcher_.reset();
    resolver_.reset();
  }
  void Begin(const SocketAddress& server, const std::vector<config::BackendSource>& sources) {
    settings_.servers = {server};
    settings_.timeout = milliseconds(300);
    settings_.attempts = 1;
    resolver_ = std::make_unique<CaresResolver>(*loop_, settings_);
    discovery_ = std::make_unique<Discovery>(*loop_, *resolver_, *watcher_, told, settings_);
    config::Upstream upstream;
    upstream.name = "api";
    upstream.sources = sources;
    discovery_->SetSources({&upstream});
  }
  void RunUntil(const std::function<bool()>& condition) {
    loop_->engine().Run(Instant::min());
    const Instant limit = loop_->Now() + seconds(30);
    while (!condition()) {
      ASSERT_LT(loop_->Now(), limit) << "nothing happened for thirty seconds";
      loop_->Tick(limit);
    }
  }
  void RunUntilNow(const std::vector<std::string>& expected) {
    RunUntil([&] { return told.Now("api/0") == expected; });
  }

  testing::RememberingListener told;
  config::Resolver settings_;
  std::unique_ptr<io::Engine> engine_;
  std::unique_ptr<rt::Loop> loop_;
  std::unique_ptr<CaresResolver> resolver_;
  std::unique_ptr<InotifyWatcher> watcher_;
  std::unique_ptr<Discovery> discovery_;
};

TEST_F(DiscoveryRealTest, FollowsANameThatIsScaledUpAndDown) {
  Dnsmasq dns("10.0.0.1 api.test\n10.0.0.2 api.test\n", {"--local-ttl=1"});
  Begin(dns.address, {DiscoveryWorld::Dns("api.test", 3000)});
  RunUntilNow({"10.0.0.1:3000", "10.0.0.2:3000"});
  dns.Reload("10.0.0.1 api.test\n10.0.0.2 api.test\n10.0.0.3 api.test\n2001:db8::1 api.test\n");
  RunUntilNow({"10.0.0.1:3000", "10.0.0.2:3000", "10.0.0.3:3000", "[2001:db8::1]:3000"});
  dns.Reload("10.0.0.3 api.test\n");
  RunUntilNow({"10.0.0.3:3000"});
  // The name goes: what it was is kept, until it is back.
  dns.Reload("10.0.0.9 other.test\n");
  RunUntil([&] { return !told.problems.empty(); });
  EXPECT_EQ(told.problems["api/0"], "api.test: no such name");
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.3:3000"));
  dns.Reload("10.0.0.4 api.test\n");
  RunUntilNow({"10.0.0.4:3000"});
  RunUntil([&] { return told.problems.empty(); });
}

TEST_F(DiscoveryRealTest, KeepsTheLastAnswerWhileTheServerFails) {
  const std::string good = R"({"api.test": {"A": ["10.0.0.1", "10.0.0.2"]}})";
  ScriptedDns dns(good);
  Begin(dns.address, {DiscoveryWorld::Dns("api.test", 80)});
  RunUntilNow({"10.0.0.1:80", "10.0.0.2:80"});
  for (const char* fail : {"servfail", "drop"}) {
    dns.SetZone(R"({"api.test": {"A": ["10.0.0.7"], "AAAA": ["2001:db8::7"], "fail": ")" +
                std::string(fail) + "\"}}");
    RunUntil([&] { return !told.problems.empty(); });
    EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80", "10.0.0.2:80")) << fail;
    dns.SetZone(good);
    RunUntil([&] { return told.problems.empty(); });
  }
  EXPECT_EQ(told.TimesTold("api/0"), 1u);
}

TEST_F(DiscoveryRealTest, FollowsAFileAsAConfigMapSwitchesIt) {
  namespace fs = std::filesystem;
  ScriptedDns dns(R"({"db.test": {"A": ["10.0.9.1"]}})");
  Folder folder;
  const auto version = [&](const std::string& name, const std::string& text) {
    fs::create_directories(folder.Path(name));
    std::ofstream(folder.Path(name + "/backends.yaml")) << text;
    fs::create_directory_symlink(name, folder.Path("..new"));
    fs::rename(folder.Path("..new"), folder.Path("..data"));
  };
  version("..1", "- 10.0.0.1:80\n");
  fs::create_symlink("..data/backends.yaml", folder.Path("backends.yaml"));
  Begin(dns.address, {DiscoveryWorld::File(folder.Path("backends.yaml"))});
  RunUntilNow({"10.0.0.1:80"});
  version("..2", "- 10.0.0.2:80\n- db.test:5432\n");
  RunUntilNow({"10.0.0.2:80", "db.test:5432"});
  version("..3", "- [not a backend\n");
  RunUntil([&] { return !told.problems.empty(); });
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.2:80", "db.test:5432"));
  version("..4", "[]\n");
  RunUntil([&] { return told.Now("api/0").empty(); });
  EXPECT_THAT(told.problems, IsEmpty());
}

}  // namespace
}  // namespace rondo::control
