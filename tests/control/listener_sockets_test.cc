// The sockets of all listeners, for all workers, or an error and none; and what a reload changes of
// them.
#include "control/listener_sockets.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "rondo/io/engine.h"
#include "rondo/io/socket_address.h"

namespace rondo::control {
namespace {

using ::testing::HasSubstr;

class ListenerSocketsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "rondo_listen_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    descriptors_before_ = OpenDescriptors();
  }
  void TearDown() override {
    EXPECT_EQ(OpenDescriptors(), descriptors_before_);
    std::filesystem::remove_all(folder_);
  }
  static size_t OpenDescriptors() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
      ++count;
    }
    return count;
  }
  static config::Config Listening(const std::vector<std::vector<std::string>>& listeners) {
    config::Config config;
    for (size_t i = 0; i < listeners.size(); ++i) {
      config::Listener listener;
      listener.name = "listener" + std::to_string(i);
      for (const std::string& address : listeners[i]) {
        listener.listen.push_back(*SocketAddress::Parse(address, /*allow_any=*/true));
      }
      config.listeners.push_back(listener);
    }
    return config;
  }
  // 0 or the errno of a blocking connect.
  static int Connect(const SocketAddress& address) {
    const io::RawAddress raw = io::ToRawAddress(address);
    const int fd = socket(raw.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int result = connect(fd, &raw.any, raw.length) == 0 ? 0 : errno;
    close(fd);
    return result;
  }

  static void CloseWorkers(const ListenerSockets::Change& change) {
    for (const auto& of_worker : change.open) {
      for (const auto& socket : of_worker) close(socket.fd);
    }
  }
  static ListenerSockets::Change Apply(ListenerSockets& sockets, const config::Config& config) {
    const absl::Status prepared = sockets.Prepare(config);
    EXPECT_TRUE(prepared.ok()) << std::string(prepared.message());
    return sockets.Commit();
  }
  static std::string AddressOf(const ListenSocket& socket) {
    return io::BoundAddress(socket.fd).ToString();
  }

  std::string folder_;
  size_t descriptors_before_ = 0;
};

