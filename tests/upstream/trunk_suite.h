// A worker, a backend that speaks HTTP/2, and requests that share connections to it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rondo/metrics/backend_cell.h"
#include "sim/h2_backend.h"
#include "upstream/pool_suite.h"

namespace rondo::upstream::testing {

using sim::SimH2Backend;

inline constexpr Duration kAny = Duration::max();
inline constexpr const char* kAddress = "10.0.0.1:80";

// One request's part in it, as an exchange does it.
struct Asked {
  explicit Asked(io::Engine& engine) : token(engine) {}
  rt::CancelToken token;
  BackendConnection* connection = nullptr;
  int error = 0;
  std::string answer;
  int32_t end = 1;                // what the last receive said
  const char* failure = nullptr;  // of its connection, by then
  bool done = false;
};

class Trunks : public ::testing::Test {
 protected:
  void Start(uint32_t streams_max = 128, SimH2Backend::Handler handler = {}) {
    pool.settings.protocol = config::Protocol::kH2c;
    pool.settings.backends.push_back(BackendAt(kAddress));
    if (!handler) {
      handler = [](const SimH2Backend::Request&) { return SimH2Backend::Answer{}; };
    }
    backend = std::make_unique<SimH2Backend>(pool.world, At(kAddress), handler, streams_max);
    pool.Start();
  }
  // A backend that answers when it is told to.
  void StartHolding(uint32_t streams_max = 128) {
    Start(streams_max,
          [this](const SimH2Backend::Request&) { return SimH2Backend::Answer{.hold = holds}; });
  }
  ~Trunks() override {
    if (backend == nullptr) return;
    holds = false;
    backend->ReleaseAll();
    pool.RunUntil([&] { return pool.scope.count() == 0; });
    pool.upstream->CloseIdle();
    pool.RunUntil([&] { return pool.upstream->connections() == 0; });
    backend->Stop();
    pool.RunUntil([&] { return backend->stopped(); });
    backend.reset();
  }

  metrics::BackendCell& Cell() { return pool.PickAny().cell(); }

  // Takes or makes a stream, asks, and reads to the answer's end.
  static rt::Task<> AskFlow(PoolWorld& pool, Asked* asked) {
    WorkerBackend& to = pool.PickAny();
    const BackendRef hold(to);
    asked->connection = pool.upstream->TakeIdle(to, kAny);
    if (asked->connection == nullptr) {
      const ConnectResult result = co_await pool.upstream->Connect(to, asked->token);
      asked->connection = result.connection;
      asked->error = result.error;
    }
    if (asked->connection != nullptr) {
      static const std::string kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
      BackendConnection& connection = *asked->connection;
      connection.sender.Add(kRequest.data(), kRequest.size());
      const int32_t sent = co_await connection.sender.Send(asked->token);
      if (sent < 0) asked->error = -sent;
      while (!asked->answer.ends_with("ok") && asked->end > 0) {
        asked->end = co_await connection.receiver.Wait(asked->token);
        if (asked->end <= 0) {
          asked->failure = connection.failure();
          break;
        }
        const io::BufferRef bytes = connection.receiver.TakeBuffer();
        asked->answer.append(bytes.data(), static_cast<size_t>(asked->end));
      }
      if (asked->answer.ends_with("ok")) {
        pool.upstream->Release(connection);
      } else {
        pool.upstream->Close(connection);
      }
    }
    asked->done = true;
  }
  Asked& Ask() {
    asked.push_back(std::make_unique<Asked>(pool.loop->engine()));
    pool.scope.Spawn(AskFlow(pool, asked.back().get()));
    return *asked.back();
  }
  void AskMany(size_t count) {
    for (size_t i = 0; i < count; ++i) Ask();
  }
  size_t Answered() const {
    size_t count = 0;
    for (const auto& each : asked) count += each->answer.starts_with("HTTP/1.1 200") ? 1 : 0;
    return count;
  }
  void RunUntilServing(size_t count) {
    pool.RunUntil([&] { return backend->serving() == count; }, std::chrono::seconds(30));
  }
  void RunUntilAsked() {
    pool.RunUntil([&] { return pool.scope.count() == 0; }, std::chrono::seconds(60));
  }

  PoolWorld pool;
  std::unique_ptr<SimH2Backend> backend;
  std::vector<std::unique_ptr<Asked>> asked;
  bool holds = true;
};

}  // namespace rondo::upstream::testing
