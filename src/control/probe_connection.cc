#include "control/probe_connection.h"

#include <cerrno>

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

ProbeConnection::ProbeConnection(rt::Loop& loop, rt::CancelToken& token)
    : loop_(loop),
      token_(token),
      sender_(loop.engine()),
      receiver_(loop.engine(), &NobodyWaits, this) {}

ProbeConnection::~ProbeConnection() { Close(); }

void ProbeConnection::Close() {
  if (fd_ < 0) return;
  loop_.engine().Close(fd_);
  fd_ = -1;
}

rt::Task<ProbeConnection::Connected> ProbeConnection::Connect(const SocketAddress& to) {
  fd_ = loop_.engine().OpenStream(to);
  if (fd_ < 0) co_return Connected{.error = -fd_, .local = IsLocal(-fd_)};
  sender_.Open(fd_);
  receiver_.Open(fd_);
  to_ = io::ToRawAddress(to);
  const int32_t result = co_await sender_.Connect(&to_.any, to_.length, token_);
  co_return Connected{.error = -result, .local = IsLocal(-result)};
}

rt::Task<int> ProbeConnection::Ask(const std::string& request, ProbeAnswer& answer) {
  sender_.Add(request.data(), request.size());
  const int32_t sent = co_await sender_.Send(token_);
  if (sent == -ECANCELED) co_return ECANCELED;
  // A backend may answer and close before it has read all: what it said counts, if it comes.
  int error = 0;
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
