// The lives of backends under drawn events: machine and prober together, against backends that
// refuse, hang, fall silent, answer slowly or wrongly, and change their mind. Each seed is a world
// of its own.
//
// RONDO_SIM_SEEDS=n runs n seeds, RONDO_SIM_FIRST=n begins there; RONDO_SIM_SEED=n runs that one
// alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "rondo/health/machine.h"
#include "sim/prober_world.h"

namespace rondo::sim {
namespace {

using health::CheckOutcome;
using health::Machine;
using health::State;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::IsEmpty;

#ifdef NDEBUG
constexpr uint64_t kSeeds = 1000;
#else
constexpr uint64_t kSeeds = 100;
#endif

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

enum class Mode : uint8_t { kGood, kSlow, kRefuses, kSilent, kHangs, kStatus };
constexpr uint64_t kModes = 6;

bool Serves(Mode mode) { return mode == Mode::kGood || mode == Mode::kSlow; }

// One backend: what it does, and what is thought of it.
struct Life {
  Life(uint64_t number, const health::Settings& settings, Instant now)
      : serial(number), machine(settings, health::Actor::kConfig, now) {}
  uint64_t serial;
  Machine machine;
  Mode mode = Mode::kGood;
  Instant mode_since{};
  SimHttpBackend* server = nullptr;
  std::shared_ptr<config::HealthCheck> check;
  config::WarmUp warm_up;
  // Of the latest check that was reported, where nothing came between that moves the next.
  std::optional<Instant> last_began;
  Instant last_ended{};
  size_t checks_in_a_row = 0;
  uint64_t not_made = 0;  // checks for which there was no descriptor: they are not reported
};

struct Seen {
  std::map<State, size_t> states;
  std::map<CheckOutcome, size_t> outcomes;
  size_t warmed = 0;
};

class HealthWorld {
 public:
  HealthWorld(uint64_t seed, Seen& seen)
      : rng_(seed), faulty_(rng_.Chance(0.4)), world_(seed, DrawFaults()), seen_(seen) {
    world_.on_check = [this](uint64_t serial, const health::CheckResult& result) {
      OnCheck(Of(serial), result);
    };
    world_.on_warmed = [this](uint64_t serial, uint32_t) {
      ++seen_.warmed;
      Life& life = Of(serial);
      Changed(life, life.machine.OnWarmedUp(Now()));
    };
    world_.after_tick = [this] {
      if (world_.prober().running() > control::Prober::kChecksMax) {
        findings_.push_back("too many checks at once");
      }
      for (auto& life : lives_) Changed(*life, life->machine.Tick(Now()));
    };
    const auto backends = static_cast<uint64_t>(rng_.Between(1, rng_.Chance(0.05) ? 80 : 8));
    for (uint64_t serial = 1; serial <= backends; ++serial) AddLife(serial);
  }

  void Run() {
    const int64_t events = rng_.Between(0, 60);
    for (int64_t i = 0; i < events; ++i) {
      world_.world().RunFor(milliseconds(rng_.Between(0, 3000)));
      Happen(*lives_[rng_.Below(lives_.size())]);
      world_.engine().Wake();
    }
    Settle();
  }
  std::vector<std::string> Findings() {
    for (const std::string& leak : world_.StopAndListLeaks()) findings_.push_back(leak);
    return findings_;
  }

 private:
  Instant Now() { return world_.loop().Now(); }
  Life& Of(uint64_t serial) { return *lives_[serial - 1]; }
  void Report(const Life& life, const std::string& what) {
    findings_.push_back("backend " + std::to_string(life.serial) + ": " + what);
  }
  FaultPlan DrawFaults() { return faulty_ ? FaultPlan::Draw(rng_) : FaultPlan(); }
  Duration Slack() const { return faulty_ ? Duration(seconds(3)) : Duration(milliseconds(5)); }

