// Tasks and scopes: who runs when, and that every frame comes back.
#include "rondo/rt/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rt/compiler_shapes.h"

namespace rondo::rt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Task<> Pauses(Place& place, int count, std::string name) {
  for (int i = 0; i < count; ++i) {
    place.Note(name + std::to_string(i));
    co_await place.Pause();
  }
  place.Note(name);
}
Task<int> Value(Place&, int value) { co_return value; }
Task<> Joins(Place& place, Scope* scope) {
  co_await scope->Join();
  place.Note("joined");
}

TEST(Task, DoesNothingUntilItIsAwaited) {
  Place place;
  {
    const Task<> lazy = Pauses(place, 1, "a");
  }
  EXPECT_THAT(place.TakeNotes(), IsEmpty());
  EXPECT_EQ(place.frames().blocks_out(), 0u);
}

TEST(Task, CanBeMovedBeforeItStarts) {
  Place place;
  Scope scope;
  Task<> task = Pauses(place, 0, "a");
  Task<> moved = std::move(task);
  scope.Spawn(std::move(moved));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("a"));
  EXPECT_EQ(place.frames().blocks_out(), 0u);
}

TEST(Scope, SpawnRunsUpToTheFirstSuspension) {
  Place place;
  Scope scope;
  scope.Spawn(Pauses(place, 1, "a"));
  place.Note("spawned");
  EXPECT_EQ(scope.count(), 1u);
  place.Run();
  EXPECT_EQ(scope.count(), 0u);
  EXPECT_THAT(place.TakeNotes(), ElementsAre("a0", "spawned", "a"));
}

TEST(Scope, AFlowThatEndsAtOnceIsNotCounted) {
  Place place;
  Scope scope;
  scope.Spawn(Pauses(place, 0, "a"));
  EXPECT_EQ(scope.count(), 0u);
  EXPECT_EQ(place.frames().blocks_out(), 0u);
}

TEST(Scope, JoinWaitsForTheLastFlow) {
  Place place;
  Scope outer;
  Scope scope;
  scope.Spawn(Pauses(place, 1, "a"));
  scope.Spawn(Pauses(place, 2, "b"));
  outer.Spawn(Joins(place, &scope));
  EXPECT_EQ(outer.count(), 1u);
  place.Run();
  EXPECT_EQ(outer.count(), 0u);
  EXPECT_THAT(place.TakeNotes(), ElementsAre("a0", "b0", "a", "b1", "b", "joined"));
}

TEST(Scope, JoinOfAnEmptyScopeDoesNotSuspend) {
  Place place;
  Scope outer;
  Scope scope;
  outer.Spawn(Joins(place, &scope));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("joined"));
}

TEST(Scope, CanBeUsedAgainAfterJoin) {
  Place place;
  Scope outer;
  Scope scope;
  for (int round = 0; round < 3; ++round) {
    scope.Spawn(Pauses(place, 1, "a"));
    outer.Spawn(Joins(place, &scope));
    place.Run();
    EXPECT_THAT(place.TakeNotes(), ElementsAre("a0", "a", "joined"));
  }
}

Task<> SpawnsMore(Place& place, Scope* scope, int depth) {
  co_await place.Pause();
  if (depth > 0) scope->Spawn(SpawnsMore(place, scope, depth - 1));
  place.Note(std::to_string(depth));
}

TEST(Scope, FlowsMaySpawnIntoTheirOwnScopeWhileItIsJoined) {
  Place place;
  Scope outer;
  Scope scope;
  scope.Spawn(SpawnsMore(place, &scope, 2));
  outer.Spawn(Joins(place, &scope));
  place.Run();
  EXPECT_THAT(place.TakeNotes(), ElementsAre("2", "1", "0", "joined"));
}

TEST(ScopeDeathTest, EndingWithAFlowIsABug) {
  EXPECT_DEATH(
      {
        Place place;
        Scope scope;
        scope.Spawn(Pauses(place, 1, "a"));
      },
      "count_ == 0");
}

Task<> AwaitsMany(Place& place, int count) {
  for (int i = 0; i < count; ++i) {
    const int value = co_await Value(place, i);
    if (value % 16 == 0) co_await place.Pause();
  }
}

TEST(Task, FramesAreUsedAgain) {
  Place place;
  Scope scope;
  scope.Spawn(AwaitsMany(place, 100));
  place.Run();
  const uint64_t allocations = place.frames().allocations();
  scope.Spawn(AwaitsMany(place, 1000));
  place.Run();
  EXPECT_EQ(place.frames().allocations(), allocations);
  EXPECT_EQ(place.frames().blocks_out(), 0u);
}

}  // namespace
}  // namespace rondo::rt::testing
