// One connection of `rondo ctl` to the admin API, plain or by TLS: blocking, with timeouts.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "rondo/base/time.h"
#include "rondo/tls/channel.h"
#include "rondo/tls/client_setup.h"

namespace rondo::app {

// Waits until `events` of poll, or the timeout; false then.
bool CtlWaitFor(int fd, short events, Duration timeout);

class CtlLink {
 public:
  // Takes over a connected non-blocking socket.
  explicit CtlLink(int fd) : fd_(fd) {}
  CtlLink(const CtlLink&) = delete;
  CtlLink& operator=(const CtlLink&) = delete;
  ~CtlLink();

  // False, and a sentence in `problem`, where the other end is not `name` or speaks no TLS.
  bool Secure(const tls::ClientSetup& setup, const std::string& name, Duration timeout,
              std::string& problem);
  bool SendAll(std::string_view bytes, Duration timeout);
  // Bytes, 0 at the end, or a negative errno.
  ssize_t Receive(char* bytes, size_t room, Duration timeout);

 private:
  bool SendRaw(std::string_view bytes, Duration timeout);
  ssize_t ReceiveRaw(char* bytes, size_t room, Duration timeout);
  void SendPending(Duration timeout);

  int fd_;
  std::unique_ptr<tls::Channel> channel_;  // null: plain
  std::string sealed_;                     // received, not opened yet
  std::string plain_;                      // opened, not taken yet
  bool ended_ = false;
};

}  // namespace rondo::app