  std::shared_ptr<config::HealthCheck> DrawCheck() {
    auto check = world_.Check(milliseconds(rng_.Between(300, 6000)));
    check->timeout = milliseconds(rng_.Between(400, 4000));
    check->healthy_threshold = static_cast<uint32_t>(rng_.Between(1, 3));
    check->unhealthy_threshold = static_cast<uint32_t>(rng_.Between(1, 3));
    return check;
  }
  health::Settings SettingsOf(const config::HealthCheck& check, bool warms) {
    return {.has_check = true,
            .has_warm_up = warms,
            .healthy_threshold = check.healthy_threshold,
            .unhealthy_threshold = check.unhealthy_threshold,
            .fail_timeout = seconds(rng_.Between(1, 10))};
  }

  void AddLife(uint64_t serial) {
    auto check = DrawCheck();
    auto life = std::make_unique<Life>(serial, SettingsOf(*check, rng_.Chance(0.4)), Now());
    life->check = check;
    life->warm_up = {.requests = static_cast<uint32_t>(rng_.Between(1, 20)),
                     .concurrency = static_cast<uint32_t>(rng_.Between(1, 3)),
                     .timeout = milliseconds(rng_.Between(100, 4000))};
    Life* one = life.get();
    life->server = &world_.AddBackend(serial, [one](const BackendRequest&) {
      BackendAnswer answer;
      if (one->mode == Mode::kSlow) answer.delay = milliseconds(150);
      if (one->mode == Mode::kStatus) answer.status = 503;
      if (one->mode == Mode::kHangs) answer.misbehaviour = Misbehaviour::kStall;
      return answer;
    });
    lives_.push_back(std::move(life));
    SetMode(*one, static_cast<Mode>(rng_.Below(kModes)));
    world_.Watch(serial, check);
  }

  void SetMode(Life& life, Mode mode) {
    SimNetwork& network = world_.world().network();
    const SocketAddress address = ProberWorld::Address(life.serial);
    network.Restore(address);
    if (mode == Mode::kRefuses) network.Refuse(address);
    if (mode == Mode::kSilent) network.BlackHole(address);
    life.mode = mode;
    life.mode_since = world_.world().now();
  }

  // What the control thread does when a state has changed.
  void Changed(Life& life, bool changed) {
    ++seen_.states[life.machine.state()];
    if (!changed) return;
    if (life.machine.state() == State::kWarming) {
      world_.prober().StartWarmUp(life.serial, life.warm_up);
    }
    if (life.machine.state() == State::kChecking) CheckNow(life);
  }
  void CheckNow(Life& life) {
    life.last_began.reset();
    world_.prober().CheckNow(life.serial);
  }

  void Happen(Life& life) {
    switch (rng_.Below(12)) {
      case 0:
        life.machine.SetMaintenance(health::Actor::kApi, "drawn", Now());
        world_.prober().Pause(life.serial);
        life.last_began.reset();
        return;
      case 1:
      case 2:
        Changed(life, life.machine.SetUp(health::Actor::kApi, "drawn", Now()));
        world_.prober().Resume(life.serial);
        life.last_began.reset();
        return;
      case 3:
        Changed(life, life.machine.Eject("drawn", Now()));
        CheckNow(life);
        return;
      case 4:
        CheckNow(life);
        return;
      case 5:
        life.check = DrawCheck();
        Changed(life, life.machine.Reconfigure(SettingsOf(*life.check, rng_.Chance(0.4)), Now()));
        world_.prober().Update({life.serial, ProberWorld::Address(life.serial), life.check});
        life.last_began.reset();
        return;
      case 6:
        if (health::IsHeld(life.machine.state())) return;
        world_.prober().Remove(life.serial);
        world_.Watch(life.serial, life.check);
        if (life.machine.state() == State::kWarming) {
          world_.prober().StartWarmUp(life.serial, life.warm_up);
        }
        life.last_began.reset();
        return;
      default:
        SetMode(life, static_cast<Mode>(rng_.Below(kModes)));
        return;
    }
  }

