// The state file: what is saved comes back, whatever happens to the process or the disk at any
// step; what cannot be used is set aside and said so.
#include "control/state_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "fake_disk.h"

namespace rondo::control {
namespace {

using ::testing::HasSubstr;

SavedState SomeState(uint64_t revision) {
  SavedState state;
  state.revision = revision;
  UpstreamEntry entry;
  BackendEntry added;
  added.kind = BackendEntry::Kind::kAdded;
  added.address = *SocketAddress::Parse("10.0.0." + std::to_string(revision % 250) + ":80");
  added.weight = 3;
  added.max_connections = 0;
  added.backup = false;
  added.replaces = *SocketAddress::Parse("[::1]:80");
  entry.backends.emplace("a \"quoted\" id", added);
  BackendEntry held;
  held.address = *SocketAddress::Parse("unix:/run/x.sock");
  held.hold = Hold::kMaintenance;
  entry.backends.emplace("b", held);
  state.overlay.upstreams.emplace("api", entry);
  UpstreamEntry deleted;
  deleted.deleted = true;
  state.overlay.upstreams.emplace("old", deleted);
  UpstreamEntry written;
  written.created = true;
  written.written = config::Upstream();
  written.written->name = "new";
  written.written->queue.size = 7;
  state.overlay.upstreams.emplace("new", written);
  state.base_text = "listeners: {}\n";
  state.file_hash = "0123456789abcdef";
  return state;
}

TEST(StateFile, WhatIsWrittenIsReadBack) {
  for (const SavedState& state : {SavedState(), SomeState(41)}) {
    const auto decoded = DecodeState(EncodeState(state));
    ASSERT_TRUE(decoded.ok()) << std::string(decoded.status().message());
    EXPECT_EQ(*decoded, state);
  }
}

TEST(StateFile, CutOffAnywhereOrChangedAnywhereItIsNotUsed) {
  const std::string whole = EncodeState(SomeState(7));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(DecodeState(whole.substr(0, size)).status().code(), absl::StatusCode::kDataLoss)
        << size;
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(DecodeState(damaged).ok()) << i;
  }
}

TEST(StateFile, SaysWhatIsWrongWithAFile) {
  const struct {
    std::string bytes;
    absl::StatusCode code;
    std::string says;
  } cases[] = {
      {"", absl::StatusCode::kDataLoss, "empty"},
      {"{\"revision\": 3}", absl::StatusCode::kInvalidArgument, "not a state file"},
      {"rondo-state 2 0000000000000000\n{}\n", absl::StatusCode::kUnimplemented, "newer version"},
      {"rondo-state x 0000000000000000\n{}\n", absl::StatusCode::kInvalidArgument,
       "not a state file"},
      {"rondo-state 1 0000000000000000\n{}\n", absl::StatusCode::kDataLoss, "damaged"},
  };
  for (const auto& each : cases) {
    const auto decoded = DecodeState(each.bytes);
    EXPECT_EQ(decoded.status().code(), each.code) << each.bytes;
    EXPECT_THAT(std::string(decoded.status().message()), HasSubstr(each.says));
  }
}

TEST(StateFile, KilledAtAnyStepNoAcknowledgedChangeIsLost) {
  for (const FakeDisk::Loss loss : {FakeDisk::Loss::kKeepsAll, FakeDisk::Loss::kLosesUnsynced}) {
    for (int steps = 0;; ++steps) {
      FakeDisk disk;
      StateStore store(disk, "/var/state.json");
      ASSERT_TRUE(store.Save(SomeState(1)).ok());
      disk.DieAfter(steps);
      const bool saved = store.Save(SomeState(2)).ok();
      const bool died = disk.dead();
      disk.Restart(loss);
      StateStore after(disk, "/var/state.json");
      const auto loaded = after.Load();
      ASSERT_TRUE(loaded.ok());
      EXPECT_EQ(loaded->problem, "") << "after " << steps;
      ASSERT_TRUE(loaded->found);
      const bool is_new = loaded->state == SomeState(2);
      EXPECT_TRUE(is_new || (!saved && loaded->state == SomeState(1))) << "after " << steps;
      ASSERT_TRUE(after.Save(SomeState(3)).ok());
      EXPECT_EQ(after.Load()->state, SomeState(3));
      if (!died) break;
    }
  }
}

TEST(StateFile, WhatCannotBeUsedIsSetAsideUnderAFreeName) {
  FakeDisk disk;
  disk.Put("/s", "rondo-st");
  disk.Put("/s.bad-1", "an older one");
  StateStore store(disk, "/s");
  const auto loaded = store.Load();
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE(loaded->found);
  EXPECT_EQ(loaded->problem, "it is cut off");
  EXPECT_EQ(loaded->kept_as, "/s.bad-2");
  EXPECT_EQ(disk.files().at("/s.bad-1"), "an older one");
  EXPECT_EQ(disk.files().at("/s.bad-2"), "rondo-st");
  EXPECT_FALSE(disk.files().contains("/s"));
}

TEST(StateFile, OneThatCannotBeSetAsideStopsTheStart) {
  FakeDisk disk;
  disk.Put("/s", "garbage");
  disk.DieAfter(0);
  StateStore store(disk, "/s");
  EXPECT_FALSE(store.Load().ok());
  EXPECT_EQ(disk.files().at("/s"), "garbage");
}

TEST(StateFile, NoneIsAnEmptyState) {
  FakeDisk disk;
  StateStore none(disk, "");
  EXPECT_FALSE(none.persistent());
  EXPECT_TRUE(none.Save(SomeState(1)).ok());
  EXPECT_TRUE(disk.files().empty());
  StateStore fresh(disk, "/s");
  const auto loaded = fresh.Load();
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE(loaded->found);
  EXPECT_EQ(loaded->problem, "");
}

TEST(StateFile, WorksOnARealDisk) {
  std::string folder = ::testing::TempDir() + "rondo_state_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/state.json";
  const auto files = MakeFileSystem();
  StateStore store(*files, path);
  EXPECT_FALSE(store.Load()->found);
  ASSERT_TRUE(store.Save(SomeState(1)).ok());
  ASSERT_TRUE(store.Save(SomeState(2)).ok());
  EXPECT_EQ(store.Load()->state, SomeState(2));
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  std::ofstream(path, std::ios::trunc) << "torn";
  const auto loaded = store.Load();
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->kept_as, path + ".bad-1");
  EXPECT_TRUE(std::filesystem::exists(path + ".bad-1"));
  // A directory that is not there: an error, and no crash.
  StateStore nowhere(*files, folder + "/missing/state.json");
  EXPECT_FALSE(nowhere.Load()->found);
  EXPECT_FALSE(nowhere.Save(SomeState(1)).ok());
  std::filesystem::remove_all(folder);
}

TEST(StateStore, WantOfADescriptorFailsASaveBeforeAnythingIsWritten) {
  FakeDisk disk;
  StateStore store(disk, "/state");
  SavedState state;
  state.revision = 1;
  ASSERT_TRUE(store.Save(state).ok());
  const std::string before = *disk.Read("/state");
  disk.no_descriptors = true;
  state.revision = 2;
  EXPECT_FALSE(store.Save(state).ok());
  EXPECT_EQ(*disk.Read("/state"), before);
  EXPECT_FALSE(disk.Exists("/state.new"));
}

}  // namespace
}  // namespace rondo::control
