// What the SecureEngine costs: ordinary descriptors that pass through it, and secured ones whose
// channel only copies, so that what is measured is the engine's own part.
#include <benchmark/benchmark.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "rondo/io/secure_engine.h"

namespace rondo::io {
namespace {

// Takes ops and completes them at once, without queueing: the least that an engine can cost.
class NullEngine final : public Engine {
 public:
  NullEngine() : Engine(1) {}
  void Submit(Op& op) override { benchmark::DoNotOptimize(&op); }
  void Cancel(Op&) override {}
  void Run(Instant) override {}
  void Wake() override {}
  void Post(Op&, int32_t) override {}
  int OpenStream(const SocketAddress&) override { return -1; }
  int Shutdown(int, ShutdownHow) override { return 0; }
  void Close(int) override {}
  void ResetOnClose(int) override {}
  SocketAddress PeerAddress(int) override { return {}; }
  SocketAddress LocalAddress(int) override { return {}; }
  WallTime WallNow() const override { return {}; }
};

// One submitted op, straight and through; an item is one op.
void BM_Submit(benchmark::State& state) {
  NullEngine null;
  Freelist frames;
  SecureEngine secure(null, frames);
  Engine* engine = &null;
  if (state.range(0) != 0) engine = &secure;
  benchmark::DoNotOptimize(engine);
  std::vector<std::unique_ptr<Op>> ops(256);
  for (auto& op : ops) {
    op = std::make_unique<Op>([](Op&) {});
    op->fd = 7;
  }
  for (auto _ : state) {
    for (auto& op : ops) engine->Submit(*op);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(ops.size()));
}
BENCHMARK(BM_Submit)->ArgName("through")->Arg(0)->Arg(1);

// Records of a length and the bytes as they are.
class CopyChannel final : public tls::Channel {
 public:
  Opened Open(std::span<char> in, std::span<char> out) override {
    Opened opened;
    for (;;) {
      const std::span<char> rest = in.subspan(opened.consumed);
      const size_t record = RecordSize(rest);
      if (rest.size() < tls::kRecordHeader || rest.size() < record) break;
      const size_t plain = record - tls::kRecordHeader;
      if (plain > out.size() - opened.produced) break;
      std::memmove(out.data() + opened.produced, rest.data() + tls::kRecordHeader, plain);
      opened.consumed += record;
      opened.produced += plain;
    }
    return opened;
  }
  size_t RecordSize(std::span<const char> partial) const override {
    if (partial.size() < tls::kRecordHeader) return tls::kRecordHeader;
    uint32_t plain;
    std::memcpy(&plain, partial.data(), sizeof plain);
    return tls::kRecordHeader + plain;
  }
  size_t Seal(std::span<const iovec> parts, size_t skip, size_t bytes, char* out) override {
    const auto plain = static_cast<uint32_t>(bytes);
    std::memcpy(out, &plain, sizeof plain);
    std::memcpy(out + tls::kRecordHeader, static_cast<const char*>(parts[0].iov_base) + skip,
                bytes);
    return tls::kRecordHeader + bytes;
  }
  size_t SealedSize(size_t bytes) const override { return tls::kRecordHeader + bytes; }
  size_t pending() const override { return 0; }
  size_t TakePending(std::span<char>) override { return 0; }
  void Close() override {}
};

// A receive and a send of 128 bytes for each message, between the ends of socket pairs.
struct Echo : Op {
  Echo(Engine& e, int descriptor) : Op(&Echo::OnReceive), send([](Op&) {}), engine(e) {
    fd = send.fd = descriptor;
    kind = Op::Kind::kReceiveProvided;
    send.kind = Op::Kind::kSend;
    send.data = bytes;
    send.size = sizeof(bytes);
  }
  static void OnReceive(Op& op) {
    auto& self = static_cast<Echo&>(op);
    op.buffer.Reset();
    if (op.result <= 0) return;
    ++self.messages;
    self.engine.Submit(self.send);
    self.engine.Submit(self);
  }
  Op send;
  Engine& engine;
  uint64_t messages = 0;
  char bytes[128] = {};
};

// Ends connections' ops and closes them.
void End(SecureEngine& engine, const std::vector<Op*>& ops) {
  for (Op* op : ops) engine.Shutdown(op->fd, ShutdownHow::kBoth);
  for (Op* op : ops) engine.Cancel(*op);
  for (Op* op : ops) {
    while (op->in_flight()) engine.Run(engine.Now() + std::chrono::milliseconds(1));
  }
}

int Ended(SecureEngine& engine, int fd, bool secured) {
  return secured ? engine.Secure(fd, std::make_unique<CopyChannel>(), {}, true) : fd;
}

void BM_Echo(benchmark::State& state) {
  constexpr int kPairs = 64;
  auto below = MakeEngine(EngineKind::kEpoll, {});
  if (!below.ok()) return state.SkipWithError("no engine");
  Freelist frames;
  SecureEngine engine(**below, frames);
  std::vector<std::unique_ptr<Echo>> sides;
  for (int i = 0; i < kPairs; ++i) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) {
      return state.SkipWithError("socketpair failed");
    }
    for (const int fd : fds) {
      sides.push_back(std::make_unique<Echo>(engine, Ended(engine, fd, state.range(0) != 0)));
    }
  }
  std::vector<Op*> ops;
  for (auto& side : sides) {
    engine.Submit(*side);
    ops.push_back(side.get());
    ops.push_back(&side->send);
  }
  for (size_t i = 0; i < sides.size(); i += 2) engine.Submit(sides[i]->send);
  const uint64_t allocated = frames.allocations();
  for (auto _ : state) engine.Run(kNever);
  uint64_t messages = 0;
  for (auto& side : sides) messages += side->messages;
  state.SetItemsProcessed(static_cast<int64_t>(messages));
  state.counters["allocations"] = static_cast<double>(frames.allocations() - allocated);
  End(engine, ops);
  for (auto& side : sides) engine.Close(side->fd);
  while (engine.busy()) engine.Run(engine.Now() + std::chrono::milliseconds(1));
}
BENCHMARK(BM_Echo)->ArgName("secured")->Arg(0)->Arg(1);

