#include "control/probe_connection.h"

#include <cerrno>
#include <memory>
#include <utility>

#include "rondo/io/stream_engine.h"
#include "rondo/rt/secure.h"
#include "rondo/tls/handshake.h"

namespace rondo::control {
namespace {

// A receive is only ever started by who waits for it.
void NobodyWaits(rt::Receiver&) { RONDO_CHECK(false); }

// Lack of something of our own.
bool IsLocal(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
         error == EADDRNOTAVAIL;
}

}  // namespace

// The connection that streams belong to. It stays until its good-bye has gone out, also when the
// probe is no longer there.
class ProbeConnection::Http2 final : public io::Http2Owner {
 public:
  static Http2* Start(ProbeConnection& probe, int fd) {
    http2::SessionOptions options;
    options.role = http2::Role::kClient;
    auto* made = new Http2(probe);
    made->connection_ = &probe.loop_.streams().Start(fd, options, {}, *made);
    return made;
  }
  io::Http2Connection& connection() { return *connection_; }
  void Leave() {
    probe_ = nullptr;
    connection_->Drain();
  }

  void OnStream(io::Http2Connection&, int) override { RONDO_CHECK(false); }
  void OnChange(io::Http2Connection&) override {}
  void OnEnded(io::Http2Connection&, const char*) override {
    if (probe_ != nullptr) probe_->http2_ = nullptr;
    delete this;
  }

 private:
  explicit Http2(ProbeConnection& probe) : probe_(&probe) {}
  ~Http2() = default;
  ProbeConnection* probe_;  // null: it has left
  io::Http2Connection* connection_ = nullptr;
};

ProbeConnection::ProbeConnection(rt::Loop& loop, rt::CancelToken& token)
    : loop_(loop),
      token_(token),
      sender_(loop.engine()),
      receiver_(loop.engine(), &NobodyWaits, this) {}

ProbeConnection::~ProbeConnection() { Close(); }

void ProbeConnection::Close() {
  if (fd_ >= 0) loop_.engine().Close(std::exchange(fd_, -1));
  if (http2_ != nullptr) std::exchange(http2_, nullptr)->Leave();
}

const char* ProbeConnection::failure() const {
  return http2_ == nullptr ? nullptr : http2_->connection().failure();
}

// A stream for the next request: 0, or an errno.
int ProbeConnection::OpenStream() {
  if (http2_ == nullptr) {
    if (fd_ < 0) return ECONNRESET;  // it has ended since the request before
    http2_ = Http2::Start(*this, std::exchange(fd_, -1));
  }
  if (fd_ >= 0) loop_.engine().Close(std::exchange(fd_, -1));
  const int fd = http2_->connection().OpenStream();
  if (fd < 0) return fd == -EAGAIN ? ECONNRESET : -fd;
  fd_ = fd;
  sender_.Open(fd);
  receiver_.Open(fd);
  return 0;
}

rt::Task<ProbeConnection::Connected> ProbeConnection::Connect(const SocketAddress& to,
                                                              const ProbeWire& wire) {
  fd_ = loop_.engine().OpenStream(to);
  if (fd_ < 0) co_return Connected{.error = -fd_, .local = IsLocal(-fd_)};
  sender_.Open(fd_);
  receiver_.Open(fd_);
  to_ = io::ToRawAddress(to);
  speaks_http2_ = wire.http2;
  const int32_t result = co_await sender_.Connect(&to_.any, to_.length, token_);
  if (result != 0) co_return Connected{.error = -result, .local = IsLocal(-result)};
  if (wire.proxy) {
    const size_t size = proxyproto::WriteHeader(*wire.proxy, nullptr, nullptr, header_.data());
    sender_.Add(header_.data(), size);
    const int32_t sent = co_await sender_.Send(token_);
    if (sent != 0) co_return Connected{.error = -sent};
  }
  if (wire.context == nullptr) co_return Connected{};
  Connected connected = co_await Handshake(wire);
  co_return connected;
}

rt::Task<ProbeConnection::Connected> ProbeConnection::Handshake(const ProbeWire& wire) {
  const std::unique_ptr<tls::Handshake> handshake =
      tls::MakeClientHandshake(*wire.context, wire.server_name, nullptr, 0);
  const rt::Secured secured = co_await rt::Secure(loop_, fd_, *handshake, {}, true, token_);
  if (secured.fd < 0) {
    Connected failed{.error = secured.error};
    if (secured.error == EPROTO) {
      failed.tls_problem = handshake->reason();
      if (!handshake->detail().empty()) failed.tls_problem += ": " + handshake->detail();
    } else if (secured.error != ECANCELED) {
      failed.tls_problem = "the connection broke in the handshake";
    }
    co_return failed;
  }
  fd_ = secured.fd;
  sender_.Open(fd_);
  receiver_.Open(fd_);
  if (wire.http2 && secured.result.alpn != "h2") {
    co_return Connected{.error = EPROTO, .tls_problem = "no_h2"};
  }
  co_return Connected{};
}

rt::Task<int> ProbeConnection::Ask(const std::string& request, ProbeAnswer& answer) {
  int error = speaks_http2_ ? OpenStream() : 0;
  if (error != 0) co_return error;
  sender_.Add(request.data(), request.size());
  const int32_t sent = co_await sender_.Send(token_);
  if (sent == -ECANCELED) co_return ECANCELED;
  // A backend may answer and close before it has read all: what it said counts, if it comes.
  while (error == 0 && answer.progress() == ProbeAnswer::Progress::kNeedMore) {
    const int32_t received = co_await receiver_.Wait(token_);
    error = Take(received, answer);
  }
  co_return error;
}

rt::Task<> ProbeConnection::ReadRest(ProbeAnswer& answer) {
  int error = 0;
  while (error == 0 && !answer.body_ended()) {
    const int32_t received = co_await receiver_.Wait(token_);
    error = Take(received, answer);
  }
}

int ProbeConnection::Take(int32_t received, ProbeAnswer& answer) {
  if (received < 0) return -received;
  if (received == 0) {
    answer.End();
    return 0;
  }
  const io::BufferRef bytes = receiver_.TakeBuffer();
  answer.Feed(bytes.data(), static_cast<size_t>(received));
  return 0;
}

}  // namespace rondo::control
