// What HTTP/2's frames cost a request: a server's and a client's session, wired together through
// memory, without any translation to and from HTTP/1.1 text beyond that of the heads that come.
// Allocations are those that malloc is asked for.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/base/freelist.h"
#include "rondo/http2/session.h"

namespace {

uint64_t allocated = 0;

}  // namespace

void* operator new(size_t size) {
  ++allocated;
  void* block = std::malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace {

using namespace rondo;
using namespace rondo::http2;

struct Stream final : SessionStream {
  size_t left = 0;  // of its body
  bool used = false;
};

class End final : public SessionOwner {
 public:
  End(Role role, size_t body) : body_(body) {
    SessionOptions options;
    options.role = role;
    options.connection_window = 1 << 24;
    options.stream_window = 1 << 20;
    session = Session::Make(options, *this, memory);
    const std::string_view fields[][2] = {{"content-type", "text/html; charset=utf-8"},
                                          {"content-length", "1024"},
                                          {"server", "bench"},
                                          {"date", "Sun, 22 Nov 2026 15:00:00 GMT"},
                                          {"x-request-id", "0123456789abcdef0123456789abcdef"}};
    answer_.push_back({":status", "200"});
    for (const auto& field : fields) answer_.push_back({field[0], field[1]});
  }

  SessionStream* OnRequest(const IncomingHead&, bool) override {
    for (Stream& stream : streams) {
      if (stream.used) continue;
      stream.used = true;
      asked.push_back(&stream);
      return &stream;
    }
    std::abort();
  }
  void OnResponse(SessionStream&, const IncomingHead&, bool) override {}
  void OnData(SessionStream& stream, std::string_view bytes) override {
    session->Consume(stream.id(), bytes.size());
  }
  void OnEnd(SessionStream&, std::string_view) override { ++ended; }
  Supply OnSupply(SessionStream& stream, std::span<char> out, size_t* count) override {
    size_t& left = static_cast<Stream&>(stream).left;
    *count = std::min(left, out.size());
    std::memset(out.data(), 'x', *count);
    left -= *count;
    return left == 0 ? Supply::kEnd : Supply::kMore;
  }
  void OnClosed(SessionStream& stream, const Closing&) override {
    static_cast<Stream&>(stream).used = false;
  }
  void OnGoaway(ErrorCode) override {}
  void OnSettings() override {}

  void AnswerAll() {
    OutgoingHead head;
    head.fields = answer_;
    for (Stream* stream : asked) {
      stream->left = body_;
      session->SubmitHead(*stream, head);
    }
    asked.clear();
  }
  // To the other end. How many bytes.
  size_t Say(End& other) {
    const size_t size = session->Fill(buffer_);
    if (size > 0 &&
        other.session->Feed({buffer_.data(), size}, Instant{}) == Session::State::kFailed) {
      std::abort();
    }
    return size;
  }

  Freelist memory;
  std::unique_ptr<Session> session;
  std::vector<Stream> streams{128};
  std::vector<Stream*> asked;
  size_t ended = 0;

 private:
  std::vector<char> buffer_ = std::vector<char>(65536);
  std::vector<OutgoingField> answer_;
  size_t body_;
};

void ExchangeRequests(benchmark::State& state) {
  const auto at_once = static_cast<size_t>(state.range(0));
  End server(Role::kServer, static_cast<size_t>(state.range(1)));
  End client(Role::kClient, 0);
  const std::vector<OutgoingField> fields = {
      {":method", "GET"},
      {":scheme", "https"},
      {":authority", "www.example.com"},
      {":path", "/some/path?with=query"},
      {"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
      {"accept", "*/*"},
      {"accept-encoding", "gzip, deflate, br"}};
  OutgoingHead head;
  head.fields = fields;
  head.ends = true;
  const auto round = [&] {
    for (size_t i = 0; i < at_once; ++i) {
      client.streams[i].used = true;
      client.session->OpenStream(client.streams[i], head);
    }
    while (client.Say(server) > 0) {
    }
    server.AnswerAll();
    while (server.Say(client) > 0) {
    }
  };
  while (client.Say(server) + server.Say(client) > 0) {
  }
  for (int i = 0; i < 200; ++i) round();
  const uint64_t before = allocated + server.memory.allocations() + client.memory.allocations();
  for (auto _ : state) round();
  const uint64_t after = allocated + server.memory.allocations() + client.memory.allocations();
  const auto requests = static_cast<double>(state.iterations()) * static_cast<double>(at_once);
  state.SetItemsProcessed(static_cast<int64_t>(requests));
  state.counters["allocs"] = static_cast<double>(after - before) / requests;
  state.counters["ns"] = benchmark::Counter(
      requests * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["blocks"] = static_cast<double>(server.memory.blocks_out());
}
BENCHMARK(ExchangeRequests)->Args({1, 128})->Args({8, 128})->Args({8, 1024})->Args({8, 65536});

}  // namespace

BENCHMARK_MAIN();
