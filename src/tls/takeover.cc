#include "tls/takeover.h"

#include <openssl/crypto.h>
#include <openssl/objects.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "rondo/base/hex.h"
#include "tls/contexts.h"
#include "tls/record_channel.h"

namespace rondo::tls {
namespace {

int TakeoverIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// The secret at the end of a line of the key log: "LABEL CLIENT_RANDOM SECRET", hexadecimal.
void ReadSecret(std::string_view line, Takeover::Direction& direction) {
  const std::string_view hex = line.substr(line.rfind(' ') + 1);
  const size_t bytes = hex.size() / 2;
  if (bytes > direction.secret.size()) return;
  for (size_t i = 0; i < bytes; ++i) {
    const int high = HexValue(hex[2 * i]);
    const int low = HexValue(hex[2 * i + 1]);
    if (high < 0 || low < 0) return;
    direction.secret[i] = static_cast<uint8_t>(high << 4 | low);
  }
  direction.secret_bytes = bytes;
  direction.records = 0;
}

// OpenSSL logs a secret at the moment when its keys begin to be used.
void NoteSecret(const SSL* ssl, const char* text) {
  auto* const takeover = static_cast<Takeover*>(SSL_get_ex_data(ssl, TakeoverIndex()));
  if (takeover == nullptr) return;
  const std::string_view line(text);
  if (line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) ReadSecret(line, takeover->client);
  if (line.starts_with("SERVER_TRAFFIC_SECRET_0 ")) ReadSecret(line, takeover->server);
}

// Counts the records of either direction, from the last change of its keys on.
void NoteRecord(int written, int, int kind, const void* bytes, size_t size, SSL* ssl,
                void* argument) {
  if (kind != SSL3_RT_HEADER || size == 0) return;
  auto* const takeover = static_cast<Takeover*>(argument);
  Takeover::Direction& direction = written != 0 ? takeover->server : takeover->client;
  const uint8_t type = *static_cast<const uint8_t*>(bytes);
  // TLS 1.3: our first protected record. The keys of the handshake are in use, and those of
  // application data follow with our Finished.
  if (written != 0 && type == SSL3_RT_APPLICATION_DATA && direction.secret_bytes == 0) {
    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl), NoteSecret);
  }
  // In TLS 1.2 the keys change behind this record. In TLS 1.3 it means nothing, and a secret
  // follows.
  if (type == SSL3_RT_CHANGE_CIPHER_SPEC) {
    direction.records = 0;
  } else {
    ++direction.records;
  }
}

std::optional<Suite> SuiteOf(const SSL* ssl) {
  Suite suite;
  const int version = SSL_version(ssl);
  if (version != TLS1_3_VERSION && version != TLS1_2_VERSION) return std::nullopt;
  suite.version = version == TLS1_3_VERSION ? Version::kTls13 : Version::kTls12;
  const SSL_CIPHER* const cipher = SSL_get_current_cipher(ssl);
  if (cipher == nullptr) return std::nullopt;
  switch (SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_aes_128_gcm:
      suite.aead = Aead::kAes128Gcm;
      break;
    case NID_aes_256_gcm:
      suite.aead = Aead::kAes256Gcm;
      break;
    case NID_chacha20_poly1305:
      suite.aead = Aead::kChaCha20Poly1305;
      break;
    default:
      return std::nullopt;
  }
  const EVP_MD* const digest = SSL_CIPHER_get_handshake_digest(cipher);
  if (digest == nullptr) return std::nullopt;
  suite.hash = EVP_MD_get_type(digest) == NID_sha384 ? Hash::kSha384 : Hash::kSha256;
  return suite;
}

// The limit that the client asked for (RFC 6066 §4), which OpenSSL agrees to by itself.
size_t PlainMaxOf(const SSL* ssl) {
  const SSL_SESSION* const session = SSL_get0_session(ssl);
  const int code = session == nullptr ? 0 : SSL_SESSION_get_max_fragment_length(session);
  return code >= 1 && code <= 4 ? size_t{256} << code : kRecordPlainMax;
}

bool KeysOf13(const Suite& suite, const Takeover::Direction& direction, TrafficKeys& keys) {
  if (direction.secret_bytes != HashBytes(suite.hash)) return false;
  keys.secret = direction.secret;
  return DeriveKeys(suite, keys);
}

bool KeysOf12(const SSL* ssl, const Suite& suite, TrafficKeys& client, TrafficKeys& server) {
  uint8_t master[SSL_MAX_MASTER_KEY_LENGTH];
  uint8_t client_random[SSL3_RANDOM_SIZE];
  uint8_t server_random[SSL3_RANDOM_SIZE];
  const SSL_SESSION* const session = SSL_get0_session(ssl);
  if (session == nullptr) return false;
  const size_t bytes = SSL_SESSION_get_master_key(session, master, sizeof master);
  const bool done =
      bytes > 0 && SSL_get_client_random(ssl, client_random, sizeof client_random) == 32 &&
      SSL_get_server_random(ssl, server_random, sizeof server_random) == 32 &&
      DeriveKeyBlock(suite, {master, bytes}, client_random, server_random, client, server);
  OPENSSL_cleanse(master, sizeof master);
  return done;
}

}  // namespace

void PrepareForTakeover(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, NoteSecret);
  // What comes behind the handshake must stay where it is: nothing is read ahead.
  SSL_CTX_set_read_ahead(context, 0);
  // Whatever is not the client's Finished is refused or belongs to the record channel.
  SSL_CTX_set_max_early_data(context, 0);
}

Takeover::~Takeover() {
  OPENSSL_cleanse(client.secret.data(), client.secret.size());
  OPENSSL_cleanse(server.secret.data(), server.secret.size());
}

bool Takeover::Watch(SSL* ssl) {
  SSL_set_msg_callback(ssl, NoteRecord);
  SSL_set_msg_callback_arg(ssl, this);
  return SSL_set_ex_data(ssl, TakeoverIndex(), this) == 1;
}

void Takeover::Expect(SSL* ssl) const {
  SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl), server.secret_bytes > 0 ? NoteSecret : nullptr);
}

void Takeover::Forget(SSL* ssl) {
  SSL_set_msg_callback(ssl, nullptr);
  SSL_set_ex_data(ssl, TakeoverIndex(), nullptr);
}

std::unique_ptr<Channel> Takeover::MakeChannel(const SSL* ssl) const {
  const std::optional<Suite> suite = SuiteOf(ssl);
  if (!suite) return nullptr;
  TrafficKeys read;
  TrafficKeys write;
  const bool derived = suite->version == Version::kTls13
                           ? KeysOf13(*suite, client, read) && KeysOf13(*suite, server, write)
                           : KeysOf12(ssl, *suite, read, write);
  if (!derived) return nullptr;
  read.sequence = client.records;
  write.sequence = server.records;
  RecordChannel::Options options;
  options.suite = *suite;
  options.plain_max = PlainMaxOf(ssl);
  return std::make_unique<RecordChannel>(options, read, write);
}

}  // namespace rondo::tls