  void OnCheck(Life& life, const health::CheckResult& result) {
    ++seen_.outcomes[result.outcome];
    if (health::IsHeld(life.machine.state())) Report(life, "checked while held back");
    CheckTimes(life, result);
    CheckVerdict(life, result);
    life.last_began = result.began;
    life.last_ended = result.began + result.took;
    Changed(life, life.machine.OnCheck(result.passed(), result.detail, Now()));
  }

  void CheckTimes(Life& life, const health::CheckResult& result) {
    const Duration interval = life.check->interval;
    if (result.took < Duration(0)) Report(life, "took less than nothing");
    if (result.began < life.last_ended) Report(life, "checks overlap");
    const uint64_t not_made =
        (*world_.prober().counts(life.serial))[static_cast<size_t>(CheckOutcome::kLocal)];
    if (std::exchange(life.not_made, not_made) != not_made) life.last_began.reset();
    if (!life.last_began) {
      life.checks_in_a_row = 0;
      return;
    }
    // It was checked at its own time: behind the one before, by the rules of then.
    const Duration gap = result.began - *life.last_began;
    const Instant latest = std::max(*life.last_began + interval * 11 / 10,
                                    life.last_ended + control::Prober::kRestPatience);
    if (result.began > latest + Slack()) {
      Report(life,
             "checked too late by " + std::to_string((result.began - latest) / milliseconds(1)));
    }
    // The first after it joined comes at any time.
    if (++life.checks_in_a_row > 1 && gap < interval * 9 / 10) Report(life, "checked too early");
    if (result.took > life.check->timeout + Slack()) Report(life, "took longer than its timeout");
  }

  // Without faults of the network, the answer is what the backend does.
  void CheckVerdict(const Life& life, const health::CheckResult& result) {
    if (faulty_ || life.mode_since + milliseconds(20) > result.began) return;
    std::vector<health::CheckOutcome> right;
    switch (life.mode) {
      case Mode::kGood:
      case Mode::kSlow:
        right = {CheckOutcome::kPassed};
        break;
      case Mode::kRefuses:
        right = {CheckOutcome::kConnectRefused};
        break;
      case Mode::kSilent:
        right = {CheckOutcome::kConnectTimeout};
        break;
      case Mode::kHangs:
        right = {CheckOutcome::kResponseTimeout};
        break;
      case Mode::kStatus:
        right = {CheckOutcome::kStatus};
        break;
    }
    if (result.outcome != right[0]) {
      Report(life, "does " + std::to_string(static_cast<int>(life.mode)) + ", but the check said " +
                       result.detail);
    }
  }

  // Nothing changes any more, no faults: in the end everybody is seen as what he is.
  void Settle() {
    world_.engine().faults() = FaultPlan();
    for (auto& life : lives_) SetMode(*life, static_cast<Mode>(rng_.Below(kModes)));
    world_.world().RunFor(seconds(100));
    for (auto& life : lives_) {
      const State state = life->machine.state();
      if (health::IsHeld(state)) continue;
      const bool right = Serves(life->mode) ? state == State::kUp
                                            : state == State::kDown || state == State::kChecking;
      if (right) continue;
      Report(*life, "ends " + std::string(StateName(state)) + " though it does " +
                        std::to_string(static_cast<int>(life->mode)));
    }
  }

