// Real files: each way in which a file is changed in practice is seen, and nothing else wakes us.
#include "control/inotify_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>

#include "rondo/io/engine.h"

namespace rondo::control {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Counted : public FileWatch {
 public:
  explicit Counted(const std::string& watched)
      : FileWatch(watched, [](FileWatch& watch) { ++static_cast<Counted&>(watch).times; }) {}
  int times = 0;
};

class InotifyWatcherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "rondo_watch_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = fs::canonical(folder);
    auto made = io::MakeEngine(io::EngineKind::kEpoll, io::EngineOptions{.buffers_max = 4});
    ASSERT_TRUE(made.ok());
    engine_ = *std::move(made);
    loop_ = std::make_unique<rt::Loop>(*engine_);
    watcher_ = std::make_unique<InotifyWatcher>(*loop_);
  }
  void TearDown() override {
    for (const auto& watch : watches_) watcher_->Unwatch(*watch);
    watcher_->Stop();
    while (!watcher_->stopped()) loop_->Tick();
    watcher_.reset();
    loop_.reset();
    engine_.reset();
    fs::remove_all(folder_);
  }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
  }
  Counted& Watch(const std::string& path) {
    watches_.push_back(std::make_unique<Counted>(path));
    const absl::Status status = watcher_->Watch(*watches_.back());
    EXPECT_TRUE(status.ok()) << std::string(status.message());
    return *watches_.back();
  }
  // Lets all come that has happened: a marker file of our own is seen after it.
  void Settle() {
    Counted marker(Path("marker"));
    ASSERT_TRUE(watcher_->Watch(marker).ok());
    Write("marker", "");
    engine_->Run(Instant::min());
    const Instant limit = engine_->Now() + seconds(20);
    while (marker.times == 0 && engine_->Now() < limit) loop_->Tick(limit);
    EXPECT_GT(marker.times, 0) << "nothing was seen for twenty seconds";
    watcher_->Unwatch(marker);
    fs::remove(Path("marker"));
  }
  // How often the watch was told since the last time.
  int News(Counted& watch) {
    Settle();
    return std::exchange(watch.times, 0);
  }

  std::string folder_;
  std::unique_ptr<io::Engine> engine_;
  std::unique_ptr<rt::Loop> loop_;
  std::unique_ptr<InotifyWatcher> watcher_;
  std::vector<std::unique_ptr<Counted>> watches_;
};

TEST_F(InotifyWatcherTest, SeesAFileWrittenReplacedRemovedAndBack) {
  Write("b.yaml", "one");
  Counted& watch = Watch(Path("b.yaml"));
  EXPECT_EQ(News(watch), 0);
  Write("b.yaml", "two");
  EXPECT_GT(News(watch), 0);
  Write("b.yaml.tmp", "three");
  EXPECT_EQ(News(watch), 0);
  fs::rename(Path("b.yaml.tmp"), Path("b.yaml"));
  EXPECT_GT(News(watch), 0);
  // It is the new file that is watched.
  Write("b.yaml", "four");
  EXPECT_GT(News(watch), 0);
  fs::remove(Path("b.yaml"));
  EXPECT_GT(News(watch), 0);
  Write("b.yaml", "five");
  EXPECT_GT(News(watch), 0);
  fs::create_hard_link(Path("b.yaml"), Path("link"));
  EXPECT_EQ(News(watch) > 1, false);
}

TEST_F(InotifyWatcherTest, SaysNothingOfOthersInTheFolder) {
  Write("b.yaml", "one");
  Counted& watch = Watch(Path("b.yaml"));
  for (int i = 0; i < 50; ++i) Write("other" + std::to_string(i), "x");
  EXPECT_EQ(News(watch), 0);
}

TEST_F(InotifyWatcherTest, WaitsForTheWriterOfANewFile) {
  Counted& watch = Watch(Path("b.yaml"));
  std::ofstream file(Path("b.yaml"));
  file << "- 10.0.0.1:80\n" << std::flush;
  EXPECT_EQ(News(watch), 0);
  file.close();
  EXPECT_GT(News(watch), 0);
}

