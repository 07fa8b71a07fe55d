// rondo_load: the load that wrk cannot make. One thread, epoll; results are one line of JSON on
// stdout.
#include <arpa/inet.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "load.h"

namespace rondo::load {
namespace {

constexpr char kUsage[] =
    "usage: rondo_load MODE --target IPV4:PORT [options]\n"
    "modes\n"
    "  get       requests over keepalive connections\n"
    "  connect   a connection for each request\n"
    "  upload    POST of --body-bytes over keepalive connections, to a `rondo echo` that counts "
    "them\n"
    "  idle      opens --connections, one request on each, prints {\"ready\": N}, then holds them\n"
    "  ws        the same with WebSockets, then --rate echoes a second over all of them\n"
    "  tls-connect  a connection and a TLS handshake for each request\n"
    "  tls-idle  as idle, over TLS\n"
    "  h2        requests over HTTP/2, --streams at once on each of --connections\n"
    "  h2-upload POST of --body-bytes over HTTP/2, to a `rondo echo` that counts them\n"
    "  grpc      unary calls whose messages of --payload-bytes are to come back\n"
    "  h2c-origin  serves HTTP/2 without TLS at --target: /bytes/N, and gRPC calls as echoes\n"
    "options\n"
    "  --path /bytes/128  --connections 64  --seconds 5  --body-bytes 1048576\n"
    "  --rate 1000  --payload-bytes 64 (at most 125)\n"
    "  --streams 8   h2, h2-upload, grpc\n"
    "  --tls 1       the same: over TLS with ALPN h2 (else by prior knowledge)\n"
    "  --sources 1   spread over that many client addresses from 127.0.0.2 on\n"
    "  --resume 1    tls-connect: resume the session of the connection before\n"
    "  --tls12 1     tls-connect, tls-idle: TLS 1.2 (else 1.3)\n"
    "  --hold 1      idle, ws: after \"ready\" wait for a line on stdin\n"
    "example: rondo_load ws --target 127.0.0.1:8080 --connections 9000 --rate 5000 --seconds 10\n";

bool ParseTarget(const std::string& text, Options* options) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  options->target.sin_family = AF_INET;
  options->target.sin_port = htons(static_cast<uint16_t>(std::atoi(text.c_str() + colon + 1)));
  options->target_text = text;
  return inet_pton(AF_INET, text.substr(0, colon).c_str(), &options->target.sin_addr) == 1;
}

bool ParseOption(std::string_view name, const std::string& value, Options* options) {
  const auto number = [&value] { return std::atof(value.c_str()); };
  if (name == "--target") return ParseTarget(value, options);
  if (name == "--path") {
    options->path = value;
  } else if (name == "--connections") {
    options->connections = static_cast<int>(number());
  } else if (name == "--seconds") {
    options->seconds = number();
  } else if (name == "--body-bytes") {
    options->body_bytes = static_cast<int64_t>(number());
  } else if (name == "--rate") {
    options->rate = number();
  } else if (name == "--payload-bytes") {
    options->payload_bytes = static_cast<int>(number());
  } else if (name == "--sources") {
    options->sources = static_cast<int>(number());
  } else if (name == "--hold") {
    options->hold = number() != 0;
  } else if (name == "--resume") {
    options->resume = number() != 0;
  } else if (name == "--streams") {
    options->streams = static_cast<int>(number());
  } else if (name == "--tls") {
    options->tls = number() != 0;
  } else if (name == "--tls12") {
    options->tls12 = number() != 0;
  } else {
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  Options options;
  if (argc > 1) options.mode = argv[1];
  bool good = argc > 1 && argc % 2 == 0;
  for (int i = 2; good && i + 1 < argc; i += 2) good = ParseOption(argv[i], argv[i + 1], &options);
  good = good && options.target.sin_port != 0 && options.connections > 0 && options.rate > 0 &&
         options.streams > 0;
  if (!good) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (options.mode == "idle") return RunIdle(options);
  if (options.mode == "ws") return RunWebSocket(options);
  if (options.mode == "tls-connect" || options.mode == "tls-idle") return RunTls(options);
  if (options.mode == "h2" || options.mode == "h2-upload" || options.mode == "grpc") {
    return RunHttp2(options);
  }
  if (options.mode == "h2c-origin") return RunH2cOrigin(options);
  if (options.mode == "get" || options.mode == "connect" || options.mode == "upload") {
    return RunHttp(options);
  }
  std::fputs(kUsage, stderr);
  return 2;
}

}  // namespace
}  // namespace rondo::load

int main(int argc, char** argv) { return rondo::load::Main(argc, argv); }
