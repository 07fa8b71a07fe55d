#include "tls/record_channel.h"

#include <algorithm>
#include <cstring>

#include "rondo/base/check.h"

namespace rondo::tls {
namespace {

constexpr uint8_t kHandshakeKeyUpdate = 24;
constexpr uint64_t kAskedAhead = 4096;  // records
constexpr uint8_t kLevelWarning = 1;
constexpr uint8_t kLevelFatal = 2;

uint8_t Byte(std::span<const char> bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

size_t LengthOf(std::span<const char> header) {
  return static_cast<size_t>(Byte(header, 3)) << 8 | Byte(header, 4);
}

void PutBigEndian(uint64_t value, uint8_t* out) {
  for (int i = 7; i >= 0; --i, value >>= 8) out[i] = static_cast<uint8_t>(value);
}

// The additional data of a TLS 1.2 record (RFC 5246 §6.2.3.3).
std::array<uint8_t, 13> Additional12(uint64_t sequence, uint8_t type, size_t plain_bytes) {
  std::array<uint8_t, 13> data{};
  PutBigEndian(sequence, data.data());
  data[8] = type;
  data[9] = 3;
  data[10] = 3;
  data[11] = static_cast<uint8_t>(plain_bytes >> 8);
  data[12] = static_cast<uint8_t>(plain_bytes);
  return data;
}

}  // namespace

// Walks over the parts of what is to be sealed.
struct RecordChannel::Gather {
  Gather(std::span<const iovec> all, size_t skip) : parts(all), offset(skip) { SkipEmpty(); }

  std::span<const char> Next(size_t most) {
    RONDO_DCHECK(!parts.empty());
    const char* const from = static_cast<const char*>(parts[0].iov_base) + offset;
    const size_t bytes = std::min(most, parts[0].iov_len - offset);
    offset += bytes;
    SkipEmpty();
    return {from, bytes};
  }
  void SkipEmpty() {
    while (!parts.empty() && offset >= parts[0].iov_len) {
      offset -= parts[0].iov_len;
      parts = parts.subspan(1);
    }
  }

