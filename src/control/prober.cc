#include "control/prober.h"

#include <algorithm>
#include <utility>

#include "control/probe_check.h"
#include "control/probe_connection.h"
#include "control/probe_http.h"

namespace rondo::control {

struct Prober::Target : io::Timer, ListHook<DueTag> {
  Target(Prober& owner, const ProbeTarget& what)
      : io::Timer(&OnTimer), prober(owner), probe(what) {}
  ListHook<DueTag>& due() { return *this; }

  Prober& prober;
  ProbeTarget probe;
  bool paused = false;
  bool first = true;                 // the next check is the first since it joined or was resumed
  bool reported = false;             // the check in flight has been judged, and only reads the rest
  bool again = false;                // asked for meanwhile
  uint64_t run = 0;                  // number of the check in flight; 0: none
  rt::CancelToken* token = nullptr;  // of the check in flight
  Instant started = Instant::min();  // the latest check
  ProbeCounts counts{};
};

Prober::Prober(rt::Loop& loop, ProbeListener& listener, uint64_t seed, std::string_view user_agent)
    : loop_(loop),
      listener_(listener),
      rng_(seed),
      user_agent_(user_agent),
      warm_ups_(loop, listener) {}

Prober::~Prober() {
  for (auto& [serial, target] : targets_) target->due().Unlink();
}

void Prober::Add(const ProbeTarget& target) {
  if (stopping_) return;
  auto [at, is_new] = targets_.try_emplace(target.serial);
  if (!is_new) {
    Update(target);
    Resume(target.serial);
    return;
  }
  at->second = std::make_unique<Target>(*this, target);
  CheckAt(*at->second, loop_.Now());
}

void Prober::Update(const ProbeTarget& probe) {
  Target* target = Find(probe.serial);
  if (target == nullptr) return;
  RONDO_DCHECK(probe.address == target->probe.address);
  const auto old = std::exchange(target->probe.check, probe.check);
  target->probe.wire = probe.wire;
  if (probe.check == nullptr) {
    // A warm-up goes on: it needs no check.
    Quieten(*target);
  } else if (old == nullptr) {
    target->first = true;
    CheckAt(*target, loop_.Now());
  } else if (*old != *probe.check && target->armed()) {
    const Instant latest = loop_.Now() + DrawInterval(*probe.check);
    if (target->deadline() > latest) CheckAt(*target, latest);
  }
}

void Prober::Remove(uint64_t serial) {
  Target* target = Find(serial);
  if (target == nullptr) return;
  Quieten(*target);
  warm_ups_.End(serial);
  targets_.erase(serial);
}

void Prober::Pause(uint64_t serial) {
  Target* target = Find(serial);
  if (target == nullptr) return;
  target->paused = true;
  Quieten(*target);
  warm_ups_.End(serial);
}

void Prober::Resume(uint64_t serial) {
  Target* target = Find(serial);
  if (target == nullptr || !target->paused) return;
  target->paused = false;
  target->first = true;
  CheckAt(*target, loop_.Now());
}

void Prober::CheckNow(uint64_t serial) {
  Target* target = Find(serial);
  if (target == nullptr || target->due().linked()) return;
  if (target->run != 0) {
    target->again = target->reported;
    return;
  }
  const bool never = target->started == Instant::min();
  const Instant at = never ? loop_.Now() : std::max(loop_.Now(), target->started + kSuspectGap);
  if (!target->armed() || target->deadline() > at) CheckAt(*target, at);
}

void Prober::StartWarmUp(uint64_t serial, const config::WarmUp& warm_up) {
  const Target* target = Find(serial);
  if (target == nullptr) return;
  const ProbeTarget& probe = target->probe;
  const std::string host = probe.check == nullptr ? std::string() : probe.check->host;
  warm_ups_.Start(serial, probe.address, probe.wire,
                  WarmUpRequest(warm_up, host, probe.address, user_agent_), warm_up);
}

void Prober::Stop() {
  stopping_ = true;
  for (auto& [serial, target] : targets_) Quieten(*target);
  targets_.clear();
  warm_ups_.EndAll();
}

const ProbeCounts* Prober::counts(uint64_t serial) const {
  const Target* target = Find(serial);
  return target == nullptr ? nullptr : &target->counts;
}

Instant Prober::NextCheck(uint64_t serial) const {
  const Target* target = Find(serial);
  return target == nullptr || !target->armed() ? kNever : target->deadline();
}

Prober::Target* Prober::Find(uint64_t serial) const {
  const auto found = targets_.find(serial);
  return found == targets_.end() ? nullptr : found->second.get();
}

Prober::Target* Prober::FindRun(uint64_t serial, uint64_t run) const {
  Target* target = Find(serial);
  return target == nullptr || target->run != run ? nullptr : target;
}

// By the timer also where that is now: no check begins within a call from outside.
void Prober::CheckAt(Target& target, Instant at) {
  if (target.paused || target.probe.check == nullptr) return;
  if (target.run != 0 || target.due().linked()) return;
  loop_.wheel().Arm(target, at);
}

void Prober::OnTimer(io::Timer& timer) {
  auto& target = static_cast<Target&>(timer);
  Prober& self = target.prober;
  self.due_.PushBack(target);
  self.StartChecks();
}

// Begins what is due, as far as there are places. A check that cannot even open a socket ends at
// once, and gets here again: it finds the loop running.
void Prober::StartChecks() {
  if (starting_) return;
  starting_ = true;
  while (running_ < kChecksMax && !due_.empty()) {
    Target& target = due_.PopFront();
    target.run = ++last_run_;
    target.reported = target.again = false;
    target.started = loop_.Now();
    ++running_;
    flows_.Spawn(RunCheck(target.probe, target.run));
  }
  starting_ = false;
}

rt::Task<> Prober::RunCheck(ProbeTarget probe, uint64_t run) {
  const config::HealthCheck& check = *probe.check;
  rt::CancelToken token(loop_.engine());
  rt::Deadline deadline(loop_.wheel(), token);
  FindRun(probe.serial, run)->token = &token;
  const Instant began = loop_.Now();
  deadline.Set(began + check.timeout);
  const SocketAddress to = CheckAddress(check, probe.address);
  ProbeConnection connection(loop_, token);
  ProbeAnswer answer(CheckWants(check));
  health::CheckResult result =
      co_await MakeCheck(connection, check, to, probe.wire, user_agent_, answer);
  result.began = began;
  result.took = loop_.Now() - began;
  Report(probe.serial, run, result);
  if (answer.progress() == ProbeAnswer::Progress::kDecided) {
    deadline.Set(std::min(deadline.at(), loop_.Now() + kRestPatience));
    co_await connection.ReadRest(answer);
  }
  connection.Close();
  Finish(probe.serial, run);
}

void Prober::Report(uint64_t serial, uint64_t run, const health::CheckResult& result) {
  Target* target = FindRun(serial, run);
  if (target == nullptr) return;
  target->reported = true;
  ++target->counts[static_cast<size_t>(result.outcome)];
  if (result.outcome != health::CheckOutcome::kLocal) listener_.OnCheck(serial, result);
}

void Prober::Finish(uint64_t serial, uint64_t run) {
  --running_;
  if (Target* target = FindRun(serial, run)) {
    target->run = 0;
    target->token = nullptr;
    ScheduleNext(*target);
  }
  StartChecks();
}

// From the beginning of the check that has just ended. One that took longer than the interval is
// followed at once.
void Prober::ScheduleNext(Target& target) {
  const config::HealthCheck& check = *target.probe.check;
  Duration delay =
      target.first ? Duration(rng_.Between(1, check.interval.count())) : DrawInterval(check);
  target.first = false;
  if (target.again) delay = std::min(delay, kSuspectGap);
  CheckAt(target, std::max(loop_.Now(), target.started + delay));
}

Duration Prober::DrawInterval(const config::HealthCheck& check) {
  const int64_t tenth = check.interval.count() / 10;
  return check.interval + Duration(rng_.Between(-tenth, tenth));
}

void Prober::Quieten(Target& target) {
  target.Cancel();
  target.due().Unlink();
  if (target.run == 0) return;
  target.token->Cancel(rt::CancelReason::kShutdown);
  target.token = nullptr;
  target.run = 0;
}

}  // namespace rondo::control
