// The HTTP of checks and warm-ups: the request's bytes, and an answer read piece by piece. Pure: no
// I/O, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "control/probe_grpc.h"
#include "rondo/base/address.h"
#include "rondo/config/config.h"
#include "rondo/health/check_result.h"
#include "rondo/http/body.h"

namespace rondo::control {

// What Host says for an address where no name was given: "10.0.0.1:3000", "[::1]:3000", or
// "localhost" for a unix socket.
std::string ProbeHost(const SocketAddress& address);

// Whether the check's own headers have one of this name.
bool Names(const config::HealthCheck& check, std::string_view name);
// "name: value\r\n"
void AppendField(std::string& to, std::string_view name, std::string_view value);

// One check, on a connection of its own. The check's headers take the place of ours of the same
// name.
std::string CheckRequest(const config::HealthCheck& check, const SocketAddress& to,
                         std::string_view user_agent);
// One of several requests on a connection; an empty host means the address.
std::string WarmUpRequest(const config::WarmUp& warm_up, std::string_view host,
                          const SocketAddress& to, std::string_view user_agent);

class ProbeAnswer {
 public:
  struct Wants {
    bool request_was_head = false;
    // Looked for in the first `body_bytes_max` bytes of the body, unless empty.
    std::string_view text = {};
    size_t body_bytes_max = 64 * 1024;
    // All of the body is needed, since the connection is to be used again.
    bool whole_body = false;
    // grpc() is wanted; with whole_body, since trailers are part of it.
    bool grpc = false;
  };
  enum class Progress : uint8_t {
    kNeedMore,
    kDecided,  // all that is wanted is known; more of the body may follow (see body_ended)
    kBad,      // not HTTP: problem() says why
    kCut,      // the connection ended in the middle
  };

  explicit ProbeAnswer(const Wants& wants);
  ProbeAnswer(const ProbeAnswer&) = delete;
  ProbeAnswer& operator=(const ProbeAnswer&) = delete;

  // The next bytes of the connection (they may be moved about); also after kDecided, where that
  // changes nothing.
  Progress Feed(char* bytes, size_t size);
  // The connection has ended.
  Progress End();

  Progress progress() const { return progress_; }
  int status() const { return status_; }  // of the final head; 0 before
  bool text_found() const { return search_.found(); }
  const GrpcAnswer& grpc() const { return grpc_; }
  const char* problem() const { return problem_; }
  // Nothing more of this answer can come or is worth reading.
  bool body_ended() const { return body_ended_; }
  // Another request may be sent. Never without Wants::whole_body.
  bool reusable() const {
    return wants_.whole_body && body_ended_ && keep_alive_ && progress_ == Progress::kDecided;
  }

 private:
  static constexpr int kInterimMax = 100;

  Progress Decide(Progress progress);
  void TakeHeads();
  void BeginBody(char* bytes, size_t size);
  void TakeBody(char* bytes, size_t size);

  Wants wants_;
  health::TextSearch search_;
  Progress progress_ = Progress::kNeedMore;
  const char* problem_ = nullptr;
  bool in_head_ = true;
  bool body_ended_ = false;
  bool keep_alive_ = false;
  int status_ = 0;
  int interims_ = 0;
  size_t scanned_ = 0;
  size_t body_bytes_ = 0;
  std::string head_;  // bytes of heads that are not complete
  http::BodyDecoder body_;
  GrpcAnswer grpc_;
};

}  // namespace rondo::control
