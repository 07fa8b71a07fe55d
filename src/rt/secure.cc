#include "rondo/rt/secure.h"

#include <cerrno>
#include <string_view>
#include <utility>

#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"

namespace rondo::rt {
namespace {

void NobodyWaits(Receiver&) {}

Secured Failed(int error) {
  Secured failed;
  failed.error = error;
  return failed;
}

}  // namespace

Task<Secured> Secure(Loop& loop, int fd, tls::Handshake& handshake, std::string_view received,
                     bool truncation_ends, CancelToken& token) {
  Sender sender(loop.engine());
  Receiver receiver(loop.engine(), &NobodyWaits, nullptr);
  sender.Open(fd);
  receiver.Open(fd);
  io::BufferRef buffer;  // what `received` points into, once it is not the caller's
  for (;;) {
    size_t consumed = 0;
    const tls::Handshake::Step step = handshake.Advance(received, &consumed);
    received.remove_prefix(consumed);
    if (received.empty()) buffer.Reset();  // no buffer is held while the peer is waited for
    if (const std::string_view output = handshake.output(); !output.empty()) {
      sender.Add(output.data(), output.size());
      const int32_t sent = co_await sender.Send(token);
      handshake.OutputTaken();
      // A failed handshake stays what it is, whether or not its alert went out.
      if (sent < 0 && step != tls::Handshake::Step::kFailed) co_return Failed(-sent);
    }
    switch (step) {
      case tls::Handshake::Step::kFailed:
        co_return Failed(EPROTO);
      case tls::Handshake::Step::kDone: {
        Secured secured;
        secured.result = handshake.TakeResult();
        secured.fd = loop.secure().Secure(fd, handshake.TakeChannel(), received, truncation_ends);
        co_return std::move(secured);
      }
      case tls::Handshake::Step::kNeedMore:
        break;
    }
    RONDO_DCHECK(received.empty());  // what needs more has taken all there was
    const int32_t count = co_await receiver.Wait(token);
    if (count <= 0) co_return Failed(count == 0 ? ECONNRESET : -count);
    buffer = receiver.TakeBuffer();
    received = std::string_view(buffer.data(), buffer.size());
  }
}

}  // namespace rondo::rt
