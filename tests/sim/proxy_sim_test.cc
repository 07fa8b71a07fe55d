// The real proxy under drawn loads and faults: thousands of seeds, each a world of its own.
//
// RONDO_SIM_SEEDS=n runs n seeds in each of the two tests, RONDO_SIM_FIRST=n begins there;
// RONDO_SIM_SEED=n runs that one alone and tells what happens in it.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sim/proxy_check.h"

namespace rondo::sim {
namespace {

#ifdef NDEBUG
constexpr uint64_t kSeeds = 4000;
#else
constexpr uint64_t kSeeds = 1000;  // with sanitizers a run takes ten times as long
#endif

volatile uint64_t g_seed = 0;

// A failed check of the proxy's own ends the process: the seed must be known then, too.
void SayHowToRepeat() {
  char text[128];
  const int length = std::snprintf(text, sizeof text, "repeat with RONDO_SIM_SEED=%llu\n",
                                   static_cast<unsigned long long>(g_seed));
  std::fwrite(text, 1, static_cast<size_t>(length), stderr);
}

void OnAbort(int) { SayHowToRepeat(); }

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Whether all held.
bool RunSeed(uint64_t seed, bool verbose) {
  g_seed = seed;
  DrawnRun run = DrawRun(seed);
  ProxyWorld& world = *run.world;
  world.scene().verbose = verbose;
  world.Finish(std::chrono::seconds(400), std::chrono::seconds(60));
  CheckRun(run);
  if (verbose) std::fputs(world.log().lines().c_str(), stderr);
  const std::string findings = world.Findings();
  if (!findings.empty()) {
    ADD_FAILURE() << "RONDO_SIM_SEED=" << seed << " (" << NameOf(run.weather) << "; " << run.faults
                  << ")\n"
                  << findings;
  }
  if (!world.workers_finished()) (void)run.world.release();
  return findings.empty();
}

void RunSeeds(uint64_t first, uint64_t count) {
  std::signal(SIGABRT, &OnAbort);
  if (const char* only = std::getenv("RONDO_SIM_SEED"); only != nullptr) {
    first = std::strtoull(only, nullptr, 10);
    RunSeed(first, true);
    return;
  }
  first += FromEnvironment("RONDO_SIM_FIRST", 0);
  count = FromEnvironment("RONDO_SIM_SEEDS", count);
  int failed = 0;
  for (uint64_t seed = first; seed < first + count && failed < 10; ++seed) {
    if (!RunSeed(seed, false)) ++failed;
  }
}

TEST(ProxySim, SeedsHoldWhatIsPromisedWhateverHappens) { RunSeeds(1, kSeeds); }
TEST(ProxySim, FurtherSeedsHoldWhatIsPromisedWhateverHappens) { RunSeeds(1'000'000, kSeeds); }

}  // namespace
}  // namespace rondo::sim

// Called by AddressSanitizer, where that is built in, before it ends the process.
extern "C" void __asan_on_error();
extern "C" void __asan_on_error() { rondo::sim::SayHowToRepeat(); }