  std::span<const iovec> parts;
  size_t offset;
};

RecordChannel::RecordChannel(const Options& options, const TrafficKeys& read,
                             const TrafficKeys& write)
    : read_(read),
      write_(write),
      records_per_key_(options.records_per_key),
      plain_max_(static_cast<uint16_t>(std::min(options.plain_max, kRecordPlainMax))),
      suite_(options.suite) {}

RecordChannel::~RecordChannel() = default;

// ---- Receiving

Channel::Opened RecordChannel::Open(std::span<char> in, std::span<char> out) {
  Opened opened;
  while (incoming_ == Incoming::kOpen) {
    const std::span<char> rest = in.subspan(opened.consumed);
    if (rest.size() < kRecordHeader) break;
    // A header that cannot be is refused before its record is waited for.
    if (const Alert alert = Judge(rest); alert != Alert::kCloseNotify) {
      Fail(alert);
      break;
    }
    const size_t size = kRecordHeader + LengthOf(rest);
    if (rest.size() < size) break;
    if (out.size() - opened.produced < size - overhead()) break;
    OpenRecord(rest.first(size), out.subspan(opened.produced), opened);
    opened.consumed += size;
  }
  // What comes behind the end is nobody's.
  if (incoming_ != Incoming::kOpen) opened.consumed = in.size();
  opened.incoming = incoming_;
  return opened;
}

size_t RecordChannel::RecordSize(std::span<const char> partial) const {
  if (partial.size() < kRecordHeader || Judge(partial) != Alert::kCloseNotify) {
    return kRecordHeader;
  }
  return kRecordHeader + LengthOf(partial);
}

size_t RecordChannel::overhead() const {
  return kRecordHeader + explicit_nonce() + kTagBytes + (tls13() ? 1 : 0);
}

Alert RecordChannel::Judge(std::span<const char> header) const {
  const auto type = static_cast<Type>(Byte(header, 0));
  if (tls13()) {
    // All records are protected, and all of those say that they are data (RFC 8446 §5.2, §5 on
    // ChangeCipherSpec behind a Finished). The version means nothing.
    if (type != Type::kData) return Alert::kUnexpectedMessage;
  } else {
    if (type != Type::kData && type != Type::kAlert && type != Type::kHandshake) {
      return Alert::kUnexpectedMessage;
    }
    if (Byte(header, 1) != 3 || Byte(header, 2) != 3) return Alert::kProtocolVersion;
  }
  const size_t size = kRecordHeader + LengthOf(header);
  if (size < overhead()) return Alert::kDecodeError;
  if (size - overhead() > plain_max_) return Alert::kRecordOverflow;
  return Alert::kCloseNotify;
}

void RecordChannel::OpenRecord(std::span<char> record, std::span<char> out, Opened& opened) {
  // The type of TLS 1.3's, which is sealed, belongs to what is decrypted.
  size_t bytes = record.size() - overhead() + (tls13() ? 1 : 0);
  char* const plain = Decrypt(record, out, bytes);
  if (plain == nullptr) return Fail(Alert::kBadRecordMac);
  auto type = static_cast<Type>(record[0]);
  if (tls13()) {
    while (bytes > 0 && plain[bytes - 1] == 0) --bytes;  // padding
    if (bytes == 0) return Fail(Alert::kUnexpectedMessage);
    type = static_cast<Type>(plain[--bytes]);
  }
  // No record of another type comes between the pieces of a handshake message (RFC 8446 §5.1).
  if (message_bytes_ > 0 && type != Type::kHandshake) return Fail(Alert::kUnexpectedMessage);
  switch (type) {
    case Type::kData:
      return TakeData(plain, bytes, out, opened);
    case Type::kAlert:
      return TakeAlert({plain, bytes});
    case Type::kHandshake:
      return TakeHandshake({plain, bytes});
    case Type::kChangeCipherSpec:
      break;
  }
  Fail(Alert::kUnexpectedMessage);
}

// The plain bytes' place, at `out` or in the record; null: forged.
char* RecordChannel::Decrypt(std::span<char> record, std::span<char> out, size_t plain_bytes) {
  if (!opener_.keyed() && !opener_.Key(suite_.aead, read_.key.data(), AeadContext::Use::kOpen)) {
    return nullptr;
  }
  uint8_t nonce[kIvBytes];
  Nonce(read_, record.data() + kRecordHeader, nonce);
  const auto additional12 =
      Additional12(read_.sequence, static_cast<uint8_t>(record[0]), plain_bytes);
  const std::span<const uint8_t> additional =
      tls13()
          ? std::span<const uint8_t>(reinterpret_cast<const uint8_t*>(record.data()), kRecordHeader)
          : additional12;
  char* const from = record.data() + kRecordHeader + explicit_nonce();
  // libcrypto takes the same place or another one, but not one a little in front.
  const bool apart =
      out.data() >= record.data() + record.size() || out.data() + out.size() <= record.data();
  char* const to = apart && out.size() >= plain_bytes ? out.data() : from;
  if (!opener_.Begin(nonce, additional) || !opener_.Update(from, plain_bytes, to) ||
      !opener_.FinishOpen(from + plain_bytes)) {
    return nullptr;
  }
  ++read_.sequence;
  return to;
}

void RecordChannel::TakeData(const char* plain, size_t bytes, std::span<char> out, Opened& opened) {
  if (bytes == 0) return CountQuiet();
  quiet_ = 0;
  if (plain != out.data()) std::memmove(out.data(), plain, bytes);
  opened.produced += bytes;
}

void RecordChannel::TakeAlert(std::span<const char> plain) {
  if (plain.size() != 2) return Fail(Alert::kDecodeError);
  const uint8_t level = Byte(plain, 0);
  const auto alert = static_cast<Alert>(Byte(plain, 1));
  if (alert == Alert::kCloseNotify) {
    incoming_ = Incoming::kClosed;
    return;
  }
  // In TLS 1.3 the level means nothing: all but these two are fatal (RFC 8446 §6).
  if (tls13() ? alert == Alert::kUserCanceled : level == kLevelWarning) return CountQuiet();
  incoming_ = Incoming::kFailed;
  sealing_ = false;
}

void RecordChannel::TakeHandshake(std::span<const char> plain) {
  if (!tls13()) return Fail(Alert::kNoRenegotiation);
  if (plain.empty()) return Fail(Alert::kUnexpectedMessage);
  for (size_t i = 0; i < plain.size(); ++i) {
    message_[message_bytes_++] = Byte(plain, i);
    if (message_[0] != kHandshakeKeyUpdate) return Fail(Alert::kUnexpectedMessage);
    if (message_bytes_ < message_.size()) continue;
    if (message_[1] != 0 || message_[2] != 0 || message_[3] != 1) return Fail(Alert::kDecodeError);
    // What comes behind it is under the new keys, and so in another record (RFC 8446 §5.1).
    if (i + 1 != plain.size()) return Fail(Alert::kUnexpectedMessage);
    message_bytes_ = 0;
    TakeKeyUpdate(message_[4]);
  }
  if (incoming_ == Incoming::kOpen) CountQuiet();
}

void RecordChannel::TakeKeyUpdate(uint8_t request) {
  if (request > 1) return Fail(Alert::kIllegalParameter);
  opener_.Drop();
  if (!AdvanceKeys(suite_, read_)) return Fail(Alert::kInternalError);
  // One answer is enough for all that ask before it is sent (RFC 8446 §4.6.3).
  if (request == 1 && sealing_ && !key_update_queued_ && !QueueKeyUpdate()) {
    Fail(Alert::kInternalError);
  }
}

void RecordChannel::CountQuiet() {
  if (++quiet_ > kQuietRecordsMax) Fail(Alert::kUnexpectedMessage);
}

void RecordChannel::Fail(Alert alert) {
  incoming_ = Incoming::kFailed;
  if (!sealing_) return;
  const uint8_t message[2] = {kLevelFatal, static_cast<uint8_t>(alert)};
  (void)QueueRecord(Type::kAlert, message);
  sealing_ = false;
}

// ---- Sending

size_t RecordChannel::SealedSize(size_t bytes) const {
  const size_t records = (bytes + plain_max_ - 1) / plain_max_;
  // Those who ask for several seals before the first of them find room as well.
  const bool near = tls13() && write_.sequence + kAskedAhead >= records_per_key_;
  const size_t key_update = near ? overhead() + message_.size() : 0;
  return pending_.size() + key_update + bytes + records * overhead();
}

size_t RecordChannel::Seal(std::span<const iovec> parts, size_t skip, size_t bytes, char* out) {
  RONDO_DCHECK(bytes > 0 && bytes <= kRecordPlainMax);
  if (!sealing_) return 0;
  if (KeyUpdateDue() && !QueueKeyUpdate()) {
    sealing_ = false;
    return 0;
  }
  size_t sealed = TakePending({out, pending_.size()});
  Gather gather(parts, skip);
  while (bytes > 0) {
    const size_t plain = std::min<size_t>(bytes, plain_max_);
    if (!Encrypt(Type::kData, gather, plain, out + sealed)) {
      sealing_ = false;
      return 0;
    }
    sealed += overhead() + plain;
    bytes -= plain;
  }
  return sealed;
}

// One record to `out`, which has room for it.
bool RecordChannel::Encrypt(Type type, Gather& gather, size_t bytes, char* out) {
  // 2^64 - 1 is never used up: a connection would last for millennia. Wrapping would be fatal.
  if (write_.sequence == UINT64_MAX) return false;
  if (!sealer_.keyed() && !sealer_.Key(suite_.aead, write_.key.data(), AeadContext::Use::kSeal)) {
    return false;
  }
  const size_t length = overhead() + bytes - kRecordHeader;
  out[0] = static_cast<char>(tls13() ? Type::kData : type);
  out[1] = out[2] = 3;
  out[3] = static_cast<char>(length >> 8);
  out[4] = static_cast<char>(length);
  uint8_t sequence[8];
  PutBigEndian(write_.sequence, sequence);
  std::memcpy(out + kRecordHeader, sequence, explicit_nonce());
  uint8_t nonce[kIvBytes];
  Nonce(write_, out + kRecordHeader, nonce);
  const auto additional12 = Additional12(write_.sequence, static_cast<uint8_t>(type), bytes);
  const std::span<const uint8_t> additional =
      tls13() ? std::span<const uint8_t>(reinterpret_cast<const uint8_t*>(out), kRecordHeader)
              : additional12;
  char* const at = out + kRecordHeader + explicit_nonce();
  if (!sealer_.Begin(nonce, additional) || !EncryptPayload(type, gather, bytes, at)) return false;
  ++write_.sequence;
  return true;
}

bool RecordChannel::EncryptPayload(Type type, Gather& gather, size_t bytes, char* at) {
  // Small pieces are brought together first: a call for each costs more than copying them.
  constexpr size_t kCopied = 1024;
  char* const end = at + bytes;
  const auto inner = static_cast<char>(type);
  if (bytes <= kCopied) {
    for (char* to = at; to != end;) {
      const std::span<const char> part = gather.Next(static_cast<size_t>(end - to));
      std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
    if (tls13()) *end = inner;
    const size_t sealed = bytes + (tls13() ? 1 : 0);
    return sealer_.Update(at, sealed, at) && sealer_.FinishSeal(at + sealed);
  }
  while (at != end) {
    const std::span<const char> part = gather.Next(static_cast<size_t>(end - at));
    if (!sealer_.Update(part.data(), part.size(), at)) return false;
    at += part.size();
  }
  if (tls13() && !sealer_.Update(&inner, 1, at++)) return false;
  return sealer_.FinishSeal(at);
}

// What the protocol says itself.
bool RecordChannel::QueueRecord(Type type, std::span<const uint8_t> bytes) {
  const size_t before = pending_.size();
  pending_.resize(before + overhead() + bytes.size());
  const iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  Gather gather({&part, 1}, 0);
  if (Encrypt(type, gather, bytes.size(), pending_.data() + before)) return true;
  pending_.resize(before);
  return false;
}

bool RecordChannel::QueueKeyUpdate() {
  constexpr uint8_t kMessage[] = {kHandshakeKeyUpdate, 0, 0, 1, 0};  // we ask for none
  if (!QueueRecord(Type::kHandshake, kMessage)) return false;
  key_update_queued_ = true;
  sealer_.Drop();
  return AdvanceKeys(suite_, write_);
}

size_t RecordChannel::TakePending(std::span<char> out) {
  const size_t bytes = std::min(out.size(), pending_.size());
  if (bytes == 0) return 0;
  std::memcpy(out.data(), pending_.data(), bytes);
  pending_.erase(0, bytes);
  if (pending_.empty()) key_update_queued_ = false;
  return bytes;
}

void RecordChannel::Close() {
  if (!sealing_) return;
  constexpr uint8_t kMessage[] = {kLevelWarning, static_cast<uint8_t>(Alert::kCloseNotify)};
  (void)QueueRecord(Type::kAlert, kMessage);
  sealing_ = false;
}

void RecordChannel::Shrink() {
  opener_.Drop();
  sealer_.Drop();
  pending_.shrink_to_fit();
}

void RecordChannel::Nonce(const TrafficKeys& keys, const char* explicit_part,
                          uint8_t* nonce) const {
  std::memcpy(nonce, keys.iv.data(), kIvBytes);
  if (explicit_nonce() > 0) {
    std::memcpy(nonce + 4, explicit_part, 8);
    return;
  }
  uint8_t sequence[8];
  PutBigEndian(keys.sequence, sequence);
  for (size_t i = 0; i < sizeof sequence; ++i) nonce[4 + i] ^= sequence[i];
}

}  // namespace rondo::tls