  Rng rng_;
  bool faulty_;
  std::vector<std::unique_ptr<Life>> lives_;  // by serial, from 1
  ProberWorld world_;
  Seen& seen_;
  std::vector<std::string> findings_;
};

TEST(HealthSim, EverybodyIsSeenAsWhatHeIs) {
  uint64_t first = FromEnvironment("RONDO_SIM_FIRST", 1);
  uint64_t count = FromEnvironment("RONDO_SIM_SEEDS", kSeeds);
  if (const uint64_t one = FromEnvironment("RONDO_SIM_SEED", 0); one != 0) {
    first = one;
    count = 1;
  }
  Seen seen;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    HealthWorld world(seed, seen);
    world.Run();
    ASSERT_THAT(world.Findings(), IsEmpty()) << "RONDO_SIM_SEED=" << seed;
  }
  if (count < 100) return;
  for (const State state : {State::kChecking, State::kWarming, State::kUp, State::kDown,
                            State::kEjected, State::kMaintenance}) {
    EXPECT_GT(seen.states[state], 0u) << StateName(state);
  }
  for (const CheckOutcome outcome :
       {CheckOutcome::kPassed, CheckOutcome::kConnectRefused, CheckOutcome::kConnectTimeout,
        CheckOutcome::kResponseTimeout, CheckOutcome::kStatus, CheckOutcome::kReset}) {
    EXPECT_GT(seen.outcomes[outcome], 0u) << CheckOutcomeName(outcome);
  }
  EXPECT_GT(seen.warmed, 0u);
}

// A backend goes and comes back: with the defaults it is down after the third check that fails, and
// up after the second that passes, each five seconds from the one before, give or take a tenth.
TEST(HealthSim, TheDocumentedTimesHold) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    ProberWorld world(seed);
    world.AddGood(1);
    const Instant added = world.world().now();
    Machine machine({.has_check = true}, health::Actor::kConfig, added);
    world.on_check = [&](uint64_t, const health::CheckResult& result) {
      machine.OnCheck(result.passed(), result.detail, world.loop().Now());
    };
    world.Watch(1, world.Check());
    world.world().RunFor(seconds(1));
    ASSERT_EQ(machine.state(), State::kUp);
    EXPECT_LE(machine.since() - added, milliseconds(50));

    world.world().RunFor(milliseconds(world.world().rng().Between(10'000, 20'000)));
    const Instant gone = world.world().now();
    world.world().network().Refuse(world.Address(1));
    world.world().RunUntil([&] { return machine.state() == State::kDown; }, minutes(1));
    const Duration until_down = world.world().now() - gone;
    EXPECT_GE(until_down, seconds(9)) << seed;
    EXPECT_LE(until_down, milliseconds(16'550)) << seed;

    world.world().RunFor(milliseconds(world.world().rng().Between(0, 20'000)));
    const Instant back = world.world().now();
    world.world().network().Restore(world.Address(1));
    world.world().RunUntil([&] { return machine.state() == State::kUp; }, minutes(1));
    const Duration until_up = world.world().now() - back;
    EXPECT_GE(until_up, milliseconds(4500)) << seed;
    EXPECT_LE(until_up, milliseconds(11'050)) << seed;
    EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
  }
}

// Five replicas become one: each of the four is checked the moment a request is refused, and down
// three seconds later, where requests go on to be refused.
TEST(HealthSim, SuspicionFindsTheDeadInSecondsNotIntervals) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    ProberWorld world(seed);
    std::vector<Machine> machines;
    world.on_check = [&](uint64_t serial, const health::CheckResult& result) {
      machines[serial - 1].OnCheck(result.passed(), result.detail, world.loop().Now());
    };
    for (uint64_t serial = 1; serial <= 5; ++serial) {
      machines.emplace_back(health::Settings{.has_check = true}, health::Actor::kDns,
                            world.world().now());
      world.AddGood(serial);
      world.Watch(serial, world.Check(minutes(1)));
    }
    world.world().RunFor(seconds(90));
    for (uint64_t serial = 2; serial <= 5; ++serial) {
      world.world().network().Refuse(world.Address(serial));
    }
    for (int tenth = 0; tenth < 32; ++tenth) {
      for (uint64_t serial = 2; serial <= 5; ++serial) world.prober().CheckNow(serial);
      world.engine().Wake();
      world.world().RunFor(milliseconds(100));
    }
    EXPECT_EQ(machines[0].state(), State::kUp);
    for (size_t i = 1; i < 5; ++i) EXPECT_EQ(machines[i].state(), State::kDown) << seed;
    EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
  }
}

}  // namespace
}  // namespace rondo::sim
