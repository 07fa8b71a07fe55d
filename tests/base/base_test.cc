#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "rondo/base/check.h"
#include "rondo/base/freelist.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/base/log.h"
#include "rondo/base/rng.h"

namespace rondo {
namespace {

TEST(Check, EndsTheProcessWithTheConditionAndItsPlace) {
  EXPECT_DEATH(RONDO_CHECK(1 == 2), "base_test.cc:[0-9]+: check failed: 1 == 2");
  RONDO_CHECK(true);
}

TEST(Freelist, UsesABlockOfTheSameClassAgain) {
  Freelist freelist;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{64}, size_t{65}, Freelist::kBlockMax}) {
    void* block = freelist.Allocate(size);
    std::memset(block, 1, Freelist::RoundUp(size));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 16, 0u);
    freelist.Free(block, size);
    const uint64_t before = freelist.allocations();
    void* again = freelist.Allocate(size);
    EXPECT_EQ(again, block);
    EXPECT_EQ(freelist.allocations(), before);
    freelist.Free(again, size);
  }
  EXPECT_EQ(freelist.blocks_out(), 0u);
}

TEST(Freelist, LargeBlocksComeFromMallocEachTime) {
  Freelist freelist;
  for (int i = 0; i < 3; ++i) {
    void* block = freelist.Allocate(Freelist::kBlockMax + 1);
    EXPECT_EQ(freelist.allocations(), static_cast<uint64_t>(i + 1));
    freelist.Free(block, Freelist::kBlockMax + 1);
  }
}

TEST(Freelist, GivesBackWhatABurstLeaves) {
  constexpr size_t kSize = 1024;
  Freelist freelist;
  std::vector<void*> blocks(1000);
  for (void*& block : blocks) block = freelist.Allocate(kSize);
  for (void* block : blocks) freelist.Free(block, kSize);
  EXPECT_EQ(freelist.kept_bytes(), blocks.size() * kSize);
  // All of it was needed since the list began; after a while in which ten were enough, only those stay.
  freelist.TrimUnused();
  EXPECT_EQ(freelist.kept_bytes(), blocks.size() * kSize);
  for (size_t i = 0; i < 10; ++i) blocks[i] = freelist.Allocate(kSize);
  for (size_t i = 0; i < 10; ++i) freelist.Free(blocks[i], kSize);
  freelist.TrimUnused();
  EXPECT_EQ(freelist.kept_bytes(), 10 * kSize);
  freelist.TrimUnused();
  EXPECT_EQ(freelist.kept_bytes(), 0u);
}

TEST(Freelist, KeepsNoMoreThanItsBound) {
  constexpr size_t kSize = 8192;
  constexpr size_t kKept = Freelist::kKeptBytesMax / kSize;
  Freelist freelist;
  std::vector<void*> blocks(kKept + 5);
  for (void*& block : blocks) block = freelist.Allocate(kSize);
  for (void* block : blocks) freelist.Free(block, kSize);
  EXPECT_EQ(freelist.kept_bytes(), Freelist::kKeptBytesMax);
  const uint64_t before = freelist.allocations();
  for (void*& block : blocks) block = freelist.Allocate(kSize);
  EXPECT_EQ(freelist.allocations() - before, 5u);
  for (void* block : blocks) freelist.Free(block, kSize);
}

struct Item : ListHook<>, ListHook<int> {
  explicit Item(int v) : value(v) {}
  int value;
};

std::string Text(IntrusiveList<Item>& list) {
  std::string text;
  list.ForEach([&](Item& item) { text += std::to_string(item.value); });
  return text;
}

TEST(IntrusiveList, KeepsOrderAndLetsElementsGo) {
  Item one(1), two(2), three(3);
  IntrusiveList<Item> list, other;
  list.PushBack(two);
  list.PushBack(three);
  list.PushFront(one);
  EXPECT_EQ(Text(list), "123");
  static_cast<ListHook<>&>(two).Unlink();
  static_cast<ListHook<>&>(two).Unlink();
  EXPECT_EQ(Text(list), "13");
  other.PushBack(two);
  list.Splice(other);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(Text(list), "132");
  EXPECT_EQ(list.PopFront().value, 1);
  EXPECT_EQ(list.back().value, 2);
  list.ForEach([](Item& item) { static_cast<ListHook<>&>(item).Unlink(); });
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveList, AnElementCanBeInOneListForEachHook) {
  Item one(1);
  IntrusiveList<Item> list;
  IntrusiveList<Item, int> second;
  list.PushBack(one);
  second.PushBack(one);
  list.PopFront();
  EXPECT_EQ(second.PopFront().value, 1);
}

TEST(Rng, IsTheSameForTheSameSeedAndStaysInItsBounds) {
  Rng first(9), second(9);
  int low = 0, high = 0;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t value = first.Below(10);
    ASSERT_EQ(value, second.Below(10));
    ASSERT_LT(value, 10u);
    (value < 5 ? low : high) += 1;
    const int64_t between = first.Between(-3, 3);
    ASSERT_EQ(between, second.Between(-3, 3));
    ASSERT_TRUE(between >= -3 && between <= 3);
  }
  EXPECT_NEAR(low, high, 500);
}

TEST(Log, WritesOneLineWithLevelAndTimeAndDropsWhatIsBelowTheLevel) {
  ::testing::internal::CaptureStderr();
  LogInfo("a message with {} braces");
  LogDebug("not this one");
  SetLogLevel(LogLevel::kError);
  LogWarn("nor this one");
  EXPECT_FALSE(LogEnabled(LogLevel::kWarn));
  LogError("but this");
  SetLogLevel(LogLevel::kInfo);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find(" info a message with {} braces\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" error but this\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("this one"), std::string::npos) << text;
}

}  // namespace
}  // namespace rondo
