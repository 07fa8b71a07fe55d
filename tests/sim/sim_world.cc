#include "sim_world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "draw.h"

namespace rondo::sim {
namespace {

// Not at a round number of milliseconds, so that rounding of deadlines is exercised.
Instant StartOf(uint64_t seed) {
  return Instant(std::chrono::seconds(1000)) +
         std::chrono::nanoseconds(Mix64(seed) % 1'000'000'000);
}

double Milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

SimWorld::SimWorld(uint64_t seed)
    : seed_(seed), rng_(Mix64(seed ^ 0x51e0)), events_(StartOf(seed)), network_(events_, rng_) {}

SimWorld::~SimWorld() {
  events_.Clear();
  actors_.clear();
  owned_.clear();
  RONDO_CHECK(engines_.empty());  // engines are destroyed before their world
}

std::unique_ptr<SimEngine> SimWorld::MakeEngine(std::string name, const SimEngineOptions& options) {
  return std::make_unique<SimEngine>(*this, std::move(name), options);
}

SimEngine& SimWorld::AddEngine(std::string name, const SimEngineOptions& options) {
  owned_.push_back(MakeEngine(std::move(name), options));
  return *owned_.back();
}

SimEngine& SimWorld::AddThread(std::string name, const SimEngineOptions& options) {
  SimEngine& engine = AddEngine(std::move(name), options);
  AddActor(engine, [&engine] { engine.Run(kNever); });
  return engine;
}

int SimWorld::AddActor(SimEngine& engine, Tick tick, NextDeadline next_deadline) {
  actors_.push_back(Actor{&engine, std::move(tick), std::move(next_deadline)});
  return static_cast<int>(actors_.size()) - 1;
}

void SimWorld::RemoveActor(int actor) {
  // The tick stays until the world ends: an actor may remove itself from within it.
  actors_[static_cast<size_t>(actor)].engine = nullptr;
}

RunEnd SimWorld::RunUntilQuiet(Duration max) { return RunLoop(nullptr, now() + max); }

RunEnd SimWorld::RunUntil(const std::function<bool()>& predicate, Duration max) {
  return RunLoop(&predicate, now() + max);
}

RunEnd SimWorld::RunFor(Duration duration) {
  const Instant until = now() + duration;
  RunEnd end = RunLoop(nullptr, until);
  if (end.stop == Stop::kQuiet) events_.AdvanceTo(until);
  return end;
}

RunEnd SimWorld::RunLoop(const std::function<bool()>* predicate, Instant limit) {
  const uint64_t steps_end = steps_ + steps_max_;
  while (true) {
    if (predicate != nullptr && (*predicate)()) return {Stop::kPredicate, ""};
    if (steps_ >= steps_end) return {Stop::kSteps, Pending()};
    switch (Step(limit)) {
      case StepResult::kDone:
        break;
      case StepResult::kNothing:
        return {Stop::kQuiet, predicate == nullptr ? "" : Pending()};
      case StepResult::kLimit:
        return {Stop::kTime, Pending()};
    }
  }
}

SimWorld::StepResult SimWorld::Step(Instant limit) {
  ++steps_;
  if (events_.next() <= now()) {
    events_.RunNext();
    for (SimEngine* engine : engines_) {
      const double rate = engine->faults_->spurious_wake;
      if (rate > 0 && rng_.Chance(rate)) engine->Wake();
    }
    return StepResult::kDone;
  }
  if (TickSomebody()) return StepResult::kDone;
  Instant next = events_.next();
  for (const Actor& actor : actors_) next = std::min(next, DueAt(actor));
  if (next == kNever) return StepResult::kNothing;
  if (next > limit) {
    events_.AdvanceTo(std::max(limit, now()));
    return StepResult::kLimit;
  }
  events_.AdvanceTo(next);
  return StepResult::kDone;
}

bool SimWorld::TickSomebody() {
  size_t due = 0;
  size_t chosen = 0;
  for (size_t i = 0; i < actors_.size(); ++i) {
    if (DueAt(actors_[i]) > now()) continue;
    // Each of those due is chosen with the same chance.
    if (rng_.Below(++due) == 0) chosen = i;
  }
  if (due > 0) TickActor(chosen);
  return due > 0;
}

void SimWorld::TickActor(size_t index) {
  Actor& actor = actors_[index];
  SimEngine& engine = *actor.engine;
  actor.due_once = false;
  engine.deadline_ = kNever;
  engine.woken_.store(false);
  Duration took = std::chrono::nanoseconds(rng_.Between(200, 20'000));
  if (rng_.Chance(engine.faults_->stall)) {
    took += std::chrono::microseconds(DrawSkewed(rng_, 500, 100'000));
  }
  actor.busy_until = now() + took;
  Note(index, 0x71c);
  const Tick tick = actor.tick;  // a copy: the tick may add actors
  tick();
}

Instant SimWorld::DueAt(const Actor& actor) const {
  if (actor.engine == nullptr || actor.paused) return kNever;
  if (actor.due_once || actor.engine->HasWork()) return std::max(actor.busy_until, now());
  Instant due = actor.engine->deadline();
  if (actor.next_deadline) due = std::min(due, actor.next_deadline());
  return due == kNever ? kNever : std::max(due, actor.busy_until);
}

std::vector<std::string> SimWorld::Leaks() const {
  std::vector<std::string> lines = leaks_;
  for (const SimEngine* engine : engines_) engine->ListLeaks(lines);
  for (const auto& [name, process] : processes_) process->ListOpen(now(), lines);
  return lines;
}

std::string SimWorld::Pending() const {
  std::string text;
  if (events_.next() != kNever) {
    text = absl::StrCat(events_.size(), " events, the next in ",
                        Milliseconds(events_.next() - now()), " ms; ");
  }
  for (const Actor& actor : actors_) {
    const Instant due = DueAt(actor);
    if (due == kNever) continue;
    absl::StrAppend(&text, actor.engine->name(), " is due in ", Milliseconds(due - now()), " ms; ");
  }
  for (const SimEngine* engine : engines_) {
    if (engine->in_flight() == 0) continue;
    absl::StrAppend(&text, engine->name(), " has ", engine->in_flight(), " ops in flight; ");
  }
  return text;
}

void SimWorld::Note(uint64_t a, uint64_t b) {
  const auto time = static_cast<uint64_t>(now().time_since_epoch().count());
  fingerprint_ = Mix64(fingerprint_ ^ Mix64(a ^ Mix64(b ^ Mix64(time))));
}

std::shared_ptr<SimProcess> SimWorld::Process(const std::string& name, size_t descriptors_max) {
  std::shared_ptr<SimProcess>& process = processes_[name];
  if (!process) {
    const int first = static_cast<int>(processes_.size() - 1) * 10'000 + 3;
    process = std::make_shared<SimProcess>(name, first, descriptors_max);
  }
  return process;
}

}  // namespace rondo::sim
