#include "proxy/listeners.h"

namespace rondo::proxy {

void Listeners::Open(const ListenFd& socket) {
  ++EntryOf(socket.slot).sockets;
  sockets_.push_back(std::make_unique<ListenerSocket>(worker_, socket));
  if (started_) sockets_.back()->Start();
}

void Listeners::Start() {
  started_ = true;
  for (auto& socket : sockets_) socket->Start();
}

void Listeners::Stop(ListenerSocket& socket) {
  if (socket.stopping()) return;
  ++stopping_;
  socket.Stop();
}

void Listeners::Close(uint32_t id) {
  for (auto& socket : sockets_) {
    if (socket->id() == id) Stop(*socket);
  }
}

void Listeners::StopAll() {
  for (auto& socket : sockets_) Stop(*socket);
}

void Listeners::SweepClosed() {
  std::erase_if(sockets_, [this](const auto& socket) {
    if (!socket->closed()) return false;
    --stopping_;
    Entry& entry = entries_[socket->slot()];
    --entry.sockets;
    FreeIfOver(entry);
    return true;
  });
}

bool Listeners::Changed(const Pin& before) {
  bool any_gone = false;
  const upstream::Snapshot& snapshot = worker_.snapshot();
  for (uint32_t slot = 0; slot < entries_.size(); ++slot) {
    Entry& entry = entries_[slot];
    if (snapshot.FindListener(slot) != nullptr) {
      entry.last_version.Reset();
    } else if (!entry.last_version && (entry.sockets > 0 || entry.connections > 0)) {
      entry.last_version = before;
      any_gone = true;
    }
  }
  if (!any_gone) return false;
  for (auto& socket : sockets_) {
    if (gone(socket->slot())) Stop(*socket);
  }
  return true;
}

Pin Listeners::PinFor(uint32_t slot) const {
  if (entries_[slot].last_version) return entries_[slot].last_version;
  return Pin(worker_.versions().current());
}

const upstream::ListenerSnapshot* Listeners::Find(uint32_t slot) const {
  const bool known = slot < entries_.size() && entries_[slot].last_version;
  const upstream::Snapshot& snapshot =
      known ? *entries_[slot].last_version->snapshot : worker_.snapshot();
  return snapshot.FindListener(slot);
}

void Listeners::DiscountConnection(uint32_t slot) {
  Entry& entry = entries_[slot];
  --entry.connections;
  FreeIfOver(entry);
}

Listeners::Entry& Listeners::EntryOf(uint32_t slot) {
  if (slot >= entries_.size()) entries_.resize(slot + 1);
  return entries_[slot];
}

void Listeners::FreeIfOver(Entry& entry) {
  if (entry.sockets == 0 && entry.connections == 0) entry.last_version.Reset();
}

}  // namespace rondo::proxy
