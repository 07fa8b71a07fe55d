// The suite's world on a SecureEngine, whatever engine is below: with every connection secured at
// both ends by a test channel, or with none, for tests that secure them themselves.
#pragma once

#include <utility>

#include "io/engine_world.h"
#include "io/test_channel.h"
#include "rondo/io/secure_engine.h"

namespace rondo::io::testing {

class SecureWorld final : public EngineWorld {
 public:
  SecureWorld(std::unique_ptr<EngineWorld> below, bool secures_all)
      : below_(std::move(below)), secures_all_(secures_all), engine_(below_->engine(), frames_) {}

  Engine& engine() override { return engine_; }
  SecureEngine& secure() { return engine_; }
  const Freelist& frames() const { return frames_; }
  int Listen(const SocketAddress& address) override { return below_->Listen(address); }
  SocketAddress AddressOf(int listener) override { return below_->AddressOf(listener); }
  SocketAddress UnusedAddress(SocketAddress::Kind kind) override {
    return below_->UnusedAddress(kind);
  }
  bool is_real() const override { return below_->is_real(); }
  void Connected(int& client, int& server) override {
    if (!secures_all_) return;
    auto [of_client, of_server] = MakeTestChannels(++connections_);
    client = engine_.Secure(client, std::move(of_client), {}, false);
    server = engine_.Secure(server, std::move(of_server), {}, false);
  }
  void Settle() override {
    while (engine_.busy()) engine_.Run(engine_.Now() + std::chrono::milliseconds(1));
  }

 private:
  std::unique_ptr<EngineWorld> below_;
  const bool secures_all_;
  uint64_t connections_ = 0;
  Freelist frames_;
  SecureEngine engine_;
};

// `kMake` makes the world below.
template <std::unique_ptr<EngineWorld> (*kMake)(const EngineOptions&), bool kSecuresAll>
std::unique_ptr<EngineWorld> MakeSecured(const EngineOptions& options) {
  std::unique_ptr<EngineWorld> below = kMake(options);
  if (below == nullptr) return nullptr;
  return std::make_unique<SecureWorld>(std::move(below), kSecuresAll);
}

}  // namespace rondo::io::testing
