// What the modes of rondo_load share: options, sockets, the result that is printed.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "histogram.h"

namespace rondo::load {

struct Options {
  std::string mode;
  sockaddr_in target{};
  std::string target_text;
  std::string path = "/bytes/128";
  int connections = 64;  // held open, or at a time
  double seconds = 5;
  int64_t body_bytes = 1 << 20;  // upload, h2-upload
  int streams = 8;               // h2*, grpc: at once on each connection
  bool tls = false;              // h2*, grpc: over TLS with ALPN; else by prior knowledge
  double rate = 1000;            // ws: echoes a second over all connections
  int payload_bytes = 64;        // ws, grpc
  int sources = 1;      // client addresses: 127.0.0.2 and so on; 1 leaves the choice to the kernel
  bool hold = false;    // idle, ws: after "ready" wait for a line on stdin
  bool resume = false;  // tls-connect: with the ticket of the connection before
  bool tls12 = false;   // tls-*: at most TLS 1.2
};

struct Result {
  Histogram latency;
  uint64_t done = 0;
  uint64_t bytes = 0;
  uint64_t connect_errors = 0;
  uint64_t closed = 0;       // in the middle of something, or while idle
  uint64_t bad_answers = 0;  // a status other than the expected one, or a wrong body
  uint64_t lost = 0;         // ws: echoes that never came; idle: connections that did not last
  uint64_t skipped = 0;      // ws: turns left out because the last echo was still on its way
  uint64_t resumed = 0;      // tls-connect: handshakes that resumed a session
  double seconds = 0;
  double cpu_seconds = 0;  // h2*, grpc: what this program itself used
  uint64_t errors() const { return connect_errors + closed + bad_answers + lost; }
};

int64_t Now();  // nanoseconds, monotonic

// A non-blocking socket that is connecting from source number `index`; negative errno where that
// failed at once.
int Connect(const Options& options, uint64_t index);
// Small messages go at once.
void NoDelay(int fd);
// Closes with a reset, so that no port waits in TIME_WAIT.
void CloseHard(int fd);
bool AddToEpoll(int epoll, int fd, uint32_t events, uint32_t tag);
bool ChangeInEpoll(int epoll, int fd, uint32_t events, uint32_t tag);

// An HTTP response with a Content-Length, met piece by piece.
class ResponseReader {
 public:
  enum class Step { kMore, kDone, kBad };
  void Reset() { *this = {}; }
  // Takes `data`, which holds nothing behind the response.
  Step Feed(std::string_view data);
  int status() const { return status_; }
  // The start of the body, up to 256 bytes.
  const std::string& body() const { return body_; }

 private:
  Step ParseHead();
  std::string head_;
  std::string body_;
  int status_ = 0;
  int64_t left_ = -1;  // of the body; negative: the head is not complete
};

// Prints {"ready": N} and, where options.hold is set, waits for a line; false at the end of stdin.
bool AnnounceReady(const Options& options, int connections);
void PrintResult(const Options& options, const Result& result);

int RunHttp(const Options& options);       // get, connect, upload
int RunIdle(const Options& options);       // idle
int RunWebSocket(const Options& options);  // ws
int RunTls(const Options& options);        // tls-connect, tls-idle
int RunHttp2(const Options& options);      // h2, h2-upload, grpc
int RunH2cOrigin(const Options& options);  // h2c-origin

}  // namespace rondo::load
