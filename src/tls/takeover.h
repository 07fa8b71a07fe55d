// Taking a connection over from OpenSSL: what is noted while its handshake runs, and the record
// channel that is made of it. Private to tls/. See also PrepareForTakeover in contexts.h.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "rondo/tls/channel.h"
#include "tls/secrets.h"

namespace rondo::tls {

// Wiped when it goes.
struct Takeover {
  struct Direction {
    std::array<uint8_t, kSecretMax> secret{};  // TLS 1.3: the first one of application data
    size_t secret_bytes = 0;
    uint64_t records = 0;  // under the newest keys
  };

  Takeover() = default;
  Takeover(const Takeover&) = delete;
  Takeover& operator=(const Takeover&) = delete;
  ~Takeover();

  // From here on the handshake of `ssl`, a server's, is noted in this object, which outlives it.
  [[nodiscard]] bool Watch(SSL* ssl);
  // Before each step of the handshake. OpenSSL spells secrets out digit by digit, some percent of
  // its work: it is asked to only when those of application data are next.
  void Expect(SSL* ssl) const;
  static void Forget(SSL* ssl);  // nothing more is noted
  // After the handshake; null where its cipher is none of ours, or memory is out.
  std::unique_ptr<Channel> MakeChannel(const SSL* ssl) const;

  Direction client;
  Direction server;
};

}  // namespace rondo::tls
