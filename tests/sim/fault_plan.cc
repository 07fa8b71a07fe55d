#include "fault_plan.h"

#include <cstdio>

namespace rondo::sim {
namespace {

struct Fault {
  const char* name;
  double FaultPlan::* rate;
  double rate_max;  // beyond this a run mostly shows nothing but this fault
};

constexpr Fault kFaults[] = {
    {"short_receive", &FaultPlan::short_receive, 0.6},
    {"short_send", &FaultPlan::short_send, 0.6},
    {"slow_completion", &FaultPlan::slow_completion, 0.2},
    {"late_cancel", &FaultPlan::late_cancel, 1.0},
    {"accept_ends", &FaultPlan::accept_ends, 0.5},
    {"accept_fails", &FaultPlan::accept_fails, 0.3},
    {"open_fails", &FaultPlan::open_fails, 0.3},
    {"starvation", &FaultPlan::starvation, 0.3},
    {"short_tick", &FaultPlan::short_tick, 0.5},
    {"spurious_wake", &FaultPlan::spurious_wake, 0.1},
    {"stall", &FaultPlan::stall, 0.02},
    {"tiny_buffers", &FaultPlan::tiny_buffers, 0.5},
    {"split_send", &FaultPlan::split_send, 1.0},
    {"slow_segment", &FaultPlan::slow_segment, 0.1},
    {"refuse_connect", &FaultPlan::refuse_connect, 0.3},
    {"lose_connect", &FaultPlan::lose_connect, 0.1},
    {"reset_connection", &FaultPlan::reset_connection, 0.2},
    {"reset_discards", &FaultPlan::reset_discards, 1.0},
};

}  // namespace

FaultPlan FaultPlan::Draw(Rng& rng) {
  FaultPlan plan;
  for (const Fault& fault : kFaults) {
    if (!rng.Chance(0.35)) continue;
    // Squared, so that weak faults are as usual as strong ones: rare events find other bugs.
    const double share = static_cast<double>(rng.Between(1, 1000)) / 1000.0;
    plan.*fault.rate = fault.rate_max * share * share;
  }
  return plan;
}

std::string FaultPlan::ToString() const {
  std::string text;
  for (const Fault& fault : kFaults) {
    if (this->*fault.rate == 0) continue;
    char item[64];
    std::snprintf(item, sizeof item, "%s%s=%.4f", text.empty() ? "" : " ", fault.name,
                  this->*fault.rate);
    text += item;
  }
  return text.empty() ? "none" : text;
}

}  // namespace rondo::sim
