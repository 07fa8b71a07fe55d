#include "tls/openssl_channel.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "rondo/base/check.h"
#include "tls/record_channel.h"

namespace rondo::tls {
namespace {

// What a record takes beside its plain bytes, at most: with CBC a nonce, a digest and padding.
constexpr size_t kOverhead = kRecordHeader + 16 + 48 + 16;
// What OpenSSL may put in front of it.
constexpr size_t kKeyUpdate = kRecordHeader + 5 + 1 + kTagBytes;
// The least by which a record is longer than its bytes: TLS 1.2 with ChaCha20 has a tag alone.
constexpr size_t kOverheadLeast = kRecordHeader + kTagBytes;

size_t LengthOf(std::span<const char> header) {
  return static_cast<size_t>(static_cast<uint8_t>(header[3])) << 8 |
         static_cast<uint8_t>(header[4]);
}

}  // namespace

OpensslChannel::OpensslChannel(std::unique_ptr<WireBytes> wire, UniqueSsl ssl)
    : wire_(std::move(wire)), ssl_(std::move(ssl)) {}

OpensslChannel::~OpensslChannel() {
  // A connection that ends without a farewell, as they do, would make its session unfit for
  // resumption.
  if (incoming_ != Incoming::kFailed) {
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
}

Channel::Opened OpensslChannel::Open(std::span<char> in, std::span<char> out) {
  Opened opened;
  while (incoming_ == Incoming::kOpen) {
    const std::span<char> rest = in.subspan(opened.consumed);
    if (rest.size() < kRecordHeader) break;
    // OpenSSL refuses a header that cannot be; it gets whole records, or that.
    const size_t size = RecordSize(rest);
    if (rest.size() < size) break;
    const std::span<char> room = out.subspan(opened.produced);
    if (size > kOverheadLeast && room.size() < std::min(size - kOverheadLeast, kRecordPlainMax)) {
      break;
    }
    wire_->received = {rest.data(), size};
    size_t produced = 0;
    incoming_ = ReadRecord(room, &produced);
    // No record is that short; and what is too long for a record is not waited for.
    if (size == kRecordHeader && incoming_ == Incoming::kOpen) incoming_ = Incoming::kFailed;
    if (incoming_ == Incoming::kFailed) sealing_ = false;
    opened.produced += produced;
    opened.consumed += size;
  }
  if (incoming_ != Incoming::kOpen) opened.consumed = in.size();
  opened.incoming = incoming_;
  return opened;
}

// OpenSSL copies the record before it opens it, and so `out` may be where it is.
Incoming OpensslChannel::ReadRecord(std::span<char> out, size_t* produced) {
  ERR_clear_error();
  // Records without data are read over: OpenSSL looks for the next one, and finds none.
  const int done = SSL_read_ex(ssl_.get(), out.data(), out.size(), produced);
  if (done == 1) {
    RONDO_DCHECK(SSL_has_pending(ssl_.get()) == 0 && wire_->received.empty());
    return Incoming::kOpen;
  }
  *produced = 0;
  switch (SSL_get_error(ssl_.get(), done)) {
    case SSL_ERROR_WANT_READ:
      return Incoming::kOpen;
    case SSL_ERROR_ZERO_RETURN:
      return Incoming::kClosed;
    default:
      ERR_clear_error();
      return Incoming::kFailed;
  }
}

size_t OpensslChannel::RecordSize(std::span<const char> partial) const {
  if (partial.size() < kRecordHeader) return kRecordHeader;
  const size_t size = kRecordHeader + LengthOf(partial);
  return size > kRecordMax ? kRecordHeader : size;
}

size_t OpensslChannel::SealedSize(size_t bytes) const {
  return wire_->sent.size() + kKeyUpdate + bytes + kOverhead;
}

size_t OpensslChannel::Seal(std::span<const iovec> parts, size_t skip, size_t bytes, char* out) {
  RONDO_DCHECK(bytes > 0 && bytes <= kRecordPlainMax);
  if (!sealing_) return 0;
  ERR_clear_error();
  if (++sealed_ > RecordChannel::kRecordsPerKey && SSL_version(ssl_.get()) == TLS1_3_VERSION) {
    SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);  // goes out in front
    sealed_ = 1;
  }
  const size_t room = SealedSize(bytes);
  const size_t before = TakePending({out, room});
  wire_->direct = out + before;
  wire_->direct_room = room - before;
  const bool written = Write(parts, skip, bytes);
  const auto sealed = static_cast<size_t>(wire_->direct - out);
  wire_->direct = nullptr;
  if (written) return sealed;
  ERR_clear_error();
  sealing_ = false;
  return 0;
}

bool OpensslChannel::Write(std::span<const iovec> parts, size_t skip, size_t bytes) {
  while (!parts.empty() && skip >= parts[0].iov_len) {
    skip -= parts[0].iov_len;
    parts = parts.subspan(1);
  }
  const char* from = static_cast<const char*>(parts[0].iov_base) + skip;
  char gathered[kRecordPlainMax];
  if (parts[0].iov_len - skip < bytes) {
    from = gathered;
    for (size_t at = 0; at < bytes; parts = parts.subspan(1), skip = 0) {
      const size_t piece = std::min(bytes - at, parts[0].iov_len - skip);
      if (piece == 0) continue;  // an empty part may stand nowhere
      std::memcpy(gathered + at, static_cast<const char*>(parts[0].iov_base) + skip, piece);
      at += piece;
    }
  }
  size_t written = 0;
  return SSL_write_ex(ssl_.get(), from, bytes, &written) == 1 && written == bytes;
}

size_t OpensslChannel::TakePending(std::span<char> out) {
  const size_t bytes = std::min(out.size(), wire_->sent.size());
  if (bytes == 0) return 0;
  std::memcpy(out.data(), wire_->sent.data(), bytes);
  wire_->sent.erase(0, bytes);
  return bytes;
}

void OpensslChannel::Close() {
  if (!sealing_) return;
  sealing_ = false;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

void OpensslChannel::Shrink() {
  SSL_free_buffers(ssl_.get());
  wire_->sent.shrink_to_fit();
}

}  // namespace rondo::tls
