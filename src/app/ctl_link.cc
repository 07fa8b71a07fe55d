#include "app/ctl_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "rondo/tls/handshake.h"

namespace rondo::app {

bool CtlWaitFor(int fd, short events, Duration timeout) {
  pollfd waited{fd, events, 0};
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  int ready = 0;
  do {
    ready = poll(&waited, 1, static_cast<int>(std::min<int64_t>(milliseconds, 1 << 30)));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

CtlLink::~CtlLink() {
  if (channel_ != nullptr) {
    channel_->Close();
    SendPending(Duration::zero());
  }
  if (fd_ >= 0) close(fd_);
}

bool CtlLink::Secure(const tls::ClientSetup& setup, const std::string& name, Duration timeout,
                     std::string& problem) {
  const std::unique_ptr<tls::Handshake> handshake =
      tls::MakeClientHandshake(setup.ForWorker(0), name, nullptr, 0);
  for (;;) {
    size_t consumed = 0;
    const tls::Handshake::Step step = handshake->Advance(sealed_, &consumed);
    sealed_.erase(0, consumed);
    const bool sent = SendRaw(handshake->output(), timeout);
    handshake->OutputTaken();
    if (step == tls::Handshake::Step::kDone) break;
    if (step == tls::Handshake::Step::kFailed) {
      problem = std::string("TLS: ") + handshake->reason();
      if (!handshake->detail().empty()) problem += ": " + handshake->detail();
      return false;
    }
    char bytes[16 * 1024];
    const ssize_t received = sent ? ReceiveRaw(bytes, sizeof(bytes), timeout) : 0;
    if (received <= 0) {
      problem = received == -ETIMEDOUT ? "no TLS handshake in time"
                                       : "the connection was closed within the TLS handshake";
      return false;
    }
    sealed_.append(bytes, static_cast<size_t>(received));
  }
  channel_ = handshake->TakeChannel();
  return true;
}

bool CtlLink::SendAll(std::string_view bytes, Duration timeout) {
  if (channel_ == nullptr) return SendRaw(bytes, timeout);
  std::string record;
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), tls::kRecordPlainMax);
    const iovec part{const_cast<char*>(bytes.data()), count};
    record.resize(channel_->SealedSize(count));
    const size_t sealed = channel_->Seal({&part, 1}, 0, count, record.data());
    if (sealed == 0 || !SendRaw({record.data(), sealed}, timeout)) return false;
    bytes.remove_prefix(count);
  }
  return true;
}

ssize_t CtlLink::Receive(char* bytes, size_t room, Duration timeout) {
  if (channel_ == nullptr) return ReceiveRaw(bytes, room, timeout);
  while (plain_.empty() && !ended_) {
    const tls::Channel::Opened opened = channel_->Open(sealed_, sealed_);
    plain_.assign(sealed_, 0, opened.produced);
    sealed_.erase(0, opened.consumed);
    SendPending(timeout);
    if (opened.incoming == tls::Incoming::kFailed) return -EPROTO;
    ended_ = opened.incoming == tls::Incoming::kClosed;
    if (!plain_.empty() || ended_ || opened.consumed > 0) continue;
    char more[16 * 1024];
    const ssize_t received = ReceiveRaw(more, sizeof(more), timeout);
    // An end that was not announced may be somebody else's: what was cut off is not whole.
    if (received == 0) return -ECONNRESET;
    if (received < 0) return received;
    sealed_.append(more, static_cast<size_t>(received));
  }
  const size_t taken = std::min(room, plain_.size());
  std::memcpy(bytes, plain_.data(), taken);
  plain_.erase(0, taken);
  return static_cast<ssize_t>(taken);
}

bool CtlLink::SendRaw(std::string_view bytes, Duration timeout) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      if (!CtlWaitFor(fd_, POLLOUT, timeout)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

ssize_t CtlLink::ReceiveRaw(char* bytes, size_t room, Duration timeout) {
  for (;;) {
    const ssize_t received = recv(fd_, bytes, room, 0);
    if (received >= 0) return received;
    if (errno == EAGAIN) {
      if (!CtlWaitFor(fd_, POLLIN, timeout)) return -ETIMEDOUT;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
}

void CtlLink::SendPending(Duration timeout) {
  while (channel_->pending() > 0) {
    std::string record(channel_->pending(), '\0');
    const size_t taken = channel_->TakePending(record);
    if (taken == 0 || !SendRaw({record.data(), taken}, timeout)) return;
  }
}

}  // namespace rondo::app
