#include "proxy/connection.h"

#include <new>

#include "proxy/exchange.h"
#include "proxy/listeners.h"

namespace rondo::proxy {

ClientConnection::ClientConnection(Worker& worker, int fd, uint32_t slot, Origin origin)
    : receiver(worker.engine(), &OnUnawaited, this),
      token(worker.engine()),
      deadline(worker.loop().wheel(), token),
      worker_(worker),
      facts_(std::move(origin.facts)),
      fd_(fd),
      slot_(slot),
      peer_(origin.peer),
      peer_port_(origin.port),
      has_peer_(origin.has_peer),
      unknown_(origin.unknown),
      first_(tls() == nullptr && !on_stream()) {
  receiver.Open(fd);
}

bool ClientConnection::draining() const {
  return worker_.draining() || worker_.listeners().gone(slot_);
}

void ClientConnection::PinVersion() {
  version_ = worker_.listeners().PinFor(slot_);
  listener_ = version_->snapshot->FindListener(slot_);
  peer_trusted_ = has_peer_ && http::IsIn(peer_, listener_->settings.trusted_proxies);
}

void ClientConnection::UnpinVersion() {
  listener_ = nullptr;
  version_.Reset();
}

void ClientConnection::Start(io::BufferRef early) {
  if (!early) {
    BecomeIdle();
    return;
  }
  receiver.Hold(std::move(early));
  state_ = State::kExchange;
  worker_.scope().Spawn(Serve(*this));
}

// A request is there already, or what is wrong with it.
void ClientConnection::StartStream() {
  worker_.loop().streams().WhenGone(fd_, &OnGone, this);
  if (worker_.loop().streams().RefusalOf(fd_)) {
    state_ = State::kExchange;
    worker_.scope().Spawn(Serve(*this));
  } else {
    receiver.Watch(token);
  }
}

Origin ClientConnection::TakeOrigin() {
  Origin origin;
  origin.has_peer = has_peer_;
  origin.unknown = unknown_;
  origin.peer = peer_;
  origin.port = peer_port_;
  origin.facts = std::move(facts_);
  return origin;
}

std::optional<proxyproto::Endpoint> ClientConnection::Destination() {
  if (facts_ != nullptr && facts_->destination) return facts_->destination;
  const SocketAddress local = worker_.engine().LocalAddress(fd_);
  if (local.kind != SocketAddress::Kind::kIp) return std::nullopt;
  if (facts_ == nullptr) facts_ = MakeFacts(worker_);
  facts_->destination = proxyproto::Endpoint{local.ip, local.port};
  return facts_->destination;
}

void ClientConnection::BecomeIdle() {
  state_ = State::kIdle;
  const Instant now = worker_.loop().Now();
  deadline.Set(now + (draining() ? kDrainIdle : worker_.snapshot().config.timeouts.keepalive));
  receiver.Watch(token);
}

void ClientConnection::Drain() {
  // A stream waits for nothing.
  if (state_ == State::kIdle && !on_stream()) deadline.Set(worker_.loop().Now() + kDrainIdle);
}

void ClientConnection::LetGo() {
  if (exchange_ != nullptr && exchange_->on_drained_backend()) Cancel(rt::CancelReason::kDrained);
}

void ClientConnection::Cancel(rt::CancelReason reason) {
  token.Cancel(reason);
  if (exchange_ != nullptr) exchange_->CancelUpload(reason);
}

void ClientConnection::OnUnawaited(rt::Receiver& receiver) {
  auto& self = *static_cast<ClientConnection*>(receiver.owner());
  switch (self.state_) {
    case State::kIdle:
      if (receiver.ready() && receiver.held_result() > 0 && !self.token.cancelled()) {
        self.state_ = State::kExchange;
        self.worker_.scope().Spawn(Serve(self));
      } else {
        self.Close(false);
      }
      return;
    case State::kExchange:
      // Bytes of the next request are held until this one is answered; the end of the stream may be a client
      // that only has nothing more to say. An error means that nobody is left.
      if (receiver.ready() && receiver.held_result() < 0) {
        self.Cancel(rt::CancelReason::kClientGone);
      } else if (receiver.ready() && receiver.held_result() == 0 && self.exchange_->waiting_in_queue()) {
        self.token.Cancel(rt::CancelReason::kFinished);
      }
      return;
    case State::kLingering:
      if (receiver.ready() && receiver.held_result() > 0 && !self.token.cancelled()) {
        self.lingered_bytes_ += static_cast<uint32_t>(receiver.held_result());
        receiver.TakeBuffer().Reset();
        if (self.lingered_bytes_ < 1024 * 1024) {
          receiver.Watch(self.token);
          return;
        }
      }
      self.Close(false);
      return;
    case State::kClosing:
      return;
  }
}

// Its stream was given up while what came of it is held, so that the receive does not say so.
void ClientConnection::OnGone(void* connection) {
  auto& self = *static_cast<ClientConnection*>(connection);
  if (self.state_ == State::kExchange) self.Cancel(rt::CancelReason::kClientGone);
}

rt::Task<> ClientConnection::Serve(ClientConnection& connection) {
  Worker& worker = connection.worker_;
  void* memory = worker.frames().Allocate(sizeof(Exchange));
  auto* exchange = new (memory) Exchange(connection);
  connection.exchange_ = exchange;
  After after = After::kKeepAlive;
  // One round for each request, as long as bytes of the next one are here already.
  do {
    after = co_await exchange->Run();
    connection.UnpinVersion();
  } while (after == After::kNextRequest);
  connection.exchange_ = nullptr;
  io::BufferRef preface;
  if (after == After::kHttp2) preface = exchange->TakePreface();
  exchange->~Exchange();
  worker.frames().Free(memory, sizeof(Exchange));
  switch (after) {
    case After::kKeepAlive:
    case After::kNextRequest:
      connection.token.ClearPassing();
      connection.BecomeIdle();
      break;
    case After::kLinger:
      connection.Linger();
      break;
    case After::kClose:
      connection.Close(false);
      break;
    case After::kReset:
      connection.Close(true);
      break;
    case After::kTunnel:
      worker.HandedOver(connection);
      break;
    case After::kHttp2:
      worker.SpeakHttp2(connection, std::move(preface));
      break;
  }
}

void ClientConnection::Linger() {
  state_ = State::kLingering;
  token.ClearPassing();
  if (receiver.ready() && receiver.held_result() > 0) {
    if (receiver.plain()) {
      receiver.TakePlain();
    } else {
      receiver.TakeBuffer().Reset();
    }
  }
  if (receiver.ready() || token.cancelled() ||
      worker_.engine().Shutdown(fd_, io::ShutdownHow::kWrite) < 0) {
    Close(false);
    return;
  }
  deadline.Set(worker_.loop().Now() + kLingerMax);
  receiver.Watch(token);
}

void ClientConnection::Close(bool reset) {
  if (state_ == State::kClosing) return;
  state_ = State::kClosing;
  if (reset) worker_.engine().ResetOnClose(fd_);
  receiver.Stop(&OnStopped);
}

void ClientConnection::OnStopped(rt::Receiver& receiver) {
  auto& self = *static_cast<ClientConnection*>(receiver.owner());
  self.worker_.Closed(self);
}

}  // namespace rondo::proxy