TEST_F(InotifyWatcherTest, SeesAConfigMapSwitched) {
  fs::create_directories(Path("..2024_1"));
  fs::create_directories(Path("..2024_2"));
  Write("..2024_1/b.yaml", "one");
  Write("..2024_2/b.yaml", "two");
  fs::create_directory_symlink("..2024_1", Path("..data"));
  fs::create_symlink("..data/b.yaml", Path("b.yaml"));
  Counted& watch = Watch(Path("b.yaml"));
  fs::create_directory_symlink("..2024_2", Path("..data_tmp"));
  fs::rename(Path("..data_tmp"), Path("..data"));
  EXPECT_GT(News(watch), 0);
  EXPECT_EQ(*watcher_->Read(Path("b.yaml")), "two");
  // The old folder is of no interest any more, the new one is.
  Write("..2024_1/b.yaml", "old");
  fs::remove_all(Path("..2024_1"));
  EXPECT_EQ(News(watch), 0);
  Write("..2024_2/b.yaml", "three");
  EXPECT_GT(News(watch), 0);
}

TEST_F(InotifyWatcherTest, SeesALinkAmongTheFoldersSwitched) {
  fs::create_directories(Path("releases/1/conf"));
  fs::create_directories(Path("releases/2/conf"));
  Write("releases/1/conf/b.yaml", "one");
  Write("releases/2/conf/b.yaml", "two");
  fs::create_directory_symlink(Path("releases/1"), Path("current"));
  Counted& watch = Watch(Path("releases/../current/conf/./b.yaml"));
  fs::create_directory_symlink(Path("releases/2"), Path("next"));
  fs::rename(Path("next"), Path("current"));
  EXPECT_GT(News(watch), 0);
  Write("releases/2/conf/b.yaml", "three");
  EXPECT_GT(News(watch), 0);
}

TEST_F(InotifyWatcherTest, SeesAFileAppearWithItsFolders) {
  Counted& watch = Watch(Path("a/b/c.yaml"));
  fs::create_directories(Path("a/b"));
  EXPECT_GT(News(watch), 0);
  Write("a/b/c.yaml", "one");
  EXPECT_GT(News(watch), 0);
  fs::remove_all(Path("a"));
  EXPECT_GT(News(watch), 0);
  fs::create_directories(Path("a/b"));
  News(watch);
  Write("a/b/c.yaml", "two");
  EXPECT_GT(News(watch), 0);
}

TEST_F(InotifyWatcherTest, EndsInACircleOfLinks) {
  fs::create_symlink("y", Path("x"));
  fs::create_symlink("x", Path("y"));
  Counted& watch = Watch(Path("x"));
  fs::remove(Path("y"));
  Write("y", "one");
  EXPECT_GT(News(watch), 0);
}

TEST_F(InotifyWatcherTest, KeepsTwoWatchesOfOneFolderApart) {
  Counted& first = Watch(Path("1.yaml"));
  Counted& second = Watch(Path("2.yaml"));
  Write("1.yaml", "one");
  EXPECT_GT(News(first), 0);
  EXPECT_EQ(second.times, 0);
  watcher_->Unwatch(first);
  Write("1.yaml", "two");
  Write("2.yaml", "two");
  EXPECT_GT(News(second), 0);
  EXPECT_EQ(first.times, 0);
}

TEST_F(InotifyWatcherTest, ReadsWholeFilesAndSaysWhyItCannot) {
  Write("empty", "");
  EXPECT_EQ(*watcher_->Read(Path("empty")), "");
  Write("big", std::string(300'000, 'x'));
  EXPECT_EQ(watcher_->Read(Path("big"))->size(), 300'000u);
  Write("huge", std::string(5 << 20, 'x'));
  EXPECT_FALSE(watcher_->Read(Path("huge")).ok());
  EXPECT_EQ(std::string(watcher_->Read(Path("gone")).status().message()),
            "No such file or directory");
  EXPECT_EQ(std::string(watcher_->Read(folder_).status().message()), "Is a directory");
}

}  // namespace
}  // namespace rondo::control
