// The thread that writes the access log: every byte arrives, and nobody ever waits for it.
#include "control/log_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;

class LogWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // As the program does: a reader that has gone is an error of write and no end of the process.
    signal(SIGPIPE, SIG_IGN);
    std::string folder = ::testing::TempDir() + "rondo_log_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string PathOf(const std::string& name) const { return folder_ + "/" + name; }
  static std::string Contents(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // Offers until it is taken.
  static void Hand(LogWriter& writer, size_t worker, std::string lines) {
    while (!writer.Offer(worker, lines)) std::this_thread::yield();
    EXPECT_TRUE(lines.empty());
  }
  template <class Condition>
  static bool Eventually(Condition condition) {
    const auto limit = Clock::now() + seconds(20);
    while (!condition()) {
      if (Clock::now() > limit) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  // The reading end of a fifo at `path`, made here.
  int OpenFifo(const std::string& path) {
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    return open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  // What can be read now.
  static std::string Drain(int fd) {
    std::string bytes;
    char buffer[65536];
    for (;;) {
      const ssize_t count = read(fd, buffer, sizeof(buffer));
      if (count <= 0) return bytes;
      bytes.append(buffer, static_cast<size_t>(count));
    }
  }

  std::string folder_;
};

std::string LineOf(size_t worker, int number) {
  return std::to_string(worker) + " " + std::to_string(number) + "\n";
}

// Whether each worker's lines are all there, in order and whole.
void ExpectAllLines(const std::string& text, size_t workers, int lines) {
  std::vector<int> next(workers, 0);
  std::istringstream stream(text);
  size_t worker = 0;
  int number = 0;
  while (stream >> worker >> number) {
    ASSERT_LT(worker, workers);
    ASSERT_EQ(number, next[worker]) << "of worker " << worker;
    ++next[worker];
  }
  for (size_t i = 0; i < workers; ++i) EXPECT_EQ(next[i], lines) << "of worker " << i;
}

TEST_F(LogWriterTest, WritesEveryLineOfEachWorkerInOrder) {
  constexpr size_t kWorkers = 3;
  constexpr int kLines = 3000;
  const std::string path = PathOf("access.log");
  {
    LogWriter writer(path, kWorkers);
    ASSERT_TRUE(writer.Start().ok());
    std::vector<std::thread> workers;
    for (size_t worker = 0; worker < kWorkers; ++worker) {
      workers.emplace_back([&writer, worker] {
        std::string held;
        for (int i = 0; i < kLines; ++i) {
          held += LineOf(worker, i);
          writer.Offer(worker, held);
        }
        if (!held.empty()) Hand(writer, worker, std::move(held));
      });
    }
    for (std::thread& each : workers) each.join();
  }
  ExpectAllLines(Contents(path), kWorkers, kLines);
}

TEST_F(LogWriterTest, AddsToAFileThatIsThere) {
  const std::string path = PathOf("access.log");
  for (const char* line : {"first\n", "second\n"}) {
    LogWriter writer(path, 1);
    ASSERT_TRUE(writer.Start().ok());
    Hand(writer, 0, line);
  }
  EXPECT_EQ(Contents(path), "first\nsecond\n");
}

TEST_F(LogWriterTest, AFileThatCannotBeOpenedIsAnErrorOfTheStart) {
  LogWriter writer(PathOf("missing/access.log"), 1);
  const absl::Status status = writer.Start();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("missing/access.log"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("No such file or directory"));
}

TEST_F(LogWriterTest, ASecondPieceIsRefusedWhileTheFirstIsNotWritten) {
  LogWriter writer(PathOf("access.log"), 2);  // not started: nothing is written
  std::string lines = "a\n";
  EXPECT_TRUE(writer.Offer(0, lines));
  EXPECT_TRUE(lines.empty());
  lines = "b\n";
  EXPECT_FALSE(writer.Offer(0, lines));
  EXPECT_EQ(lines, "b\n");
  EXPECT_TRUE(writer.Offer(1, lines));
}

TEST_F(LogWriterTest, ReopensAfterTheFileWasMovedAway) {
  const std::string path = PathOf("access.log");
  LogWriter writer(path, 1);
  ASSERT_TRUE(writer.Start().ok());
  std::string all;
  for (int i = 0; i < 5; ++i) {
    const std::string old = PathOf("access.log." + std::to_string(i));
    Hand(writer, 0, LineOf(0, 2 * i));
    ASSERT_TRUE(Eventually([&] { return !Contents(path).empty(); }));
    std::filesystem::rename(path, old);
    // Until it is told, it goes on in the file that was moved.
    Hand(writer, 0, LineOf(0, 2 * i + 1));
    ASSERT_TRUE(
        Eventually([&] { return Contents(old) == LineOf(0, 2 * i) + LineOf(0, 2 * i + 1); }));
    writer.Reopen();
    ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(path); }));
    all += Contents(old);
  }
  ExpectAllLines(all, 1, 10);
}

