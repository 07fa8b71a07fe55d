// The suite's world on the machine's own network.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include "io/engine_world.h"

namespace rondo::io::testing {

class RealWorld final : public EngineWorld {
 public:
  explicit RealWorld(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {
    char folder[] = "/tmp/rondo_io_XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~RealWorld() override {
    for (const std::string& path : paths_) unlink(path.c_str());
    rmdir(folder_.c_str());
  }
  Engine& engine() override { return *engine_; }
  int Listen(const SocketAddress& address) override {
    const auto fd = OpenListener(address, ListenMode::kAlone);
    return fd.ok() ? *fd : -1;
  }
  SocketAddress AddressOf(int listener) override { return BoundAddress(listener); }
  SocketAddress UnusedAddress(SocketAddress::Kind kind) override {
    SocketAddress address;
    if (kind == SocketAddress::Kind::kUnix) {
      address.kind = kind;
      address.path = folder_ + "/" + std::to_string(paths_.size());
      paths_.push_back(address.path);
      return address;
    }
    const int listener = Listen(*SocketAddress::Parse("127.0.0.1:0"));
    address = BoundAddress(listener);
    close(listener);
    return address;
  }
  bool is_real() const override { return true; }

  template <EngineKind kKind>
  static std::unique_ptr<EngineWorld> MakeOf(const EngineOptions& options) {
    auto engine = MakeEngine(kKind, options);
    if (!engine.ok()) {
      ADD_FAILURE() << std::string(engine.status().ToString());
      return nullptr;
    }
    return std::make_unique<RealWorld>(std::move(*engine));
  }

 private:
  std::unique_ptr<Engine> engine_;
  std::string folder_;
  std::vector<std::string> paths_;
};

}  // namespace rondo::io::testing
