#include "tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "tls/names.h"
#include "tls/pem.h"

namespace rondo::tls {
namespace {

constexpr size_t kTicketIvBytes = 16;
constexpr int kLifetime = 8 * 3600;  // seconds
// Since the handshake that keys and certificates took part in, in seconds. With TLS 1.3 each
// resumption brings a ticket of its own, so the lifetime of tickets alone would end nothing.
constexpr int64_t kWithClientMax = kLifetime;
constexpr int64_t kAgeMax = 7 * 24 * 3600;  // RFC 8446 §4.6.1
// Clocks of machines that share keys differ by less.
constexpr int64_t kAheadMax = 300;

// What OpenSSL wants to hear of a ticket that is taken.
constexpr int kAsItIs = 1;
constexpr int kWithNewTicket = 2;

int TicketsIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool KeyMac(EVP_MAC_CTX* mac, TicketKey& key) {
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

// The name that a hello asks for, as it stands there. With TLS 1.2 tickets are opened before
// OpenSSL has looked at the name; with TLS 1.3 after it, and the extension is used up.
std::string_view AskedName(SSL* ssl) {
  const unsigned char* bytes = nullptr;
  size_t size = 0;
  // RFC 6066 §3: a list's length, a type (0: a host's name), the name's length, the name.
  constexpr size_t kAhead = 5;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) == 1 &&
      size > kAhead && bytes[2] == TLSEXT_NAMETYPE_host_name) {
    const size_t length = static_cast<size_t>(bytes[3]) << 8 | bytes[4];
    return {reinterpret_cast<const char*>(bytes + kAhead), std::min(length, size - kAhead)};
  }
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

bool SameName(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](char a, char b) {
    const auto lower = [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    return lower(a) == lower(b);
  });
}

using UniqueTime = std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>>;

// When the full handshake was that a session comes from: it stands in its tickets, and goes from
// each to the one that a resumption brings.
using Moment = std::array<unsigned char, 8>;

Moment MomentOf(int64_t seconds) {
  Moment moment;
  for (size_t i = 0; i < moment.size(); ++i) {
    moment[i] = static_cast<unsigned char>(static_cast<uint64_t>(seconds) >> (8 * i));
  }
  return moment;
}

// Nothing where it is not there, as in tickets of somebody else's making under shared keys.
std::optional<int64_t> FullHandshakeOf(SSL_SESSION* session) {
  void* data = nullptr;
  size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || data == nullptr ||
      size != sizeof(Moment)) {
    return std::nullopt;
  }
  uint64_t seconds = 0;
  for (size_t i = 0; i < size; ++i) {
    seconds |= static_cast<uint64_t>(static_cast<const unsigned char*>(data)[i]) << (8 * i);
  }
  return static_cast<int64_t>(seconds);
}

}  // namespace

Tickets::Tickets(const TicketKeys& keys, OSSL_LIB_CTX* library, int64_t lists_end)
    : keys_(keys),
      library_(library),
      lists_end_(lists_end),
      cipher_(EVP_CIPHER_fetch(library, "AES-256-CBC", nullptr)) {}

bool Tickets::Serve(SSL_CTX* context) const {
  if (cipher_ == nullptr) return false;
  // The callbacks only read it; OpenSSL keeps no pointers to const.
  void* self = const_cast<Tickets*>(this);
  SSL_CTX_set_timeout(context, kLifetime);
  return SSL_CTX_set_ex_data(context, TicketsIndex(), self) == 1 &&
         SSL_CTX_set_num_tickets(context, 1) == 1 &&
         SSL_CTX_set_tlsext_ticket_key_evp_cb(context, Key) == 1 &&
         SSL_CTX_set_session_ticket_cb(context, Make, Judge, self) == 1;
}

int Tickets::Key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                 EVP_MAC_CTX* mac, int sealing) {
  const auto* self =
      static_cast<const Tickets*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), TicketsIndex()));
  if (sealing != 0) return self->Seal(name, iv, cipher, mac);
  const Opened opened = self->Open(name, iv, cipher, mac);
  switch (opened) {
    case Opened::kFailed:
      return -1;
    case Opened::kUnknown:
      return 0;
    case Opened::kOlder:
      return kWithNewTicket;
    case Opened::kNewest:
      // Tickets of TLS 1.3 are used once: without a new one the next connection would have none.
      return SSL_version(ssl) == TLS1_3_VERSION ? kWithNewTicket : kAsItIs;
  }
  return -1;
}

int Tickets::Seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                  EVP_MAC_CTX* mac) const {
  TicketKey key = keys_.Sealing();
  std::copy(key.name.begin(), key.name.end(), name);
  const bool sealed =
      RAND_bytes_ex(library_, iv, kTicketIvBytes, 0) == 1 &&
      EVP_EncryptInit_ex2(cipher, cipher_.get(), key.cipher.data(), iv, nullptr) == 1 &&
      KeyMac(mac, key);
  OPENSSL_cleanse(&key, sizeof(key));
  return sealed ? 1 : -1;
}

Tickets::Opened Tickets::Open(const unsigned char* name, const unsigned char* iv,
                              EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const {
  TicketKey key;
  bool newest = false;
  if (!keys_.Find(name, &key, &newest)) return Opened::kUnknown;
  const bool opened =
      EVP_DecryptInit_ex2(cipher, cipher_.get(), key.cipher.data(), iv, nullptr) == 1 &&
      KeyMac(mac, key);
  OPENSSL_cleanse(&key, sizeof(key));
  if (!opened) return Opened::kFailed;
  return newest ? Opened::kNewest : Opened::kOlder;
}

// A session that was resumed has the moment of its full handshake already.
int Tickets::Make(SSL* ssl, void* /*self*/) {
  SSL_SESSION* session = SSL_get_session(ssl);
  if (session == nullptr) return 0;
  if (FullHandshakeOf(session)) return 1;
  const Moment moment = MomentOf(SSL_SESSION_get_time(session));
  return SSL_SESSION_set1_ticket_appdata(session, moment.data(), moment.size());
}

// RFC 6066 §3: a session of one name is not resumed under another. And what a session stands for
// ends with the certificate that the client showed for it, and with the lists that it was looked up
// in.
bool Tickets::MayResume(SSL* ssl, SSL_SESSION* session) const {
  const char* name = SSL_SESSION_get0_hostname(session);
  if (!SameName(name == nullptr ? std::string_view() : name, AskedName(ssl))) return false;
  const UniqueTime clock(X509_gmtime_adj(nullptr, 0));
  const std::optional<int64_t> full = FullHandshakeOf(session);
  if (clock == nullptr || !full) return false;
  const int64_t now = SecondsOf(clock.get());
  if (*full > now + kAheadMax || *full < now - kAgeMax) return false;
  const X509* client = SSL_SESSION_get0_peer(session);
  if (client == nullptr) return true;
  if (*full < now - kWithClientMax || (lists_end_ != 0 && now >= lists_end_)) return false;
  return X509_cmp_current_time(X509_get0_notAfter(client)) > 0;
}

SSL_TICKET_RETURN Tickets::Judge(SSL* ssl, SSL_SESSION* session, const unsigned char* /*name*/,
                                 size_t /*name_size*/, SSL_TICKET_STATUS status, void* self) {
  const bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!opened || !static_cast<const Tickets*>(self)->MayResume(ssl, session)) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

}  // namespace rondo::tls
