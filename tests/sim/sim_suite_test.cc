// The suite that all engines pass, on the simulated one.
#include "io/engine_suite.h"

#include "io/secure_suite.h"
#include "io/stream_drawn.h"
#include "sim/sim_world.h"

namespace rondo::io::testing {
namespace {

class SimulatedWorld final : public EngineWorld {
 public:
  SimulatedWorld(uint64_t seed, const EngineOptions& options) : world_(seed) {
    // The suite looks at what has happened after a millisecond or two.
    world_.network().set_latency_max(std::chrono::microseconds(200));
    sim::SimEngineOptions sim_options;
    sim_options.buffers_max = options.buffers_max;
    sim_options.drives_world = true;
    sim_options.faults.late_cancel = seed % 2 == 0 ? 0 : 0.5;
    engine_ = world_.MakeEngine("engine", sim_options);
  }
  ~SimulatedWorld() override {
    engine_.reset();
    for (const std::string& leak : world_.Leaks()) ADD_FAILURE() << leak;
  }

  Engine& engine() override { return *engine_; }
  int Listen(const SocketAddress& address) override { return engine_->Listen(address); }
  SocketAddress AddressOf(int listener) override { return engine_->LocalAddress(listener); }
  SocketAddress UnusedAddress(SocketAddress::Kind kind) override {
    const std::string port = std::to_string(1000 + ++unused_);
    switch (kind) {
      case SocketAddress::Kind::kIp:
        return *SocketAddress::Parse("127.0.0.1:" + port);
      case SocketAddress::Kind::kUnix:
        return *SocketAddress::Parse("unix:/run/" + port + ".sock");
    }
    return {};
  }
  bool is_real() const override { return false; }

 private:
  sim::SimWorld world_;
  std::unique_ptr<sim::SimEngine> engine_;
  int unused_ = 0;
};

template <uint64_t kSeed>
std::unique_ptr<EngineWorld> Make(const EngineOptions& options) {
  return std::make_unique<SimulatedWorld>(kSeed, options);
}

INSTANTIATE_TEST_SUITE_P(
    Simulated, EngineSuite,
    ::testing::Values(WorldMaker{"seed1", &Make<1>}, WorldMaker{"seed2", &Make<2>},
                      WorldMaker{"seed3", &Make<3>}, WorldMaker{"seed4", &Make<4>},
                      WorldMaker{"seed5", &Make<5>}, WorldMaker{"seed6", &Make<6>}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(SimulatedSecured, EngineSuite,
                         ::testing::Values(WorldMaker{"seed1", &MakeSecured<&Make<1>, true>},
                                           WorldMaker{"seed2", &MakeSecured<&Make<2>, true>},
                                           WorldMaker{"seed3", &MakeSecured<&Make<3>, true>},
                                           WorldMaker{"seed4", &MakeSecured<&Make<4>, true>}),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(SimulatedTunnels, EngineSuite,
                         ::testing::Values(WorldMaker{"seed1", &MakeStreams<&Make<1>, true>},
                                           WorldMaker{"seed2", &MakeStreams<&Make<2>, true>},
                                           WorldMaker{"seed3", &MakeStreams<&Make<3>, true>},
                                           WorldMaker{"seed4", &MakeStreams<&Make<4>, true>}),
                         NameOf);
const WorldMaker kStreams[] = {{"seed1", &MakeStreams<&Make<1>, false>},
                               {"seed2", &MakeStreams<&Make<2>, false>},
                               {"seed3", &MakeStreams<&Make<3>, false>},
                               {"secured", &MakeStreams<&MakeSecured<&Make<4>, true>, false>}};
INSTANTIATE_TEST_SUITE_P(Simulated, StreamSuite, ::testing::ValuesIn(kStreams), NameOf);
INSTANTIATE_TEST_SUITE_P(Simulated, DrawnStreams, ::testing::ValuesIn(kStreams), NameOf);
const WorldMaker kHalfSecured[] = {{"seed1", &MakeSecured<&Make<1>, false>},
                                   {"seed2", &MakeSecured<&Make<2>, false>},
                                   {"seed3", &MakeSecured<&Make<3>, false>}};
INSTANTIATE_TEST_SUITE_P(Simulated, SecureSuite, ::testing::ValuesIn(kHalfSecured), NameOf);
INSTANTIATE_TEST_SUITE_P(Simulated, DrawnLine, ::testing::ValuesIn(kHalfSecured), NameOf);

}  // namespace
}  // namespace rondo::io::testing
