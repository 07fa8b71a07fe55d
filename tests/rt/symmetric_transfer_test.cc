// Resuming a child and returning to a parent jump, they do not call: however many there are, the
// stack stays where it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

#include "rt/compiler_shapes.h"

namespace rondo::rt::testing {
namespace {

using ::testing::ElementsAre;

// How far the stack reached while a test ran.
struct StackReach {
  void Look() {
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    if (low == 0 || here < low) low = here;
    if (here > high) high = here;
  }
  uintptr_t low = 0;
  uintptr_t high = 0;
};
constexpr uintptr_t kStackBytesMax = 16 * 1024;

Task<int> AtOnce(Place&, StackReach* reach) {
  reach->Look();
  co_return 1;
}
Task<> ManyAwaits(Place& place, StackReach* reach, int count) {
  co_await place.Pause();
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await AtOnce(place, reach);
  place.Note(std::to_string(sum));
}
Task<int> Chain(Place& place, StackReach* reach, int depth) {
  reach->Look();
  if (depth == 0) {
    co_await place.Pause();
    co_return 0;
  }
  const int below = co_await Chain(place, reach, depth - 1);
  reach->Look();
  co_return below + 1;
}
Task<> LongChain(Place& place, StackReach* reach, int depth) {
  const int length = co_await Chain(place, reach, depth);
  place.Note(std::to_string(length));
}

TEST(SymmetricTransfer, AMillionAwaitsInARowNeedNoStack) {
  Place place;
  StackReach reach;
  RunToEnd(place, ManyAwaits(place, &reach, 1'000'000));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("1000000"));
  EXPECT_LT(reach.high - reach.low, kStackBytesMax);
}

TEST(SymmetricTransfer, AMillionNestedCoroutinesNeedNoStack) {
  Place place;
  StackReach reach;
  RunToEnd(place, LongChain(place, &reach, 1'000'000));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("1000000"));
  EXPECT_LT(reach.high - reach.low, kStackBytesMax);
}

}  // namespace
}  // namespace rondo::rt::testing
