// What it costs to turn header blocks into HTTP/1.1 text and our own text into fields, for each
// message. "allocs" is the number of allocations for each operation; on the steady path it is 0.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rondo/http2/incoming.h"
#include "rondo/http2/outgoing.h"

namespace {
std::atomic<uint64_t> allocations{0};
}  // namespace

void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

using namespace rondo::http2;

using FieldList = std::vector<std::pair<std::string_view, std::string_view>>;
constexpr std::string_view kNonce = "0123456789abcdef";

const FieldList kSmallRequest = {
    {":method", "GET"},           {":path", "/api/v1/items/42?expand=all"},
    {":scheme", "https"},         {":authority", "api.example.com"},
    {"user-agent", "curl/8.5.0"}, {"accept", "application/json"}};
const FieldList kBrowserRequest = {
    {":method", "GET"},
    {":authority", "www.example.com"},
    {":scheme", "https"},
    {":path", "/assets/app.3f2a9c.js"},
    {"sec-ch-ua", "\"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\""},
    {"sec-ch-ua-mobile", "?0"},
    {"user-agent",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0"},
    {"sec-ch-ua-platform", "\"Linux\""},
    {"accept", "*/*"},
    {"sec-fetch-site", "same-origin"},
    {"sec-fetch-mode", "no-cors"},
    {"sec-fetch-dest", "script"},
    {"referer", "https://www.example.com/"},
    {"accept-encoding", "gzip, deflate, br, zstd"},
    {"accept-language", "en-US,en;q=0.9"},
    {"cookie", "session=9f8e7d6c5b4a39281706f5e4d3c2b1a0"},
    {"cookie", "theme=dark"},
    {"cookie", "consent=yes"}};
const FieldList kGrpcRequest = {{":method", "POST"},
                                {":scheme", "http"},
                                {":path", "/shop.Orders/Get"},
                                {":authority", "orders.internal:50051"},
                                {"te", "trailers"},
                                {"content-type", "application/grpc"},
                                {"user-agent", "grpc-c++/1.51.1"},
                                {"grpc-accept-encoding", "identity, deflate, gzip"},
                                {"grpc-timeout", "1000m"}};
const FieldList kAnswer = {{":status", "200"},
                           {"date", "Sun, 06 Nov 1994 08:49:37 GMT"},
                           {"content-type", "application/json"},
                           {"content-length", "128"},
                           {"x-backend", "a"}};

const std::string kForwarded =
    "GET /api/v1/items/42?expand=all HTTP/1.1\r\n"
    "Host: api.example.com\r\n"
    "user-agent: curl/8.5.0\r\n"
    "accept: application/json\r\n"
    "X-Forwarded-For: 192.168.1.23\r\n"
    "X-Forwarded-Proto: https\r\n"
    "X-Forwarded-Host: api.example.com\r\n"
    "X-Real-IP: 192.168.1.23\r\n"
    "X-Request-Id: 0123456789abcdef0123456789abcdef\r\n\r\n";
const std::string kForwardedAnswer =
    "HTTP/1.1 200 OK\r\n"
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Content-Type: application/json\r\n"
    "X-Backend: a\r\n"
    "Content-Length: 128\r\n\r\n" +
    std::string(128, 'x');
const std::string kGrpcAnswer =
    "HTTP/1.1 200 OK\r\n"
    "content-type: application/grpc\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
    "80\r\n" +
    std::string(128, 'x') + "\r\n0\r\ngrpc-status: 0\r\ngrpc-message: \r\n\r\n";

// Reports what was allocated between its construction and its end, for each iteration.
class AllocationCount {
 public:
  explicit AllocationCount(benchmark::State& state) : state_(state), before_(allocations.load()) {}
  ~AllocationCount() {
    const double count = static_cast<double>(allocations.load() - before_);
    state_.counters["allocs"] = benchmark::Counter(count, benchmark::Counter::kAvgIterations);
  }

 private:
  benchmark::State& state_;
  uint64_t before_;
};

IncomingHead BuildRequest(RequestBuilder& builder, const FieldList& fields, bool ends) {
  builder.Begin({});
  for (const auto& [name, value] : fields) builder.Add(name, value);
  return builder.Finish(ends, kNonce);
}

void RequestText(benchmark::State& state, const FieldList& fields, bool ends) {
  RequestBuilder builder;
  state.counters["bytes"] = static_cast<double>(BuildRequest(builder, fields, ends).text.size());
  const AllocationCount count(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(BuildRequest(builder, fields, ends));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(RequestText, small, kSmallRequest, true);
BENCHMARK_CAPTURE(RequestText, browser, kBrowserRequest, true);
BENCHMARK_CAPTURE(RequestText, grpc, kGrpcRequest, false);

void AnswerText(benchmark::State& state) {
  ResponseBuilder builder;
  const auto build = [&builder] {
    builder.Begin({.role = Role::kClient});
    for (const auto& [name, value] : kAnswer) builder.Add(name, value);
    return builder.Finish(false, {});
  };
  build();
  const AllocationCount count(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(build());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(AnswerText);

// A whole message, in pieces of that many bytes.
size_t ReadMessage(MessageReader& reader, MessageReader::Kind kind, std::string_view text,
                   size_t piece_size) {
  reader.Begin(kind, false, false, "https");
  size_t data = 0;
  std::string_view piece = text.substr(0, piece_size);
  text.remove_prefix(piece.size());
  for (;;) {
    const MessageReader::Step step = reader.Read(piece, 16384);
    piece.remove_prefix(step.consumed);
    data += step.data.size();
    if (step.what == MessageReader::What::kHead) data += reader.head().fields.size();
    if (step.what == MessageReader::What::kEnd || step.what == MessageReader::What::kBad) break;
    if (!piece.empty() || text.empty()) continue;
    piece = text.substr(0, piece_size);
    text.remove_prefix(piece.size());
  }
  return data;
}

void Read(benchmark::State& state, MessageReader::Kind kind, const std::string& text,
          size_t piece_size) {
  ReaderScratch scratch;
  MessageReader reader(scratch);
  ReadMessage(reader, kind, text, piece_size);
  const AllocationCount count(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(ReadMessage(reader, kind, text, piece_size));
    benchmark::ClobberMemory();
  }
  state.counters["bytes"] = static_cast<double>(text.size());
}
BENCHMARK_CAPTURE(Read, request, MessageReader::Kind::kRequest, kForwarded, SIZE_MAX);
BENCHMARK_CAPTURE(Read, answer, MessageReader::Kind::kResponse, kForwardedAnswer, SIZE_MAX);
BENCHMARK_CAPTURE(Read, grpc_answer, MessageReader::Kind::kResponse, kGrpcAnswer, SIZE_MAX);
BENCHMARK_CAPTURE(Read, answer_in_pieces, MessageReader::Kind::kResponse, kGrpcAnswer, 20);

}  // namespace
