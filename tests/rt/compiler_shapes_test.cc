// Runs each shape of coroutine that this code base uses, really suspending, with owning values: a
// compiler that gets one wrong fails here and not at a user's. (g++ 12 loses the body of
// `if (co_await f())`, and frees an owning aggregate in an awaiting expression twice.)
#include "rt/compiler_shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <optional>

namespace rondo::rt::testing {
namespace {

using ::testing::ElementsAre;

// -- children --

Task<bool> Truth(Place& place, bool value) {
  co_await place.Pause();
  co_return value;
}

Task<int> Number(Place& place, int value) {
  co_await place.Pause();
  co_return value;
}

Task<Owned> Make(Place& place, std::string name) {
  co_await place.Pause();
  co_return Owned(place, std::move(name));
}

Task<std::string> NameOf(Place& place, Owned owned) {
  co_await place.Pause();
  co_return owned.name();
}

Task<int> Open(Place& place, Parcel parcel) {
  co_await place.Pause();
  co_return *parcel.number + static_cast<int>(parcel.text.size());
}

Task<Parcel> Pack(Place& place, int number) {
  co_await place.Pause();
  co_return Parcel{std::make_unique<int>(number), std::string(100, 'x'), Owned(place, "packed")};
}

Parcel MakeParcel(Place& place, int number) {
  return Parcel{std::make_unique<int>(number), std::string(64, 'y'), Owned(place, "parcel")};
}

template <class T>
Task<T> Echo(Place& place, T value) {
  co_await place.Pause();
  co_return std::move(value);
}

// -- awaiting in conditions --

Task<> IfTrue(Place& place) {
  if (co_await Truth(place, true)) place.Note("then");
}
Task<> IfNot(Place& place) {
  if (!co_await Truth(place, true)) {
    place.Note("then");
  } else {
    place.Note("else");
  }
}
Task<> IfWithInitialiser(Place& place) {
  if (Owned made = co_await Make(place, "a"); made.name() == "a") place.Note("then");
  place.Note("after");
}
Task<> BothOperands(Place& place) {
  if (co_await Truth(place, true) && co_await Truth(place, true)) place.Note("and");
  if (co_await Truth(place, false) || co_await Truth(place, true)) place.Note("or");
  if (co_await Truth(place, false) && co_await NameOf(place, Owned(place, "never")) == "never") {
    place.Note("never");
  }
}
Task<> Conditional(Place& place) {
  for (const bool left : {true, false}) {
    const int number = left ? co_await Number(place, 1) : co_await Number(place, 2);
    place.Note(std::to_string(number));
  }
}

TEST(CoroutineShapes, TheBodyOfAnAwaitingIfRuns) {
  Place place;
  RunToEnd(place, IfTrue(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("then"));
  RunToEnd(place, IfNot(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("else"));
  RunToEnd(place, IfWithInitialiser(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("then", "~a", "after"));
}

TEST(CoroutineShapes, AwaitingOperandsAreEvaluatedOnlyWhereNeeded) {
  Place place;
  RunToEnd(place, BothOperands(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("and", "or"));
  RunToEnd(place, Conditional(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("1", "2"));
}

// -- loops --

Task<> WhileAwaited(Place& place) {
  int left = 3;
  while (co_await Truth(place, left > 0)) {
    Owned each(place, std::to_string(left));
    --left;
    co_await place.Pause();
  }
  do {
    ++left;
  } while (co_await Number(place, left) < 3);
  place.Note(std::to_string(left));
}
Task<> BreakAndContinue(Place& place) {
  for (int i = 0; i < 10; ++i) {
    Owned each(place, std::to_string(i));
    if (co_await Truth(place, i % 2 == 0)) continue;
    Owned more(place, "+" + std::to_string(i));
    co_await place.Pause();
    if (i == 3) break;
  }
  place.Note("out");
}
Task<> RangeFor(Place& place) {
  std::vector<Owned> owned;
  for (int i = 0; i < 3; ++i) owned.emplace_back(place, std::to_string(i));
  for (const Owned& each : owned) {
    co_await place.Pause();
    place.Note(each.name());
  }
  int sum = 0;
  for (const int each : co_await Echo(place, std::vector<int>{1, 2, 3})) {
    sum += co_await Number(place, each);
  }
  place.Note(std::to_string(sum));
}
Task<> AssignedInALoop(Place& place) {
  Owned latest(place, "first");
  for (int i = 0; i < 2; ++i) {
    latest = co_await Make(place, std::to_string(i));
    place.Note(latest.name());
  }
}

TEST(CoroutineShapes, LoopsAwaitInConditionsAndBodies) {
  Place place;
  RunToEnd(place, WhileAwaited(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~3", "~2", "~1", "3"));
  RunToEnd(place, BreakAndContinue(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~0", "~+1", "~1", "~2", "~+3", "~3", "out"));
  RunToEnd(place, AssignedInALoop(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~first", "0", "~0", "1", "~1"));
}

TEST(CoroutineShapes, RangeForKeepsWhatItRunsOver) {
  Place place;
  RunToEnd(place, RangeFor(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("0", "1", "2", "6", "~0", "~1", "~2"));
}

// -- switch --

enum class Fruit : uint8_t { kApple, kPear, kPlum };

Task<std::string> Switch(Place& place, Fruit fruit) {
  switch (co_await Echo(place, fruit)) {
    case Fruit::kApple:
      co_return co_await NameOf(place, Owned(place, "apple"));
    case Fruit::kPear: {
      Owned owned = co_await Make(place, "pear");
      co_await place.Pause();
      co_return owned.name();
    }
    case Fruit::kPlum:
      co_await place.Pause();
      break;
  }
  co_return "after";
}
Task<> AllFruits(Place& place) {
  for (const Fruit fruit : {Fruit::kApple, Fruit::kPear, Fruit::kPlum}) {
    const std::string name = co_await Switch(place, fruit);
    place.Note(name);
  }
}

TEST(CoroutineShapes, SwitchAwaitsInItsValueAndItsCases) {
  Place place;
  RunToEnd(place, AllFruits(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~apple", "apple", "~pear", "pear", "after"));
}

// -- owning arguments and results --

Task<> OwningArguments(Place& place) {
  const int temporary = co_await Open(place, MakeParcel(place, 1));
  const int aggregate =
      co_await Open(place, Parcel{std::make_unique<int>(2), "abc", Owned(place, "here")});
  Parcel named = MakeParcel(place, 3);
  const int moved = co_await Open(place, std::move(named));
  place.Note(std::to_string(temporary) + " " + std::to_string(aggregate) + " " +
             std::to_string(moved));
}
Task<> OwningResults(Place& place) {
  Parcel parcel = co_await Pack(place, 7);
  auto [number, text, owned] = co_await Pack(place, 8);
  const Parcel& kept = co_await Pack(place, 9);
  co_await place.Pause();
  place.Note(std::to_string(*parcel.number + *number + *kept.number) + " " + owned.name() + " " +
             std::to_string(text.size()));
}
Task<> NestedAwaits(Place& place) {
  const std::string inner = co_await NameOf(place, co_await Make(place, "inner"));
  const int sum = co_await Number(place, co_await Number(place, 1) + co_await Number(place, 2));
  const std::vector<int> list = {co_await Number(place, 4), co_await Number(place, 5)};
  int total = 10;
  total += co_await Number(place, 5);
  place.Note(inner + std::to_string(sum) + std::to_string(list[0] + list[1]) +
             std::to_string(total));
}
Task<> Optionals(Place& place) {
  auto some = co_await Echo(place, std::optional<std::unique_ptr<int>>(std::make_unique<int>(1)));
  auto none = co_await Echo(place, std::optional<std::unique_ptr<int>>());
  auto name = co_await Echo(place, std::string(1000, 'z'));
  place.Note(std::to_string(**some) + (none ? "some" : "none") + std::to_string(name.size()));
}

TEST(CoroutineShapes, OwningAggregatesAreArguments) {
  Place place;
  RunToEnd(place, OwningArguments(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~parcel", "~here", "~parcel", "65 5 67"));
}

TEST(CoroutineShapes, OwningAggregatesAreResults) {
  Place place;
  RunToEnd(place, OwningResults(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("24 packed 100", "~packed", "~packed", "~packed"));
}

TEST(CoroutineShapes, AwaitsStandInArgumentsOfAwaits) {
  Place place;
  RunToEnd(place, NestedAwaits(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~inner", "inner3915"));
  RunToEnd(place, Optionals(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("1none1000"));
}

// -- lifetimes --

Task<int> EarlyReturn(Place& place, int depth) {
  Owned outer(place, "outer");
  co_await place.Pause();
  if (depth == 0) co_return 0;
  {
    Owned inner(place, "inner");
    co_await place.Pause();
    if (depth == 1) co_return 1;
  }
  co_await place.Pause();
  co_return 2;
}
Task<> EarlyReturns(Place& place) {
  for (int depth = 0; depth < 3; ++depth) {
    const int result = co_await EarlyReturn(place, depth);
    place.Note(std::to_string(result));
  }
}
Task<> Ordered(Place& place, Owned parameter) {
  Owned first(place, "first");
  co_await place.Pause();
  Owned second(place, "second");
  {
    Owned block(place, "block");
    co_await place.Pause();
  }
  co_await place.Pause();
  place.Note(parameter.name());
}
Task<> HandsOn(Place& place, Owned parameter) {
  const std::string name = co_await NameOf(place, std::move(parameter));
  place.Note(name);
}
Task<> LargeLocals(Place& place) {
  alignas(16) std::array<uint64_t, 64> numbers{};
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = i;
    co_await place.Pause();
  }
  uint64_t sum = 0;
  for (const uint64_t each : numbers) sum += each;
  const bool aligned = reinterpret_cast<uintptr_t>(numbers.data()) % 16 == 0;
  place.Note(std::to_string(sum) + (aligned ? " aligned" : " not aligned"));
}

TEST(CoroutineShapes, EarlyReturnsEndTheLocalsThatThereAre) {
  Place place;
  RunToEnd(place, EarlyReturns(place));
  EXPECT_THAT(place.TakeNotes(),
              ElementsAre("~outer", "0", "~inner", "~outer", "1", "~inner", "~outer", "2"));
}

TEST(CoroutineShapes, LocalsEndInReverseAndParametersLast) {
  Place place;
  RunToEnd(place, Ordered(place, Owned(place, "parameter")));
  EXPECT_THAT(place.TakeNotes(),
              ElementsAre("~block", "parameter", "~second", "~first", "~parameter"));
}

TEST(CoroutineShapes, ParametersCanBeHandedOn) {
  Place place;
  RunToEnd(place, HandsOn(place, Owned(place, "handed")));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~handed", "handed"));
}

TEST(CoroutineShapes, LargeAndAlignedLocalsOutliveSuspensions) {
  Place place;
  RunToEnd(place, LargeLocals(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("2016 aligned"));
}

TEST(CoroutineShapes, ATaskThatNeverStartsGivesItsParametersBack) {
  Place place;
  {
    const Task<std::string> never = NameOf(place, Owned(place, "unused"));
  }
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~unused"));
  EXPECT_EQ(place.live, 0);
  EXPECT_EQ(place.frames().blocks_out(), 0u);
}

// An awaiter that owns something: a temporary of the awaiting expression, which lives until it
// ends.
struct OwningAwaiter {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) { inner.await_suspend(waiter); }
  std::string await_resume() { return owned.name(); }
  decltype(std::declval<Place&>().Pause()) inner;
  Owned owned;
};
Task<> OwningAwaiters(Place& place) {
  co_await OwningAwaiter{place.Pause(), Owned(place, "statement")};
  place.Note("next");
  const std::string name = co_await OwningAwaiter{place.Pause(), Owned(place, "value")};
  place.Note(name);
}

// A callable with an owning capture, as an argument; it is not a coroutine itself.
template <class F>
Task<std::string> Call(Place& place, F callable) {
  co_await place.Pause();
  co_return callable();
}
Task<> OwningCallables(Place& place) {
  const std::string name = co_await Call(
      place, [owned = Owned(place, "captured")]() -> std::string { return owned.name(); });
  place.Note(name);
}

TEST(CoroutineShapes, OwningTemporariesOfAnAwaitLiveUntilItEnds) {
  Place place;
  RunToEnd(place, OwningAwaiters(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~statement", "next", "~value", "value"));
  RunToEnd(place, OwningCallables(place));
  EXPECT_THAT(place.TakeNotes(), ElementsAre("~captured", "captured"));
}

// -- members --

class Counter {
 public:
  explicit Counter(Place& place) : place_(place) {}
  Freelist& frames() { return place_.frames(); }
  Task<> Add(int number, Owned owned) {
    Scratch scratch(*this);
    last_ = co_await Number(place_, number);
    total_ += co_await Number(place_, last_);
    place_.Note(owned.name() + std::to_string(total_));
  }
  Task<> AddTwice() {
    co_await Add(1, Owned(place_, "a"));
    co_await Add(2, Owned(place_, "b"));
  }

 private:
  struct Scratch {
    explicit Scratch(Counter& of) : counter(of) { ++counter.running_; }
    ~Scratch() { --counter.running_; }
    Counter& counter;
  };
  Place& place_;
  int last_ = 0;
  int total_ = 0;
  int running_ = 0;
};

TEST(CoroutineShapes, MembersAreCoroutines) {
  Place place;
  Counter counter(place);
  RunToEnd(place, counter.AddTwice());
  EXPECT_THAT(place.TakeNotes(), ElementsAre("a1", "~a", "b3", "~b"));
}

// -- scopes --

Task<> Flow(Place& place, int number, Owned owned) {
  for (int i = 0; i < number; ++i) co_await place.Pause();
  place.Note(owned.name());
}
Task<> SpawnsAndJoins(Place& place) {
  Scope scope;
  for (int i = 3; i > 0; --i) scope.Spawn(Flow(place, i, Owned(place, std::to_string(i))));
  scope.Spawn(Flow(place, 0, Owned(place, "0")));
  place.Note("joins " + std::to_string(scope.count()));
  co_await scope.Join();
  place.Note("joined");
  co_await scope.Join();
}

TEST(CoroutineShapes, FlowsThatWereSpawnedOwnTheirArguments) {
  Place place;
  RunToEnd(place, SpawnsAndJoins(place));
  EXPECT_THAT(place.TakeNotes(),
              ElementsAre("0", "~0", "joins 3", "1", "~1", "2", "~2", "3", "~3", "joined"));
}

}  // namespace
}  // namespace rondo::rt::testing
