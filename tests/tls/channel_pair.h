// Two record channels that share keys, and what tests do with a channel.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/tls/channel.h"
#include "tls/record_channel.h"

namespace rondo::tls {

inline const std::vector<Suite>& AllSuites() {
  static const std::vector<Suite> suites = {
      {Version::kTls13, Aead::kAes128Gcm, Hash::kSha256},
      {Version::kTls13, Aead::kAes256Gcm, Hash::kSha384},
      {Version::kTls13, Aead::kChaCha20Poly1305, Hash::kSha256},
      {Version::kTls12, Aead::kAes128Gcm, Hash::kSha256},
      {Version::kTls12, Aead::kAes256Gcm, Hash::kSha384},
      {Version::kTls12, Aead::kChaCha20Poly1305, Hash::kSha256},
  };
  return suites;
}

inline TrafficKeys KeysFor(const Suite& suite, uint8_t seed) {
  TrafficKeys keys;
  for (size_t i = 0; i < keys.secret.size(); ++i) {
    keys.secret[i] = static_cast<uint8_t>(seed + 3 * i);
  }
  if (suite.version == Version::kTls13) {
    (void)DeriveKeys(suite, keys);
  } else {
    keys.key.fill(seed);
    keys.iv.fill(static_cast<uint8_t>(~seed));
  }
  return keys;
}

// The ends of one connection.
struct ChannelPair {
  explicit ChannelPair(const Suite& suite) : ChannelPair(RecordChannel::Options{.suite = suite}) {}
  explicit ChannelPair(const RecordChannel::Options& options)
      : server(options, KeysFor(options.suite, 1), KeysFor(options.suite, 2)),
        client(options, KeysFor(options.suite, 2), KeysFor(options.suite, 1)) {}

  RecordChannel server;
  RecordChannel client;
};

inline std::string SealAll(Channel& channel, std::string_view plain) {
  const iovec part{const_cast<char*>(plain.data()), plain.size()};
  std::string out(channel.SealedSize(plain.size()), '\0');
  out.resize(channel.Seal({&part, 1}, 0, plain.size(), out.data()));
  return out;
}

inline std::string TakeAll(Channel& channel) {
  std::string out(channel.pending(), '\0');
  out.resize(channel.TakePending({out.data(), out.size()}));
  return out;
}

struct OpenedBytes {
  std::string plain;
  std::string rest;
  Incoming incoming = Incoming::kOpen;
};

// In a buffer of the exact size, in place.
inline OpenedBytes OpenInPlace(Channel& channel, std::string_view sealed) {
  std::vector<char> bytes(sealed.begin(), sealed.end());
  bytes.shrink_to_fit();
  const Channel::Opened opened = channel.Open(bytes, bytes);
  return {std::string(bytes.data(), opened.produced), std::string(sealed.substr(opened.consumed)),
          opened.incoming};
}

// Into another buffer.
inline OpenedBytes OpenApart(Channel& channel, std::string_view sealed, size_t room) {
  std::vector<char> bytes(sealed.begin(), sealed.end());
  std::vector<char> out(room);
  const Channel::Opened opened = channel.Open(bytes, out);
  return {std::string(out.data(), opened.produced), std::string(sealed.substr(opened.consumed)),
          opened.incoming};
}

// A record of any type under `keys`, as another implementation could have made it; advances them.
// TLS 1.3: `type` is the inner one, and `padding` zeros follow it; `outer` is what the header says.
std::string SealRaw(const Suite& suite, TrafficKeys& keys, uint8_t type, std::string_view plain,
                    size_t padding = 0, uint8_t outer = 23);

}  // namespace rondo::tls
