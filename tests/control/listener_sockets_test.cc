// The sockets of all listeners, for all workers, or an error and none.
#include "control/listeners.h"

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
using Sockets = std::vector<std::vector<proxy::ListenFd>>;

class ListenersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "rondo_listen_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    descriptors_before_ = OpenDescriptors();
  }
  void TearDown() override {
    CloseAll();
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
  void Open(const config::Config& config, size_t workers) {
    auto opened = OpenListeners(config, workers);
    ASSERT_TRUE(opened.ok()) << std::string(opened.status().message());
    sockets_ = *std::move(opened);
  }
  void CloseAll() {
    for (const auto& of_worker : sockets_) {
      for (const auto& socket : of_worker) close(socket.fd);
    }
    sockets_.clear();
  }
  // 0 or the errno of a blocking connect.
  static int Connect(const SocketAddress& address) {
    const io::RawAddress raw = io::ToRawAddress(address);
    const int fd = socket(raw.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int result = connect(fd, &raw.any, raw.length) == 0 ? 0 : errno;
    close(fd);
    return result;
  }

  std::string folder_;
  size_t descriptors_before_ = 0;
  Sockets sockets_;
};

TEST_F(ListenersTest, EachWorkerHasItsOwnSocketOfEachAddress) {
  Open(Listening({{"127.0.0.1:0", "[::1]:0"}, {"127.0.0.1:0"}}), 3);
  ASSERT_EQ(sockets_.size(), 3u);
  std::set<int> descriptors;
  for (const auto& of_worker : sockets_) {
    ASSERT_EQ(of_worker.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      descriptors.insert(of_worker[i].fd);
      EXPECT_EQ(of_worker[i].listener, i < 2 ? 0u : 1u);
      // The kernel chose the port once, for all of them.
      EXPECT_EQ(io::BoundAddress(of_worker[i].fd), io::BoundAddress(sockets_[0][i].fd));
      EXPECT_NE(io::BoundAddress(of_worker[i].fd).port, 0);
      EXPECT_TRUE((fcntl(of_worker[i].fd, F_GETFD) & FD_CLOEXEC) != 0);
      EXPECT_TRUE((fcntl(of_worker[i].fd, F_GETFL) & O_NONBLOCK) != 0);
    }
  }
  EXPECT_EQ(descriptors.size(), 9u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(Connect(io::BoundAddress(sockets_[0][i].fd)), 0);
}

TEST_F(ListenersTest, WorkersShareTheSocketOfAUnixPath) {
  const std::string path = folder_ + "/web.sock";
  const config::Config config = Listening({{"unix:" + path}});
  Open(config, 3);
  struct stat first{};
  ASSERT_EQ(fstat(sockets_[0][0].fd, &first), 0);
  for (const auto& of_worker : sockets_) {
    ASSERT_EQ(of_worker.size(), 1u);
    struct stat info{};
    ASSERT_EQ(fstat(of_worker[0].fd, &info), 0);
    EXPECT_EQ(info.st_ino, first.st_ino);
    EXPECT_TRUE((fcntl(of_worker[0].fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
  EXPECT_EQ(Connect(*SocketAddress::Parse("unix:" + path)), 0);
  RemoveSocketFiles(config);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ListenersTest, ASocketFileThatNobodyServesIsReplaced) {
  const std::string path = folder_ + "/web.sock";
  const config::Config config = Listening({{"unix:" + path}});
  Open(config, 1);
  CloseAll();
  ASSERT_TRUE(std::filesystem::exists(path));
  Open(config, 1);
  EXPECT_EQ(Connect(*SocketAddress::Parse("unix:" + path)), 0);
  CloseAll();
  RemoveSocketFiles(config);
}

TEST_F(ListenersTest, AnAddressThatIsTakenIsAnErrorAndEverythingIsClosedAgain) {
  for (const size_t workers : {1u, 2u}) {
    Open(Listening({{"127.0.0.1:0"}}), workers);
    const std::string taken = io::BoundAddress(sockets_[0][0].fd).ToString();
    const size_t before = OpenDescriptors();
    for (const size_t second_workers : {1u, 2u}) {
      const auto second = OpenListeners(
          Listening({{"127.0.0.1:0", "unix:" + folder_ + "/s.sock"}, {taken}}), second_workers);
      ASSERT_FALSE(second.ok());
      EXPECT_THAT(std::string(second.status().message()), HasSubstr("listener listener1: "));
      EXPECT_THAT(std::string(second.status().message()), HasSubstr(taken));
      EXPECT_EQ(OpenDescriptors(), before);
    }
    CloseAll();
  }
}

TEST_F(ListenersTest, RemovesFilesOfSocketsOnly) {
  const std::string path = folder_ + "/gone.sock";
  const config::Config config =
      Listening({{"unix:" + path, "127.0.0.1:0", "unix:@rondo-test-abstract"}});
  RemoveSocketFiles(config);  // nothing is there: nothing happens
  Open(config, 1);
  RemoveSocketFiles(config);
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace rondo::control
