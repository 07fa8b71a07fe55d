#include "rondo/io/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "rondo/base/rng.h"

namespace rondo::io {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

class TestTimer : public Timer {
 public:
  TestTimer() : Timer(&TestTimer::OnFire) {}
  int fired = 0;
  std::function<void(TestTimer&)> then;

 private:
  static void OnFire(Timer& timer) {
    auto& self = static_cast<TestTimer&>(timer);
    ++self.fired;
    if (self.then) self.then(self);
  }
};

Instant At(Duration since_epoch) { return Instant(since_epoch); }

TEST(TimerWheel, FiresNeverEarlyAndAtMostAMillisecondLate) {
  TimerWheel wheel(At(seconds(1)));
  TestTimer timer;
  wheel.Arm(timer, At(seconds(1) + microseconds(2300)));
  wheel.Advance(At(seconds(1) + microseconds(2299)));
  EXPECT_EQ(timer.fired, 0);
  wheel.Advance(At(seconds(1) + microseconds(3300)));
  EXPECT_EQ(timer.fired, 1);
  EXPECT_FALSE(timer.armed());
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, ADeadlineInThePastFiresAtTheNextAdvanceEvenInTheSameMillisecond) {
  TimerWheel wheel(At(seconds(5)));
  TestTimer timer;
  for (const Instant deadline : {Instant::min(), At(Duration::zero()), At(seconds(5))}) {
    timer.fired = 0;
    wheel.Arm(timer, deadline);
    EXPECT_EQ(timer.fired, 0);
    EXPECT_LE(wheel.NextDeadline(), At(seconds(5)));
    wheel.Advance(At(seconds(5)));
    EXPECT_EQ(timer.fired, 1);
  }
}

TEST(TimerWheel, KnowsNoDeadlineWhereNothingIsArmed) {
  TimerWheel wheel(At(seconds(5)));
  EXPECT_EQ(wheel.NextDeadline(), kNever);
  EXPECT_TRUE(wheel.empty());
  TestTimer timer;
  wheel.Arm(timer, At(hours(1)));
  EXPECT_FALSE(wheel.empty());
  timer.Cancel();
  EXPECT_EQ(wheel.NextDeadline(), kNever);
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, ATimerThatRearmsItselfForNowDoesNotBlockAdvance) {
  TimerWheel wheel(At(seconds(5)));
  TestTimer timer;
  timer.then = [&](TestTimer& self) { wheel.Arm(self, At(seconds(1))); };
  wheel.Arm(timer, At(seconds(5)));
  wheel.Advance(At(seconds(6)));
  EXPECT_EQ(timer.fired, 1);
  wheel.Advance(At(seconds(6)));
  EXPECT_EQ(timer.fired, 2);
}

TEST(TimerWheel, AFiringTimerMayCancelAndDestroyOthersThatAreDueToo) {
  TimerWheel wheel(At(seconds(5)));
  TestTimer first;
  auto second = std::make_unique<TestTimer>();
  TestTimer third;
  first.then = [&](TestTimer&) {
    second.reset();
    third.Cancel();
  };
  wheel.Arm(first, At(seconds(5) + milliseconds(1)));
  wheel.Arm(*second, At(seconds(5) + milliseconds(1)));
  wheel.Arm(third, At(seconds(5) + milliseconds(2)));
  wheel.Advance(At(seconds(6)));
  EXPECT_EQ(first.fired, 1);
  EXPECT_EQ(third.fired, 0);
}

TEST(TimerWheel, FarDeadlinesAreKeptExactly) {
  for (const Duration far : {Duration(hours(1)), Duration(hours(24 * 49)), Duration(hours(24 * 60)),
                             Duration(hours(24 * 200))}) {
    const Instant start = At(hours(24 * 49) + milliseconds(17));  // just before the top level wraps
    TimerWheel wheel(start);
    TestTimer timer;
    wheel.Arm(timer, start + far);
    int wake_ups = 0;
    while (timer.fired == 0) {
      const Instant next = wheel.NextDeadline();
      ASSERT_LE(next, start + far);
      ASSERT_LT(++wake_ups, 24) << "too many wake-ups for one timer";
      wheel.Advance(next);
    }
    EXPECT_EQ(timer.fired, 1);
    EXPECT_TRUE(wheel.empty());
  }
}

TEST(TimerWheel, NeverMeansNotWithinFortyNineDays) {
  TimerWheel wheel(At(seconds(5)));
  TestTimer timer;
  wheel.Arm(timer, kNever);
  wheel.Advance(At(hours(24 * 400)));
  EXPECT_EQ(timer.fired, 0);
  EXPECT_TRUE(timer.armed());
}

TEST(TimerWheel, OneFarTimerCausesAHandfulOfWakeUps) {
  TimerWheel wheel(At(seconds(12345)));
  TestTimer timer;
  wheel.Arm(timer, At(seconds(12345) + hours(10)));
  int wake_ups = 0;
  for (; timer.fired == 0; ++wake_ups) wheel.Advance(wheel.NextDeadline());
  EXPECT_LE(wake_ups, 4);
}

// The same random operations on the wheel and on an obvious model.
TEST(TimerWheel, AgreesWithANaiveModel) {
  struct Model {
    bool armed = false;
    Instant deadline{};
  };
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Rng rng(seed);
    Instant now =
        At(milliseconds(rng.Below(uint64_t{1} << 34)) + nanoseconds(rng.Below(1'000'000)));
    TimerWheel wheel(now);
    std::vector<TestTimer> timers(60);
    std::vector<Model> model(timers.size());
    std::vector<size_t> fired;
    const auto draw_deadline = [&] {
      const unsigned magnitude = static_cast<unsigned>(rng.Below(46));
      return now + Duration(rng.Between(-1'000'000, int64_t{1} << magnitude));
    };
    const auto arm = [&](size_t i) {
      const Instant deadline = draw_deadline();
      wheel.Arm(timers[i], deadline);
      model[i] = Model{true, deadline};
    };
    for (size_t i = 0; i < timers.size(); ++i) {
      timers[i].then = [&, i](TestTimer&) {
        ASSERT_TRUE(model[i].armed);
        ASSERT_LE(model[i].deadline, now) << "early";
        fired.push_back(i);
        model[i].armed = false;
        if (rng.Chance(0.3)) arm(i);
        if (rng.Chance(0.1)) {
          const size_t other = rng.Below(timers.size());
          timers[other].Cancel();
          model[other].armed = false;
        }
      };
    }
    for (int step = 0; step < 4000; ++step) {
      const size_t i = rng.Below(timers.size());
      if (rng.Chance(0.4)) arm(i);
      if (rng.Chance(0.2)) {
        timers[i].Cancel();
        model[i].armed = false;
      }
      if (!rng.Chance(0.4)) continue;
      const Instant next = wheel.NextDeadline();
      Instant earliest = kNever;
      for (const Model& one : model) {
        if (one.armed) earliest = std::min(earliest, one.deadline);
      }
      ASSERT_EQ(next == kNever, earliest == kNever);
      // Never later than a millisecond behind the earliest deadline (or than now).
      if (earliest != kNever) {
        ASSERT_LT(next, std::max(earliest, now) + milliseconds(1));
      }
      if (next != kNever && rng.Chance(0.3)) now = std::max(now, next);
      if (rng.Chance(0.7)) now += Duration(rng.Below(uint64_t{1} << rng.Below(40)));
      std::vector<std::pair<Instant, size_t>> due;
      for (size_t k = 0; k < model.size(); ++k) {
        if (model[k].armed && model[k].deadline + milliseconds(1) <= now) {
          due.push_back({model[k].deadline, k});
        }
      }
      fired.clear();
      wheel.Advance(now);
      for (const auto& [deadline, k] : due) {
        const bool was_fired = std::find(fired.begin(), fired.end(), k) != fired.end();
        // Fired, or cancelled by one that fired before it.
        ASSERT_TRUE(was_fired || !model[k].armed || model[k].deadline != deadline) << "late";
      }
    }
    for (TestTimer& timer : timers) timer.Cancel();
    EXPECT_TRUE(wheel.empty());
  }
}

TEST(TimerWheel, FiresInOrderOfDeadline) {
  Rng rng(3);
  TimerWheel wheel(At(seconds(1)));
  std::vector<TestTimer> timers(1000);
  std::vector<Instant> order;
  for (TestTimer& timer : timers) {
    timer.then = [&](TestTimer& self) { order.push_back(self.deadline()); };
    wheel.Arm(timer, At(seconds(1) + milliseconds(1 + rng.Below(100'000'000))));
  }
  wheel.Advance(At(hours(48)));
  EXPECT_EQ(order.size(), timers.size());
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

}  // namespace
}  // namespace rondo::io