TEST_F(LogWriterTest, AFailedReopenGoesOnWithTheOldFile) {
  std::filesystem::create_directory(PathOf("logs"));
  const std::string path = PathOf("logs/access.log");
  LogWriter writer(path, 1);
  ASSERT_TRUE(writer.Start().ok());
  std::filesystem::rename(PathOf("logs"), PathOf("moved"));
  writer.Reopen();
  Hand(writer, 0, "still here\n");
  EXPECT_TRUE(Eventually([&] { return Contents(PathOf("moved/access.log")) == "still here\n"; }));
}

TEST_F(LogWriterTest, WritesToAPipeThatIsRead) {
  const std::string path = PathOf("fifo");
  const int reader = OpenFifo(path);
  std::string got;
  {
    LogWriter writer(path, 1);
    ASSERT_TRUE(writer.Start().ok());
    for (int i = 0; i < 50; ++i) {
      std::string lines;
      for (int k = 0; k < 500; ++k) lines += LineOf(0, 500 * i + k);
      while (!writer.Offer(0, lines)) got += Drain(reader);
    }
    ASSERT_TRUE(Eventually([&] {
      got += Drain(reader);
      return got.ends_with(LineOf(0, 24'999));
    }));
  }
  ExpectAllLines(got, 1, 25'000);
  close(reader);
}

TEST_F(LogWriterTest, APipeThatNobodyReadsHoldsUpNoWorkerAndNoStop) {
  const std::string path = PathOf("fifo");
  const int reader = OpenFifo(path);
  const std::string piece(300'000, 'x');
  const auto began = Clock::now();
  {
    LogWriter writer(path, 2);
    ASSERT_TRUE(writer.Start().ok());
    for (size_t worker = 0; worker < 2; ++worker) {
      std::string lines = piece;
      EXPECT_TRUE(writer.Offer(worker, lines));
    }
    // The first piece sticks in the pipe; what is offered now is refused at once.
    std::this_thread::sleep_for(milliseconds(20));
    std::string lines = piece;
    int refused = 0;
    for (int i = 0; i < 1000; ++i) refused += writer.Offer(0, lines) ? 0 : 1;
    EXPECT_EQ(refused, 1000);
    EXPECT_EQ(lines, piece);
    EXPECT_LT(Clock::now() - began, seconds(10));
  }
  EXPECT_LT(Clock::now() - began, seconds(15));
  EXPECT_GT(Drain(reader).size(), 0u);
  close(reader);
}

TEST_F(LogWriterTest, APipeWhoseReaderHasGoneDoesNotEndTheProcess) {
  const std::string path = PathOf("fifo");
  const int reader = OpenFifo(path);
  LogWriter writer(path, 1);
  ASSERT_TRUE(writer.Start().ok());
  close(reader);
  for (int i = 0; i < 3; ++i) Hand(writer, 0, "lost\n");
  // A reader that comes back gets what is written from then on.
  const int again = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  std::string got;
  ASSERT_TRUE(Eventually([&] {
    std::string lines = "heard\n";
    writer.Offer(0, lines);
    got += Drain(again);
    return got.find("heard\n") != std::string::npos;
  }));
  close(again);
}

TEST_F(LogWriterTest, AFullDiskLosesLinesAndNothingElse) {
  const std::string path = PathOf("access.log");
  LogWriter writer(path, 1);
  ASSERT_TRUE(writer.Start().ok());
  // A limit on the size of files stands for the disk.
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{8, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  Hand(writer, 0, "12345678\n");
  for (int i = 0; i < 3; ++i) Hand(writer, 0, "lost\n");
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_TRUE(Eventually([&] {
    std::string lines = "back\n";
    writer.Offer(0, lines);
    return Contents(path).ends_with("back\n");
  }));
}

TEST_F(LogWriterTest, StopsWithoutEverHavingStarted) { const LogWriter writer(PathOf("x"), 4); }

}  // namespace
}  // namespace rondo::control
