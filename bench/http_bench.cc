// What the HTTP/1 codec and the rewriting of heads cost for each message. "allocs" is the number of
// allocations for each operation; on the steady path it is 0.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "rondo/http/body.h"
#include "rondo/http/forwarding.h"
#include "rondo/http/h1_parser.h"
#include "rondo/http/local_reply.h"

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

using namespace rondo::http;

constexpr std::string_view kId = "0123456789abcdef0123456789abcdef";

const std::string kSmallRequest =
    "GET /api/v1/items/42?expand=all HTTP/1.1\r\n"
    "Host: api.example.com\r\n"
    "User-Agent: curl/8.5.0\r\n"
    "Accept: application/json\r\n"
    "Accept-Encoding: gzip\r\n\r\n";

const std::string kBrowserRequest =
    "GET /assets/app.3f2a9c.js HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Accept: */*\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: no-cors\r\n"
    "Sec-Fetch-Dest: script\r\n"
    "Referer: https://www.example.com/\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n"
    "Cookie: session=9f8e7d6c5b4a39281706f5e4d3c2b1a0; theme=dark; consent=yes\r\n\r\n";

const std::string kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 128\r\n"
    "X-Backend: a\r\n\r\n";

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

void ParseRequest(benchmark::State& state, const std::string& bytes) {
  RequestParser parser;
  RequestHead head;
  parser.Parse(bytes, 0, {}, head);
  const AllocationCount count(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(parser.Parse(bytes, 0, {}, head));
    benchmark::ClobberMemory();
  }
  state.counters["bytes"] = static_cast<double>(bytes.size());
}
BENCHMARK_CAPTURE(ParseRequest, small, kSmallRequest);
BENCHMARK_CAPTURE(ParseRequest, browser, kBrowserRequest);

ForwardRequest RequestOptions(const RequestHead& head) {
  ForwardRequest options;
  options.peer = rondo::IpAddress::V4(0xc0a80117);
  options.request_id = kId;
  options.framing = head.framing;
  return options;
}

void ForwardRequestHead(benchmark::State& state, const std::string& bytes) {
  RequestParser parser;
  RequestHead head;
  parser.Parse(bytes, 0, {}, head);
  const ForwardRequest options = RequestOptions(head);
  std::vector<char> out(ForwardedRequestBound(head, options));
  ForwardedRequest spans;
  const AllocationCount count(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(WriteForwardedRequest(head, options, out.data(), &spans));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(ForwardRequestHead, small, kSmallRequest);
BENCHMARK_CAPTURE(ForwardRequestHead, browser, kBrowserRequest);

void ParseAndForwardRequest(benchmark::State& state, const std::string& bytes) {
  RequestParser parser;
  RequestHead head;
  std::vector<char> out(8192);
  ForwardedRequest spans;
  parser.Parse(bytes, 0, {}, head);
  const AllocationCount count(state);
  for (auto _ : state) {
    parser.Parse(bytes, 0, {}, head);
    const ForwardRequest options = RequestOptions(head);
    benchmark::DoNotOptimize(WriteForwardedRequest(head, options, out.data(), &spans));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(ParseAndForwardRequest, small, kSmallRequest);
BENCHMARK_CAPTURE(ParseAndForwardRequest, browser, kBrowserRequest);

void ParseAndForwardResponse(benchmark::State& state) {
  ResponseParser parser;
  ResponseHead head;
  std::vector<char> out(8192);
  parser.Parse(kResponse, 0, {}, false, false, head);
  const AllocationCount count(state);
  for (auto _ : state) {
    parser.Parse(kResponse, 0, {}, false, false, head);
    ForwardResponse options;
    options.framing = ResponseFraming(head, 1);
    options.content_length = head.content_length;
    benchmark::DoNotOptimize(WriteForwardedResponse(head, options, out.data()));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(ParseAndForwardResponse);

// 16 KiB of input in chunks of the given size.
void DecodeChunks(benchmark::State& state) {
  const size_t chunk = static_cast<size_t>(state.range(0));
  std::string message;
  while (message.size() < 16384) {
    char head[kChunkHeadMax];
    message.append(head, WriteChunkHead(head, chunk));
    message.append(chunk, 'x').append(kChunkTail);
  }
  std::string bytes = message;
  BodyDecoder decoder;
  const AllocationCount count(state);
  for (auto _ : state) {
    // The decoder moves data in place, so each round starts from a copy, which is part of the time.
    std::copy(message.begin(), message.end(), bytes.begin());
    decoder.Begin(Framing::kChunked, 0, {}, 400);
    benchmark::DoNotOptimize(decoder.Decode(bytes.data(), bytes.size()));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * message.size()));
}
BENCHMARK(DecodeChunks)->Arg(16)->Arg(1024)->Arg(8192);

void WriteReply(benchmark::State& state) {
  std::vector<char> out(kLocalReplyMax);
  LocalReply reply;
  reply.status = 404;
  reply.reason = "no_route";
  reply.request_id = kId;
  const AllocationCount count(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(WriteLocalReply(reply, out.data(), out.size()));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(WriteReply);

}  // namespace

BENCHMARK_MAIN();
