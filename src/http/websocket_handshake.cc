// The texts by which both ends of a WebSocket handshake know that the other means it: base64 of a
// nonce, and of a SHA-1 hash. SHA-1 protects nothing here (RFC 6455 §10.8), so a plain one does.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "rondo/base/check.h"
#include "rondo/http/websocket.h"

namespace rondo::http {
namespace {

// FIPS 180-4 §6.1.
class Sha1 {
 public:
  using Digest = std::array<uint8_t, 20>;

  void Add(std::string_view text) {
    for (char c : text) AddByte(static_cast<uint8_t>(c));
  }
  Digest Finish() {
    const uint64_t bits = size_ * 8;
    AddByte(0x80);
    while (size_ % kBlock != kBlock - 8) AddByte(0);
    for (int shift = 56; shift >= 0; shift -= 8) AddByte(static_cast<uint8_t>(bits >> shift));
    Digest digest;
    for (size_t i = 0; i < digest.size(); ++i) {
      digest[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
    }
    return digest;
  }

 private:
  static constexpr size_t kBlock = 64;

  void AddByte(uint8_t byte) {
    block_[size_++ % kBlock] = byte;
    if (size_ % kBlock == 0) Mix();
  }

  void Mix() {
    std::array<uint32_t, 80> w;
    for (size_t i = 0; i < 16; ++i) {
      w[i] = static_cast<uint32_t>(block_[4 * i]) << 24 |
             static_cast<uint32_t>(block_[4 * i + 1]) << 16 |
             static_cast<uint32_t>(block_[4 * i + 2]) << 8 | block_[4 * i + 3];
    }
    for (size_t i = 16; i < 80; ++i) {
      w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    auto [a, b, c, d, e] = state_;
    for (size_t i = 0; i < 80; ++i) {
      const uint32_t next = std::rotl(a, 5) + Choose(i, b, c, d) + e + kRounds[i / 20] + w[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    state_ = {state_[0] + a, state_[1] + b, state_[2] + c, state_[3] + d, state_[4] + e};
  }

  static uint32_t Choose(size_t round, uint32_t b, uint32_t c, uint32_t d) {
    if (round < 20) return (b & c) | (~b & d);
    if (round >= 40 && round < 60) return (b & c) | (b & d) | (c & d);
    return b ^ c ^ d;
  }

  static constexpr std::array<uint32_t, 4> kRounds = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc,
                                                      0xca62c1d6};
  std::array<uint32_t, 5> state_ = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::array<uint8_t, kBlock> block_;
  uint64_t size_ = 0;
};

// RFC 4648 §4, with padding.
void WriteBase64(const uint8_t* bytes, size_t size, char* out) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    const size_t count = std::min<size_t>(3, size - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? bytes[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k) {
      *out++ = k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
}

}  // namespace

void WriteWebSocketKey(std::string_view nonce, char out[kWebSocketKeyBytes]) {
  RONDO_CHECK(nonce.size() == kWebSocketNonceBytes);
  std::array<uint8_t, kWebSocketNonceBytes> bytes;
  std::memcpy(bytes.data(), nonce.data(), bytes.size());
  WriteBase64(bytes.data(), bytes.size(), out);
}

void WriteWebSocketAccept(std::string_view key, char out[kWebSocketAcceptBytes]) {
  Sha1 hash;
  hash.Add(key);
  hash.Add("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  const Sha1::Digest digest = hash.Finish();
  WriteBase64(digest.data(), digest.size(), out);
}

}  // namespace rondo::http