// A stream of 256 KiB sends into 256 KiB receives, as long bodies go.
struct Stream {
  explicit Stream(SecureEngine& e) : engine(e), send(*this, &OnSent), receive(*this, &OnReceived) {}
  struct End : Op {
    End(Stream& of, Deliver deliver) : Op(deliver), stream(of), memory(256 * 1024, 'x') {}
    Stream& stream;
    std::string memory;
  };
  static void Submit(End& end, Op::Kind kind) {
    end.kind = kind;
    end.data = end.memory.data();
    end.size = end.memory.size();
    end.stream.engine.Submit(end);
  }
  static void OnSent(Op& op) {
    if (op.result > 0) Submit(static_cast<End&>(op), Op::Kind::kSend);
  }
  static void OnReceived(Op& op) {
    auto& end = static_cast<End&>(op);
    if (op.result <= 0) return;
    end.stream.bytes += static_cast<uint64_t>(op.result);
    Submit(end, Op::Kind::kReceive);
  }
  SecureEngine& engine;
  End send, receive;
  uint64_t bytes = 0;
};

void BM_Stream(benchmark::State& state) {
  auto below = MakeEngine(EngineKind::kEpoll, {});
  if (!below.ok()) return state.SkipWithError("no engine");
  Freelist frames;
  SecureEngine engine(**below, frames);
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) {
    return state.SkipWithError("socketpair failed");
  }
  Stream stream(engine);
  stream.send.fd = Ended(engine, fds[0], state.range(0) != 0);
  stream.receive.fd = Ended(engine, fds[1], state.range(0) != 0);
  Stream::Submit(stream.send, Op::Kind::kSend);
  Stream::Submit(stream.receive, Op::Kind::kReceive);
  for (auto _ : state) engine.Run(kNever);
  state.SetBytesProcessed(static_cast<int64_t>(stream.bytes));
  End(engine, {&stream.send, &stream.receive});
  engine.Close(stream.send.fd);
  engine.Close(stream.receive.fd);
  while (engine.busy()) engine.Run(engine.Now() + std::chrono::milliseconds(1));
}
BENCHMARK(BM_Stream)->ArgName("secured")->Arg(0)->Arg(1);

}  // namespace
}  // namespace rondo::io

BENCHMARK_MAIN();