TEST_F(ListenerSocketsTest, EachWorkerHasItsOwnSocketOfEachAddress) {
  ListenerSockets sockets(3);
  const auto change = Apply(sockets, Listening({{"127.0.0.1:0", "[::1]:0"}, {"127.0.0.2:0"}}));
  ASSERT_EQ(change.open.size(), 3u);
  EXPECT_TRUE(change.close.empty());
  std::set<ino_t> inodes;
  for (const auto& of_worker : change.open) {
    ASSERT_EQ(of_worker.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      struct stat info{};
      ASSERT_EQ(fstat(of_worker[i].fd, &info), 0);
      inodes.insert(info.st_ino);
      EXPECT_EQ(of_worker[i].listener, i < 2 ? "listener0" : "listener1");
      EXPECT_EQ(of_worker[i].id, change.open[0][i].id);
      // The kernel chose the port once, for all of them.
      EXPECT_EQ(AddressOf(of_worker[i]), AddressOf(change.open[0][i]));
      EXPECT_NE(io::BoundAddress(of_worker[i].fd).port, 0);
      EXPECT_TRUE((fcntl(of_worker[i].fd, F_GETFD) & FD_CLOEXEC) != 0);
      EXPECT_TRUE((fcntl(of_worker[i].fd, F_GETFL) & O_NONBLOCK) != 0);
    }
  }
  EXPECT_EQ(inodes.size(), 9u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(Connect(io::BoundAddress(change.open[0][i].fd)), 0);
  CloseWorkers(change);
  sockets.CloseAll();
}

TEST_F(ListenerSocketsTest, WorkersShareTheSocketOfAUnixPath) {
  const std::string path = folder_ + "/web.sock";
  ListenerSockets sockets(3);
  const auto change = Apply(sockets, Listening({{"unix:" + path}}));
  struct stat first{};
  ASSERT_EQ(fstat(change.open[0][0].fd, &first), 0);
  for (const auto& of_worker : change.open) {
    ASSERT_EQ(of_worker.size(), 1u);
    struct stat info{};
    ASSERT_EQ(fstat(of_worker[0].fd, &info), 0);
    EXPECT_EQ(info.st_ino, first.st_ino);
  }
  EXPECT_EQ(Connect(*SocketAddress::Parse("unix:" + path)), 0);
  CloseWorkers(change);
  sockets.CloseAll();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ListenerSocketsTest, ASocketFileThatNobodyServesIsReplaced) {
  const std::string path = folder_ + "/web.sock";
  {
    // Destroyed without CloseAll, as by a process that was killed: the file stays.
    ListenerSockets killed(1);
    CloseWorkers(Apply(killed, Listening({{"unix:" + path}})));
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  ListenerSockets sockets(1);
  const auto change = Apply(sockets, Listening({{"unix:" + path}}));
  EXPECT_EQ(Connect(*SocketAddress::Parse("unix:" + path)), 0);
  CloseWorkers(change);
  sockets.CloseAll();
}

TEST_F(ListenerSocketsTest, AnAddressThatIsTakenIsAnErrorAndEverythingIsClosedAgain) {
  for (const size_t workers : {1u, 2u}) {
    ListenerSockets first(workers);
    const auto change = Apply(first, Listening({{"127.0.0.1:0"}}));
    const std::string taken = AddressOf(change.open[0][0]);
    const size_t before = OpenDescriptors();
    for (const size_t second_workers : {1u, 2u}) {
      ListenerSockets second(second_workers);
      const std::string path = folder_ + "/s.sock";
      const absl::Status status =
          second.Prepare(Listening({{"127.0.0.1:0", "unix:" + path}, {taken}}));
      ASSERT_FALSE(status.ok());
      EXPECT_THAT(std::string(status.message()), HasSubstr("listener listener1: "));
      EXPECT_THAT(std::string(status.message()), HasSubstr(taken));
      EXPECT_EQ(OpenDescriptors(), before);
      EXPECT_FALSE(std::filesystem::exists(path));
    }
    CloseWorkers(change);
    first.CloseAll();
  }
}

TEST_F(ListenerSocketsTest, AReloadTouchesOnlyWhatChanged) {
  ListenerSockets sockets(2);
  const std::string path = folder_ + "/web.sock";
  config::Config config = Listening({{"127.0.0.1:0"}, {"unix:" + path}});
  const auto first = Apply(sockets, config);
  const auto same = Apply(sockets, config);
  EXPECT_TRUE(same.close.empty());
  for (const auto& of_worker : same.open) EXPECT_TRUE(of_worker.empty());

  config.listeners.erase(config.listeners.begin() + 1);
  config.listeners[0].listen.push_back(*SocketAddress::Parse("127.0.0.2:0"));
  const auto second = Apply(sockets, config);
  EXPECT_EQ(second.close, std::vector<uint32_t>{first.open[0][1].id});
  for (const auto& of_worker : second.open) {
    ASSERT_EQ(of_worker.size(), 1u);
    EXPECT_EQ(of_worker[0].listener, "listener0");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  CloseWorkers(first);
  CloseWorkers(second);
  sockets.CloseAll();
}

TEST_F(ListenerSocketsTest, ListenersWhosePortsTheKernelChoseKeepEachItsOwn) {
  ListenerSockets sockets(2);
  config::Config config = Listening({{"127.0.0.1:0", "127.0.0.1:0"}, {"127.0.0.1:0"}});
  const auto first = Apply(sockets, config);
  const auto same = Apply(sockets, config);
  EXPECT_TRUE(same.close.empty());
  for (const auto& of_worker : same.open) EXPECT_TRUE(of_worker.empty());
  // One goes, and the other stays as it is.
  config.listeners.erase(config.listeners.begin());
  const auto second = Apply(sockets, config);
  EXPECT_EQ(second.close, (std::vector<uint32_t>{first.open[0][0].id, first.open[0][1].id}));
  for (const auto& of_worker : second.open) EXPECT_TRUE(of_worker.empty());
  CloseWorkers(first);
  sockets.CloseAll();
}

TEST_F(ListenerSocketsTest, AnAddressGoesToAnotherListenerWithTheSameSocket) {
  for (const size_t workers : {1u, 2u}) {
    ListenerSockets sockets(workers);
    config::Config config = Listening({{"127.0.0.1:0"}});
    const auto first = Apply(sockets, config);
    config.listeners[0].name = "renamed";
    const auto second = Apply(sockets, config);
    EXPECT_EQ(second.close, std::vector<uint32_t>{first.open[0][0].id});
    ASSERT_EQ(second.open[0].size(), 1u);
    EXPECT_EQ(second.open[0][0].listener, "renamed");
    EXPECT_NE(second.open[0][0].id, first.open[0][0].id);
    EXPECT_EQ(AddressOf(second.open[0][0]), AddressOf(first.open[0][0]));
    const SocketAddress address = io::BoundAddress(first.open[0][0].fd);
    // Who came before the change is still in the backlog after it.
    EXPECT_EQ(Connect(address), 0);
    CloseWorkers(first);
    const int accepted = accept(second.open[0][0].fd, nullptr, nullptr);
    if (workers == 1) EXPECT_GE(accepted, 0);
    if (accepted >= 0) close(accepted);
    EXPECT_EQ(Connect(address), 0);
    CloseWorkers(second);
    sockets.CloseAll();
    EXPECT_EQ(Connect(address), ECONNREFUSED);
  }
}

TEST_F(ListenerSocketsTest, WhatWasPreparedCanBeDropped) {
  ListenerSockets sockets(2);
  const auto first = Apply(sockets, Listening({{"127.0.0.1:0"}}));
  const size_t before = OpenDescriptors();
  config::Config other = Listening({{"127.0.0.2:0"}});
  other.listeners.push_back(Listening({{"127.0.0.1:0"}}).listeners[0]);
  ASSERT_TRUE(sockets.Prepare(other).ok());
  sockets.DropPrepared();
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(Connect(io::BoundAddress(first.open[0][0].fd)), 0);
  CloseWorkers(first);
  sockets.CloseAll();
}

}  // namespace
}  // namespace rondo::control
