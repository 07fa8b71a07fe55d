#include "rondo/upstream/pick_state.h"

#include <gtest/gtest.h>

namespace rondo::upstream {
namespace {

TEST(PickState, RemembersAnyNumberOfBackends) {
  PickState state;
  EXPECT_TRUE(state.empty());
  for (uint64_t serial = 1; serial <= 100; ++serial) {
    EXPECT_FALSE(state.Contains(serial));
    state.Add(serial, serial % 3 == 0);
    state.Add(serial, false);  // twice changes nothing
    for (uint64_t each = 1; each <= serial; ++each) EXPECT_TRUE(state.Contains(each)) << each;
  }
  EXPECT_FALSE(state.Contains(0));
  EXPECT_FALSE(state.Contains(101));
  EXPECT_FALSE(state.empty());
}

TEST(PickState, AnEmptyOneContainsNothing) {
  const PickState state;
  for (uint64_t serial = 0; serial < 10; ++serial) EXPECT_FALSE(state.Contains(serial));
}

}  // namespace
}  // namespace rondo::upstream
