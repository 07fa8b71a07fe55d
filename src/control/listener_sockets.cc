#include "control/listener_sockets.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "rondo/base/log.h"
#include "rondo/io/engine.h"

namespace rondo::control {

ListenerSockets::~ListenerSockets() {
  DropPrepared();
  for (Entry& entry : entries_) Close(entry.sockets);
}

absl::Status ListenerSockets::Prepare(const config::Config& next) {
  DropPrepared();
  for (const config::Listener& listener : next.listeners) {
    for (const SocketAddress& address : listener.listen) {
      Entry entry;
      entry.wanted = address;
      entry.listener = listener.name;
      const Entry* open = FindOpen(next, address, listener.name);
      absl::Status status;
      if (open == nullptr) {
        entry.fresh = true;
        entry.id = ++last_id_;
        status = Open(entry);
        if (status.ok()) status = Duplicate(entry);
      } else {
        // The socket itself stays in entries_ until Commit.
        entry.from = open->id;
        entry.id = open->listener == listener.name ? open->id : ++last_id_;
        if (entry.id != open->id) {
          entry.sockets = open->sockets;
          status = Duplicate(entry);
          entry.sockets.clear();
        }
      }
      prepared_.push_back(std::move(entry));
      if (!status.ok()) {
        DropPrepared();
        return absl::Status(status.code(),
                            "listener " + listener.name + ": " + std::string(status.message()));
      }
    }
  }
  return absl::OkStatus();
}

void ListenerSockets::DropPrepared() {
  for (Entry& entry : prepared_) {
    Close(entry.for_workers);
    if (entry.fresh && !entry.sockets.empty()) RemoveFile(entry.wanted);
    Close(entry.sockets);
  }
  prepared_.clear();
}

ListenerSockets::Change ListenerSockets::Commit() {
  Change change;
  change.open.resize(workers_);
  std::vector<Entry> before = std::move(entries_);
  entries_ = std::move(prepared_);
  prepared_.clear();
  for (Entry& entry : entries_) {
    const auto old = std::ranges::find(before, std::exchange(entry.from, 0), &Entry::id);
    if (old != before.end()) {
      entry.sockets = std::move(old->sockets);
      if (old->id != entry.id) change.close.push_back(old->id);
      before.erase(old);
    }
    for (size_t worker = 0; worker < entry.for_workers.size(); ++worker) {
      change.open[worker].push_back(
          ListenSocket{entry.for_workers[worker], entry.listener, entry.id});
    }
    entry.for_workers.clear();
    if (!entry.fresh) continue;
    entry.fresh = false;
    const bool unix_path = entry.wanted.kind == SocketAddress::Kind::kUnix;
    const SocketAddress bound = unix_path ? entry.wanted : io::BoundAddress(entry.sockets.front());
    LogInfo("listening on " + bound.ToString() + " (" + entry.listener + ")");
  }
  for (Entry& gone : before) {
    change.close.push_back(gone.id);
    Close(gone.sockets);
    RemoveFile(gone.wanted);
    LogInfo("no longer listening on " + gone.wanted.ToString() + " (" + gone.listener + ")");
  }
  return change;
}

void ListenerSockets::CloseAll() {
  for (Entry& entry : entries_) {
    Close(entry.sockets);
    RemoveFile(entry.wanted);
  }
  entries_.clear();
}

// The sockets of that address that the listener takes over: its own, else those of one that gives
// them up. Several may stand at the same text, where the kernel chooses the ports.
const ListenerSockets::Entry* ListenerSockets::FindOpen(const config::Config& next,
                                                        const SocketAddress& address,
                                                        const std::string& listener) const {
  const auto keeps = [&](const Entry& each) {
    return std::ranges::any_of(next.listeners, [&](const config::Listener& kept) {
      return kept.name == each.listener &&
             std::ranges::find(kept.listen, address) != kept.listen.end();
    });
  };
  const Entry* given_up = nullptr;
  for (const Entry& each : entries_) {
    if (each.wanted != address ||
        std::ranges::find(prepared_, each.id, &Entry::from) != prepared_.end()) {
      continue;
    }
    if (each.listener == listener) return &each;
    if (given_up == nullptr && !keeps(each)) given_up = &each;
  }
  return given_up;
}

absl::Status ListenerSockets::Open(Entry& entry) {
  const bool unix_path = entry.wanted.kind == SocketAddress::Kind::kUnix;
  const size_t count = unix_path ? 1 : workers_;
  SocketAddress address = entry.wanted;
  for (size_t i = 0; i < count; ++i) {
    const io::ListenMode mode = i > 0        ? io::ListenMode::kFurther
                                : count == 1 ? io::ListenMode::kAlone
                                             : io::ListenMode::kFirst;
    const absl::StatusOr<int> opened = io::OpenListener(address, mode);
    if (!opened.ok()) return opened.status();
    entry.sockets.push_back(*opened);
    // With port 0 the kernel has chosen: the other workers take the same.
    if (!unix_path) address.port = io::BoundAddress(*opened).port;
  }
  return absl::OkStatus();
}

absl::Status ListenerSockets::Duplicate(Entry& entry) {
  for (size_t worker = 0; worker < workers_; ++worker) {
    const int socket = entry.sockets[std::min(worker, entry.sockets.size() - 1)];
    const int fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return absl::ResourceExhaustedError(std::strerror(errno));
    entry.for_workers.push_back(fd);
  }
  return absl::OkStatus();
}

void ListenerSockets::Close(std::vector<int>& descriptors) {
  for (const int fd : descriptors) close(fd);
  descriptors.clear();
}

void ListenerSockets::RemoveFile(const SocketAddress& address) {
  if (address.kind == SocketAddress::Kind::kUnix && address.path.front() != '@')
    unlink(address.path.c_str());
}

}  // namespace rondo::control
