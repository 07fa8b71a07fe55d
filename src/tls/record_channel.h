// Records of TLS 1.3 and of TLS 1.2 with an AEAD cipher, opened and sealed on the caller's buffers:
// what a connection becomes when its handshake is done and its SSL object is gone. Private to tls/.
//
// It knows nothing of handshakes: renegotiation, late certificates and tickets from the peer are
// refused, which is what a server has to say to them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "rondo/tls/channel.h"
#include "tls/aead.h"
#include "tls/secrets.h"

namespace rondo::tls {

// RFC 8446 §6.
enum class Alert : uint8_t {
  kCloseNotify = 0,
  kUnexpectedMessage = 10,
  kBadRecordMac = 20,
  kRecordOverflow = 22,
  kIllegalParameter = 47,
  kDecodeError = 50,
  kProtocolVersion = 70,
  kInternalError = 80,
  kUserCanceled = 90,
  kNoRenegotiation = 100,
};

class RecordChannel final : public Channel {
 public:
  // Sealed under one key at most: RFC 8446 §5.5 allows AES-GCM 2^24.5 records. Then come new ones.
  static constexpr uint64_t kRecordsPerKey = uint64_t{1} << 24;
  // Records without data (empty ones, key updates, warnings) that a peer may send on end.
  static constexpr int kQuietRecordsMax = 32;

  struct Options {
    Suite suite;
    size_t plain_max = kRecordPlainMax;  // of a record, either way (RFC 6066 §4)
    uint64_t records_per_key = kRecordsPerKey;
  };
  RecordChannel(const Options& options, const TrafficKeys& read, const TrafficKeys& write);
  ~RecordChannel() override;

  Opened Open(std::span<char> in, std::span<char> out) override;
  size_t RecordSize(std::span<const char> partial) const override;
  size_t Seal(std::span<const iovec> parts, size_t skip, size_t bytes, char* out) override;
  size_t SealedSize(size_t bytes) const override;
  size_t pending() const override { return pending_.size(); }
  size_t TakePending(std::span<char> out) override;
  void Close() override;
  void Shrink() override;

 private:
  enum class Type : uint8_t { kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22, kData = 23 };
  // What a record takes beside its plain bytes, the header included.
  size_t overhead() const;
  bool tls13() const { return suite_.version == Version::kTls13; }
  // Bytes of a nonce that travel in front of each record's (RFC 5288 §3).
  size_t explicit_nonce() const {
    return !tls13() && suite_.aead != Aead::kChaCha20Poly1305 ? 8 : 0;
  }
  bool KeyUpdateDue() const { return tls13() && write_.sequence >= records_per_key_; }

  // Receiving. The alert that answers a header like this; kCloseNotify: it is good.
  Alert Judge(std::span<const char> header) const;
  void OpenRecord(std::span<char> record, std::span<char> out, Opened& opened);
  char* Decrypt(std::span<char> record, std::span<char> out, size_t plain_bytes);
  void TakeData(const char* plain, size_t bytes, std::span<char> out, Opened& opened);
  void TakeAlert(std::span<const char> plain);
  void TakeHandshake(std::span<const char> plain);
  void TakeKeyUpdate(uint8_t request);
  void CountQuiet();
  void Fail(Alert alert);

  // Sending.
  struct Gather;
  bool Encrypt(Type type, Gather& gather, size_t bytes, char* out);
  bool EncryptPayload(Type type, Gather& gather, size_t bytes, char* at);
  bool QueueRecord(Type type, std::span<const uint8_t> bytes);
  bool QueueKeyUpdate();
  void Nonce(const TrafficKeys& keys, const char* explicit_part, uint8_t* nonce) const;

  TrafficKeys read_;
  TrafficKeys write_;
  AeadContext opener_;
  AeadContext sealer_;
  std::string pending_;
  uint64_t records_per_key_;
  uint16_t plain_max_;
  Suite suite_;
  Incoming incoming_ = Incoming::kOpen;
  bool sealing_ = true;             // more may be sealed
  bool key_update_queued_ = false;  // in pending_
  int8_t quiet_ = 0;                // records without data since the last with some
  uint8_t message_bytes_ = 0;
  std::array<uint8_t, 5> message_{};  // a handshake message that is not whole yet
};

}  // namespace rondo::tls
