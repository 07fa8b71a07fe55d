#include "proxy/tunnel.h"

#include <cerrno>
#include <cstring>
#include <new>

#include "proxy/leaving.h"
#include "rondo/metrics/backend_cell.h"

namespace rondo::proxy {

void Tunnel::Start(Worker& worker, TunnelParts parts) {
  void* memory = worker.frames().Allocate(sizeof(Tunnel));
  auto* tunnel = new (memory) Tunnel(worker, parts);
  worker.Add(*tunnel);
  tunnel->Touch();
  tunnel->Begin(tunnel->up_, std::move(parts.from_client));
  tunnel->Begin(tunnel->down_, std::move(parts.from_backend));
  AppointClose(worker, *tunnel);
}

Tunnel::Direction::Direction(Tunnel& owner, int from, int to, http::FrameCursor::From sender)
    : tunnel(owner), receive(&OnReceived, *this), send(&OnSent, *this), cursor(sender) {
  receive.kind = io::Op::Kind::kReceiveProvided;
  receive.fd = from;
  send.kind = io::Op::Kind::kSend;
  send.fd = to;
}

Tunnel::Tunnel(Worker& worker, TunnelParts& parts)
    : worker_(worker),
      lease_(std::move(parts.lease)),
      up_(*this, parts.client_fd, parts.backend_fd, http::FrameCursor::From::kClient),
      down_(*this, parts.backend_fd, parts.client_fd, http::FrameCursor::From::kServer),
      timer_(&OnTimer, *this),
      idle_(parts.idle),
      touched_(worker.loop().Now()),
      traffic_(*parts.traffic),
      log_(parts.log),
      facts_(std::move(parts.facts)),
      websocket_(parts.websocket) {
  lease_.backend()->shared->tunnels.fetch_add(1, std::memory_order_relaxed);
  // Its pool no longer counts the connection, but where it is only a stream of one.
  if (!shares_backend()) lease_.backend()->cell().active.Add(1);
  // One on a stream is no connection: that is counted already, with its listener.
  if (!on_stream()) traffic_.connections.Add(1);
  // Nothing else says so while a backend does not take what the client sent.
  if (on_stream()) worker.loop().streams().WhenGone(up_.receive.fd, &OnClientGone, this);
}

Tunnel::~Tunnel() {
  lease_.backend()->shared->tunnels.fetch_sub(1, std::memory_order_relaxed);
  if (!shares_backend()) lease_.backend()->cell().active.Add(-1);
  if (!on_stream()) traffic_.connections.Add(-1);
  worker_.engine().Close(up_.receive.fd);
  worker_.engine().Close(down_.receive.fd);
}

void Tunnel::Begin(Direction& direction, Input input) {
  if (input.empty()) {
    Receive(direction);
    return;
  }
  direction.early = Block(worker_.frames(), input.size());
  std::memcpy(direction.early.data(), input.data(), input.size());
  Count(direction, input.size());
  if (websocket_) direction.cursor.Advance(input.view());
  Send(direction, direction.early.data(), input.size());
}

void Tunnel::Count(Direction& direction, size_t bytes) {
  direction.bytes += bytes;
  (&direction == &up_ ? traffic_.received_bytes : traffic_.sent_bytes).Add(bytes);
}

void Tunnel::Receive(Direction& direction) { worker_.engine().Submit(direction.receive); }

void Tunnel::Send(Direction& direction, char* data, size_t size) {
  direction.send.data = data;
  direction.send.size = size;
  worker_.engine().Submit(direction.send);
}

void Tunnel::OnReceived(io::Op& op) {
  Direction& direction = static_cast<Direction::Half&>(op).direction;
  Tunnel& tunnel = direction.tunnel;
  if (op.result <= 0 || tunnel.cut_) {
    op.buffer.Reset();
    // The end of the stream goes on to the other side; an error ends both directions.
    if (op.result < 0 && op.result != -ECANCELED) {
      tunnel.Cut(&direction == &tunnel.up_ ? "client_gone" : "backend_reset");
    }
    tunnel.EndDirection(direction);
    return;
  }
  tunnel.Touch();
  direction.piece = std::move(op.buffer);
  size_t size = static_cast<size_t>(op.result);
  tunnel.Count(direction, size);
  if (tunnel.websocket_) size = tunnel.Follow(direction, {direction.piece.data(), size});
  if (tunnel.cut_) {
    direction.piece.Reset();
    tunnel.EndDirection(direction);
  } else if (size > 0) {
    tunnel.Send(direction, direction.piece.data(), size);
  } else {
    tunnel.PieceSent(direction);
  }
}

void Tunnel::OnSent(io::Op& op) {
  Direction& direction = static_cast<Direction::Half&>(op).direction;
  Tunnel& tunnel = direction.tunnel;
  const bool goodbye = direction.goodbye == Goodbye::kSending;
  if (op.result < 0 || tunnel.cut_) {
    direction.piece.Reset();
    direction.early.Reset();
    const char* reason = &direction == &tunnel.up_ ? "backend_reset" : "client_gone";
    if (op.result == -EPIPE || op.result == -ECONNRESET) {
      // Nobody is left to receive this, but what was said before may still be on its way to the other side,
      // and its end, or the error, comes behind it.
      tunnel.GiveReason(reason);
    } else if (op.result != -ECANCELED) {
      tunnel.Cut(reason);
    }
    if (goodbye && !tunnel.cut_) {
      tunnel.GoodbyeSaid(direction);
    } else {
      tunnel.EndDirection(direction);
    }
    return;
  }
  tunnel.Touch();
  const auto taken = static_cast<size_t>(op.result);
  if (taken < op.size) {
    tunnel.Send(direction, op.data + taken, op.size - taken);
  } else if (goodbye) {
    tunnel.GoodbyeSaid(direction);
  } else {
    tunnel.PieceSent(direction);
  }
}

// What was received has gone, or was not to go.
void Tunnel::PieceSent(Direction& direction) {
  direction.piece.Reset();
  direction.early.Reset();
  Receive(direction);
  if (direction.goodbye == Goodbye::kReady) SayGoodbye(direction);
  if (closing_) CutIfAnswered();
}

void Tunnel::EndDirection(Direction& direction) {
  direction.over = true;
  if (direction.receive.in_flight() || direction.send.in_flight()) return;
  direction.ended = true;
  direction.goodbye = Goodbye::kSaid;
  if (!cut_) worker_.engine().Shutdown(direction.send.fd, io::ShutdownHow::kWrite);
  if (up_.ended && down_.ended) {
    Free();
  } else if (closing_) {
    CutIfAnswered();
  } else if (websocket_ && !cut_ && (on_stream() || shares_backend())) {
    // The end of a stream is all that is seen of a peer that has gone, and nobody has anything to say
    // to half a WebSocket. A socket that is closed says more.
    closing_ = true;
    close_at_ = worker_.loop().Now() + kHalfMax;
    Arm();
  }
}

void Tunnel::Cut(const char* reason) {
  if (cut_) return;
  cut_ = true;
  GiveReason(reason);
  for (Direction* direction : {&up_, &down_}) {
    worker_.engine().Cancel(direction->receive);
    worker_.engine().Cancel(direction->send);
  }
}

void Tunnel::OnClientGone(void* tunnel) { static_cast<Tunnel*>(tunnel)->Cut("client_gone"); }

void Tunnel::Free() {
  WriteLog();
  Worker& worker = worker_;
  worker.Removed(*this);
  this->~Tunnel();
  worker.frames().Free(this, sizeof(Tunnel));
}

// The timer is not moved with every byte: it looks when it fires how long the silence has been.
void Tunnel::Touch() {
  touched_ = worker_.loop().Now();
  if (!timer_.armed()) Arm();
}

void Tunnel::Arm() {
  const Instant silent = touched_ + idle_;
  worker_.loop().wheel().Arm(timer_, silent < close_at_ ? silent : close_at_);
}

void Tunnel::OnTimer(io::Timer& timer) {
  Tunnel& self = static_cast<TunnelTimer&>(timer).tunnel;
  const Instant now = self.worker_.loop().Now();
  if (now >= self.touched_ + self.idle_) {
    self.Cut("tunnel_timeout");
  } else if (now >= self.close_at_) {
    if (self.closing_) {
      self.Cut("");
    } else {
      self.BeginClosing();
    }
  }
  if (!self.cut_ && !self.timer_.armed()) self.Arm();
}

void Tunnel::WriteLog() {
  if (log_ == nullptr) return;
  AccessRecord record;
  char client_text[IpAddress::kTextMax];
  record.finished = worker_.engine().WallNow();
  record.client = log_->has_client
                      ? std::string_view(client_text, log_->client.Write(client_text))
                      : log_->nameless;
  const char* texts = log_->texts.data();
  record.listener = log_->listener.In(texts);
  record.method = log_->spans.method.In(texts);
  record.target = log_->spans.target.In(texts);
  record.host = log_->spans.host.In(texts);
  record.request_id = log_->spans.request_id.In(texts);
  record.user_agent = log_->spans.user_agent.In(texts);
  record.referer = log_->spans.referer.In(texts);
  record.status = 101;
  record.http2 = on_stream();
  record.upstream = log_->upstream.In(texts);
  record.backend = log_->backend.In(texts);
  record.retries = log_->retries;
  record.received_bytes = up_.bytes;
  record.sent_bytes = log_->head_bytes + down_.bytes;
  record.connect = log_->connect;
  record.first_byte = log_->first_byte;
  record.total = worker_.loop().Now() - log_->began;
  record.reason = reason_;
  if (facts_ != nullptr && facts_->tls) record.tls = &*facts_->tls;
  worker_.access_log().Write(record);
  log_->~TunnelLog();
  worker_.frames().Free(log_, sizeof(TunnelLog));
}

}  // namespace rondo::proxy
