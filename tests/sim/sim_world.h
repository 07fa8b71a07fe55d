// A whole simulated world in one thread: virtual time, one source of randomness, the network, the
// engines and the actors that use them. Equal seeds give equal runs, event by event.
//
// An actor is anything with a tick that calls its engine's Run, as a worker's loop does. Here Run
// never waits: it delivers what is due and notes its deadline, and the world decides who is ticked
// next.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "event_queue.h"
#include "rondo/base/rng.h"
#include "sim_engine.h"
#include "sim_network.h"

namespace rondo::sim {

// Why a run stopped.
enum class Stop : uint8_t {
  kQuiet,      // nothing more can happen: no event, no deadline
  kPredicate,  // RunUntil: its condition holds
  kTime,       // the virtual time given is over
  kSteps,      // too many steps: somebody is busy without end
};

struct RunEnd {
  Stop stop;
  std::string why;  // what was still going on, in words
};

class SimWorld {
 public:
  explicit SimWorld(uint64_t seed);
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;
  ~SimWorld();

  uint64_t seed() const { return seed_; }
  Instant now() const { return events_.now(); }
  Rng& rng() { return rng_; }
  EventQueue& events() { return events_; }
  SimNetwork& network() { return network_; }

  // An engine that the caller owns (and destroys before the world), or that the world owns.
  std::unique_ptr<SimEngine> MakeEngine(std::string name, const SimEngineOptions& options = {});
  SimEngine& AddEngine(std::string name, const SimEngineOptions& options = {});
  // AddEngine plus an actor that only calls Run: a thread for test clients and backends.
  SimEngine& AddThread(std::string name, const SimEngineOptions& options = {});

  using Tick = std::function<void()>;
  using NextDeadline = std::function<Instant()>;
  // `tick` calls `engine`.Run once. It is called when the engine has something to deliver or was
  // woken, when the deadline given to the last Run has come, and when `next_deadline`, where there
  // is one, has come.
  int AddActor(SimEngine& engine, Tick tick, NextDeadline next_deadline = {});
  void RemoveActor(int actor);
  // The thread does not run until Resume: stopped by a debugger, starved of CPU.
  void Pause(int actor) { actors_[static_cast<size_t>(actor)].paused = true; }
  void Resume(int actor) { actors_[static_cast<size_t>(actor)].paused = false; }

  // Runs `event` in `delay` of virtual time, outside of every actor's tick.
  void After(Duration delay, EventQueue::Event event) { events_.After(delay, std::move(event)); }

  RunEnd RunUntilQuiet(Duration max);
  RunEnd RunUntil(const std::function<bool()>& predicate, Duration max);
  // Lets `duration` pass.
  RunEnd RunFor(Duration duration);

  // What is left over, a line each; empty where all is well. For after RunUntilQuiet.
  std::vector<std::string> Leaks() const;
  // A digest of every completion delivered so far, in order: equal for equal runs.
  uint64_t fingerprint() const { return fingerprint_; }
  uint64_t steps() const { return steps_; }
  void set_steps_max(uint64_t steps) { steps_max_ = steps; }

 private:
  friend class SimEngine;
  struct Actor {
    SimEngine* engine;  // null once removed
    Tick tick;
    NextDeadline next_deadline;
    Instant busy_until{};  // its last tick took until then
    bool due_once = true;  // a new actor is ticked without a reason
    bool paused = false;
  };
  enum class StepResult : uint8_t { kDone, kNothing, kLimit };

  // One event or one tick, or time up to the next of them, but not beyond `limit`.
  StepResult Step(Instant limit);
  bool TickSomebody();
  void TickActor(size_t index);
  // When the actor wants to be ticked; kNever: not before something happens.
  Instant DueAt(const Actor& actor) const;
  RunEnd RunLoop(const std::function<bool()>* predicate, Instant limit);
  std::string Pending() const;
  void Note(uint64_t a, uint64_t b);
  std::shared_ptr<SimProcess> Process(const std::string& name, size_t descriptors_max);

  uint64_t seed_;
  Rng rng_;
  EventQueue events_;
  SimNetwork network_;
  std::map<std::string, std::shared_ptr<SimProcess>> processes_;
  std::vector<SimEngine*> engines_;  // that exist now
  std::vector<Actor> actors_;
  std::vector<std::unique_ptr<SimEngine>> owned_;
  std::vector<std::string> leaks_;  // of engines that are gone
  uint64_t fingerprint_ = 0;
  uint64_t steps_ = 0;
  uint64_t steps_max_ = 20'000'000;
};

}  // namespace rondo::sim
