// The protected bytes of one connection whose handshake is done: records in, plain bytes out, and
// the other way round. It holds no descriptor, no buffer of its own beyond a record's, and no
// clock; one thread at a time.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace rondo::tls {

// The longest record on the wire: header, 16 KiB, and the most that any cipher of ours adds (RFC
// 8446 §5.2: 256 bytes; RFC 5246 §6.2.3 allows 2048, which no AEAD cipher uses).
inline constexpr size_t kRecordPlainMax = 16 * 1024;
inline constexpr size_t kRecordHeader = 5;
inline constexpr size_t kRecordMax = kRecordHeader + kRecordPlainMax + 256;

// What became of received bytes.
enum class Incoming : uint8_t {
  kOpen,    // more may come
  kClosed,  // the peer said that nothing more comes (close_notify): the end of the stream
  kFailed,  // a forged, malformed or forbidden record: nothing more is read; an alert may be ready
            // to be sent
};

class Channel {
 public:
  virtual ~Channel() = default;

  struct Opened {
    size_t consumed = 0;  // of the input: whole records. What is left is the beginning of one, to
                          // be offered again with more behind it
    size_t produced = 0;  // plain bytes at the front of `out`
    Incoming incoming = Incoming::kOpen;
  };
  // Opens the whole records at the front of `in`, as many as have room in `out`. `in` is scratch
  // afterwards, as far as it was consumed. `out` either begins where `in` begins (in place) or does
  // not overlap it; with room for kRecordPlainMax bytes at least one record is opened. Records
  // without application data are dealt with here and produce nothing. kClosed and kFailed stay, and
  // what came behind that end counts as consumed; bytes produced in the same call are good.
  virtual Opened Open(std::span<char> in, std::span<char> out) = 0;
  // How many bytes the record has that begins with `partial`, at most kRecordMax. kRecordHeader
  // where that is not yet known; also where the header is one that cannot be, which Open refuses
  // without more of it.
  virtual size_t RecordSize(std::span<const char> partial) const = 0;

  // Seals `bytes` plain bytes (1 to kRecordPlainMax), gathered from `parts` from `skip` bytes on,
  // as one record (or more, where the peer asked for small ones) to `out`, which overlaps none of
  // them and has room for what SealedSize(bytes) says now. What is pending goes in front of it. How
  // many bytes were written, at most SealedSize; 0: the channel has failed or was closed, and
  // nothing more can be sealed (an alert may be pending).
  virtual size_t Seal(std::span<const iovec> parts, size_t skip, size_t bytes, char* out) = 0;
  virtual size_t SealedSize(size_t bytes) const = 0;

  // What the protocol itself has to say (an alert, the answer to a key update): sealed records, to
  // be sent before anything that is sealed later (Seal does so by itself). How many bytes wait
  // (mostly 0; seldom more than a hundred), and taking them.
  virtual size_t pending() const = 0;
  virtual size_t TakePending(std::span<char> out) = 0;  // how many were written

  // Says that nothing more will be sent: makes close_notify pending, once. Nothing may be sealed
  // after it.
  virtual void Close() = 0;

  // It was idle for a while: gives back what it can make again.
  virtual void Shrink() {}
};

}  // namespace rondo::tls
