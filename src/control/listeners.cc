#include "control/listeners.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "rondo/base/log.h"
#include "rondo/io/engine.h"

namespace rondo::control {
namespace {

using Sockets = std::vector<std::vector<proxy::ListenFd>>;

void CloseAll(const Sockets& sockets) {
  for (const auto& of_worker : sockets) {
    for (const auto& socket : of_worker) close(socket.fd);
  }
}

absl::Status OpenOne(const SocketAddress& wanted, size_t listener, Sockets& sockets) {
  const bool shared = wanted.kind == SocketAddress::Kind::kUnix;
  const bool alone = shared || sockets.size() == 1;
  SocketAddress address = wanted;
  for (size_t worker = 0; worker < sockets.size(); ++worker) {
    int fd = -1;
    if (worker > 0 && shared) {
      fd = fcntl(sockets[0].back().fd, F_DUPFD_CLOEXEC, 0);
      if (fd < 0) return absl::ResourceExhaustedError(std::strerror(errno));
    } else {
      const io::ListenMode mode = worker > 0 ? io::ListenMode::kFurther
                                  : alone    ? io::ListenMode::kAlone
                                             : io::ListenMode::kFirst;
      const absl::StatusOr<int> opened = io::OpenListener(address, mode);
      if (!opened.ok()) return opened.status();
      fd = *opened;
    }
    sockets[worker].push_back(proxy::ListenFd{fd, listener});
    // With port 0 the kernel has chosen: the other workers take the same.
    if (worker == 0 && !shared) address.port = io::BoundAddress(fd).port;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Sockets> OpenListeners(const config::Config& config, size_t workers) {
  Sockets sockets(workers);
  std::vector<std::string> paths;  // of unix sockets that are ours by now
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    const config::Listener& listener = config.listeners[i];
    for (const SocketAddress& address : listener.listen) {
      const absl::Status opened = OpenOne(address, i, sockets);
      if (!opened.ok()) {
        CloseAll(sockets);
        for (const std::string& path : paths) unlink(path.c_str());
        return absl::Status(opened.code(), "listener " + listener.name + ": " + std::string(opened.message()));
      }
      if (address.kind == SocketAddress::Kind::kUnix && address.path.front() != '@') {
        paths.push_back(address.path);
      }
      const SocketAddress bound = address.kind == SocketAddress::Kind::kUnix
                                      ? address
                                      : io::BoundAddress(sockets[0].back().fd);
      LogInfo("listening on " + bound.ToString() + " (" + listener.name + ")");
    }
  }
  return sockets;
}

void RemoveSocketFiles(const config::Config& config) {
  for (const auto& listener : config.listeners) {
    for (const SocketAddress& address : listener.listen) {
      if (address.kind == SocketAddress::Kind::kUnix && address.path.front() != '@') {
        unlink(address.path.c_str());
      }
    }
  }
}

}  // namespace rondo::control
