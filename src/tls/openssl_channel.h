// A channel that is an SSL object: towards backends, whose tickets come late, and for ciphers that
// the record channel does not have. Private to tls/.
#pragma once

#include <memory>

#include "rondo/tls/channel.h"
#include "tls/contexts.h"
#include "tls/wire_bytes.h"

namespace rondo::tls {

class OpensslChannel final : public Channel {
 public:
  // `ssl`, whose handshake is done, reads from and writes to `wire`, which has nothing unread.
  OpensslChannel(std::unique_ptr<WireBytes> wire, UniqueSsl ssl);
  ~OpensslChannel() override;

  Opened Open(std::span<char> in, std::span<char> out) override;
  size_t RecordSize(std::span<const char> partial) const override;
  size_t Seal(std::span<const iovec> parts, size_t skip, size_t bytes, char* out) override;
  size_t SealedSize(size_t bytes) const override;
  size_t pending() const override { return wire_->sent.size(); }
  size_t TakePending(std::span<char> out) override;
  void Close() override;
  void Shrink() override;

 private:
  Incoming ReadRecord(std::span<char> out, size_t* produced);
  bool Write(std::span<const iovec> parts, size_t skip, size_t bytes);

  std::unique_ptr<WireBytes> wire_;  // outlives ssl_
  UniqueSsl ssl_;
  uint64_t sealed_ = 0;  // records, since the last change of our keys
  Incoming incoming_ = Incoming::kOpen;
  bool sealing_ = true;
};

}  // namespace rondo::tls
