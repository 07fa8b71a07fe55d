// How a worker follows what control publishes.
#include <algorithm>

#include "proxy/connection.h"
#include "proxy/http2_client.h"
#include "proxy/leaving.h"
#include "proxy/listeners.h"
#include "proxy/tunnel.h"
#include "proxy/versions.h"
#include "rondo/proxy/worker.h"

namespace rondo::proxy {

void Publication::Follow(Publication&& untaken) {
  dead.insert(dead.end(), untaken.dead.begin(), untaken.dead.end());
  std::vector<ListenFd> opened;
  for (const ListenFd& socket : untaken.open) {
    const bool closed = std::find(close.begin(), close.end(), socket.id) != close.end();
    (closed ? dead : opened).push_back(socket);
  }
  open.insert(open.begin(), opened.begin(), opened.end());
  close.insert(close.begin(), untaken.close.begin(), untaken.close.end());
}

void Worker::Publish(std::unique_ptr<Publication> publication) {
  // One publisher: between the two exchanges the worker can only find the slot empty.
  const std::unique_ptr<Publication> untaken(
      published_.exchange(nullptr, std::memory_order_acquire));
  if (untaken != nullptr) publication->Follow(std::move(*untaken));
  published_.store(publication.release(), std::memory_order_release);
  engine().Wake();
}

void Worker::TakePublication() {
  const std::unique_ptr<Publication> publication(
      published_.exchange(nullptr, std::memory_order_acquire));
  if (publication == nullptr) return;
  const Pin before(versions_->current());
  const bool lost = versions_->Adopt(std::move(publication->snapshot), publication->epoch);
  if (&versions_->current() != &*before) {
    ApplySettings();
    if (listeners_->Changed(before)) {
      clients_.ForEach([](ClientConnection& client) {
        if (client.draining()) client.Drain();
      });
      http2_clients_.ForEach([this](Http2Client& client) {
        if (listeners_->gone(client.slot())) client.Drain();
      });
    }
  }
  for (const uint32_t id : publication->close) listeners_->Close(id);
  for (const ListenFd& socket : publication->dead) engine().Close(socket.fd);
  OpenSockets(*publication);
  // Also those of backends that the snapshot no longer lists.
  if (const bool held = versions_->TakeHeld(); held || lost) LetGo();
  acknowledged_.store(publication->epoch, std::memory_order_release);
  if (options_.bell != nullptr) options_.bell->Ring();
}

void Worker::OpenSockets(const Publication& publication) {
  for (const ListenFd& socket : publication.open) {
    if (draining() || snapshot().FindListener(socket.slot) == nullptr) {
      engine().Close(socket.fd);
    } else {
      listeners_->Open(socket);
    }
  }
}

// What applies to all that begins from now on, whatever its listener.
void Worker::ApplySettings() {
  const config::Config& config = snapshot().config;
  head_limits_.header_bytes = config.limits.header_bytes;
  head_limits_.header_count = config.limits.header_count;
  access_log_.set_format(config.logging.access.format);
}

// Some backends are on their way out: what still runs on them has its end appointed, or ends now.
void Worker::LetGo() {
  clients_.ForEach([](ClientConnection& client) { client.LetGo(); });
  AppointCloses(*this, tunnels_);
}

// Control frees old snapshots, so it is told when the last exchange that pinned one has ended.
void Worker::ReportPinned() {
  const uint64_t oldest = versions_->oldest_epoch();
  if (oldest == oldest_pinned_.load(std::memory_order_relaxed)) return;
  oldest_pinned_.store(oldest, std::memory_order_release);
  if (options_.bell != nullptr) options_.bell->Ring();
}

}  // namespace rondo::proxy
