#include "sim_network.h"

#include <algorithm>
#include <cerrno>

#include "draw.h"

namespace rondo::sim {
namespace {

bool IsAny(const SocketAddress& address) {
  return address.kind == SocketAddress::Kind::kIp &&
         (address.both_families || address.ip == IpAddress{} || address.ip == IpAddress::V4(0));
}

// Whether a connect to `to` reaches a listener bound to `bound`.
bool Reaches(const SocketAddress& to, const SocketAddress& bound) {
  if (to.kind != bound.kind) return false;
  if (to.kind == SocketAddress::Kind::kUnix) return to.path == bound.path;
  if (to.port != bound.port) return false;
  if (bound.both_families) return true;
  if (IsAny(bound)) return bound.ip.is_v4() == to.ip.is_v4();
  return bound.ip == to.ip;
}

bool Overlaps(const SocketAddress& a, const SocketAddress& b) {
  return Reaches(a, b) || Reaches(b, a);
}

}  // namespace

SimNetwork::~SimNetwork() {
  for (const auto& weak : clients_) {
    if (const auto stream = weak.lock()) stream->LetGo();
  }
}

void SimNetwork::Slow(const SocketAddress& address, int64_t bytes_per_second) {
  Control(address)->bytes_per_second = bytes_per_second;
}

void SimNetwork::Restore(const SocketAddress& address) {
  *Control(address) = AddressControl{};
  for (const auto& client : ConnectionsTo(address)) {
    const std::shared_ptr<SimStream> server = client->peer_;
    client->Arrive();
    if (server) server->Arrive();
  }
}

size_t SimNetwork::ResetConnections(const SocketAddress& address) {
  const auto clients = ConnectionsTo(address);
  for (const auto& client : clients) client->ResetBoth();
  return clients.size();
}

std::shared_ptr<SimListener> SimNetwork::Listen(SocketAddress address, bool shares_address,
                                                size_t backlog) {
  if (address.kind == SocketAddress::Kind::kIp && address.port == 0) {
    address.port = next_listen_port_++;
  }
  for (const auto& other : listeners_) {
    if (!Overlaps(other->address, address)) continue;
    if (!(shares_address && other->shares_address)) return nullptr;
  }
  auto listener = std::make_shared<SimListener>();
  listener->address = std::move(address);
  listener->shares_address = shares_address;
  listener->backlog = backlog;
  listeners_.push_back(listener);
  return listener;
}

void SimNetwork::CloseListener(SimListener& listener) {
  listener.closed = true;
  listener.watcher = nullptr;
  std::erase_if(listeners_, [&](const auto& other) { return other.get() == &listener; });
  for (const auto& stream : listener.pending) {
    stream->ResetOnClose();  // as Linux: connections in the backlog are reset
    stream->Close();
  }
  listener.pending.clear();
}

void SimNetwork::Connect(const std::shared_ptr<SimStream>& stream, const SocketAddress& to,
                         const SocketAddress& from) {
  stream->state_ = SimStream::State::kConnecting;
  stream->remote_ = to;
  stream->local_ = from;
  auto attempt = std::make_shared<Attempt>();
  attempt->stream = stream;
  attempt->control = Control(to);
  attempt->lost = rng_.Chance(stream->faults_->lose_connect);
  attempt->began = events_.now();
  attempt->retry_after = std::chrono::seconds(1);
  events_.After(2 * DrawLatency(), [this, attempt] { Try(attempt); });
}

void SimNetwork::Try(const std::shared_ptr<Attempt>& attempt) {
  SimStream& stream = *attempt->stream;
  if (stream.closed_ || stream.state_ != SimStream::State::kConnecting) return;
  if (attempt->control->refusal != 0) return stream.Fail(attempt->control->refusal);
  if (rng_.Chance(stream.faults_->refuse_connect)) return stream.Fail(ECONNREFUSED);
  if (attempt->lost || attempt->control->silent) return TryLater(attempt);
  const std::shared_ptr<SimListener> listener = Find(stream.remote_);
  const bool is_unix = stream.remote_.kind == SocketAddress::Kind::kUnix;
  if (!listener) return stream.Fail(is_unix ? ENOENT : ECONNREFUSED);
  if (listener->pending.size() >= listener->backlog) {
    return is_unix ? stream.Fail(EAGAIN) : TryLater(attempt);
  }
  auto server = std::make_shared<SimStream>(events_, rng_, stream.faults_);
  SimStream::Pair(stream, *server, attempt->control, DrawLatency());
  ++connections_;
  clients_.push_back(stream.weak_from_this());
  if (clients_.size() % 256 == 0) {
    std::erase_if(clients_, [](const auto& weak) { return weak.expired(); });
  }
  listener->pending.push_back(server);
  if (listener->watcher != nullptr) listener->watcher->OnReady(listener->fd, Side::kRead);
  stream.Notify(Side::kWrite);
}

void SimNetwork::TryLater(const std::shared_ptr<Attempt>& attempt) {
  const Instant gives_up = attempt->began + kConnectTimeout;
  if (events_.now() >= gives_up) return attempt->stream->Fail(ETIMEDOUT);
  events_.At(std::min(gives_up, events_.now() + attempt->retry_after),
             [this, attempt] { Try(attempt); });
  attempt->retry_after *= 2;
}

Duration SimNetwork::DrawLatency() {
  const Duration low = std::chrono::microseconds(5);
  return Duration(DrawSkewed(rng_, low.count(), std::max(low, latency_max_).count()));
}

std::shared_ptr<SimListener> SimNetwork::Find(const SocketAddress& address) {
  std::vector<std::shared_ptr<SimListener>> exact, any;
  for (const auto& listener : listeners_) {
    if (!Reaches(address, listener->address)) continue;
    (IsAny(listener->address) ? any : exact).push_back(listener);
  }
  const auto& found = exact.empty() ? any : exact;
  return found.empty() ? nullptr : found[rng_.Below(found.size())];
}

std::shared_ptr<AddressControl> SimNetwork::Control(const SocketAddress& address) {
  auto& control = controls_[address.ToString()];
  if (!control) control = std::make_shared<AddressControl>();
  return control;
}

std::vector<std::shared_ptr<SimStream>> SimNetwork::ConnectionsTo(const SocketAddress& address) {
  std::vector<std::shared_ptr<SimStream>> found;
  for (const auto& weak : clients_) {
    auto stream = weak.lock();
    if (stream && stream->peer_ && stream->remote_ == address) found.push_back(std::move(stream));
  }
  return found;
}

}  // namespace rondo::sim
