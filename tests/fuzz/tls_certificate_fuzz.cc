// Any bytes as the files that TLS settings name: a certificate's chain, its key, an OCSP answer,
// authorities, revocation lists, ticket keys. Never a crash; what is accepted holds what it says,
// and contexts can be made of it.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "fuzz/fuzz_check.h"
#include "rondo/tls/certificate.h"
#include "rondo/tls/client_setup.h"
#include "rondo/tls/server_setup.h"
#include "rondo/tls/ticket_keys.h"

namespace rondo::tls {
namespace {

// A leaf and its key that fit, so that inputs reach what stands behind that.
constexpr char kCertificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBlzCCAT2gAwIBAgICEjQwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJRnV6eiBS\n"
    "b290MCAXDTI2MTEyMjExNTQxOVoYDzIxMjYxMDI5MTE1NDE5WjAUMRIwEAYDVQQD\n"
    "DAlhLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATVHIj1VhLGhS2m\n"
    "NSHoFudrlDyd1Wg67QTrG23KhTjrL24BJws9H2rFi/+9Qvem0aByS7Vwnzh2gOFj\n"
    "MlcSglPGo30wezA5BgNVHREEMjAwgglhLmV4YW1wbGWCCyouYi5leGFtcGxlhwR/\n"
    "AAABhxAAAAAAAAAAAAAAAAAAAAABMB0GA1UdDgQWBBSYdAaLGIvp4PB33sz9mWZv\n"
    "VfmEajAfBgNVHSMEGDAWgBQyh5kaMR5nzS6ZjuZ5ADDNXzVWVDAKBggqhkjOPQQD\n"
    "AgNIADBFAiEA1f3A/01g9snwoeZ5hexJQ5+ojH1QdX7TB6tTYiVLVRoCIC9PMywD\n"
    "su6zLcDolZXM1rJhcJUby8Xh2L7RUQEyLBbJ\n"
    "-----END CERTIFICATE-----\n";
constexpr char kKey[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEIxC0Tr0jETQCa4f\n"
    "bro0sSKbi5oz2IOgDoCGli6ttHqhRANCAATVHIj1VhLGhS2mNSHoFudrlDyd1Wg6\n"
    "7QTrG23KhTjrL24BJws9H2rFi/+9Qvem0aByS7Vwnzh2gOFjMlcSglPG\n"
    "-----END PRIVATE KEY-----\n";

std::shared_ptr<const KeyPair> GoodPair() {
  static const auto* const pair =
      new std::shared_ptr<const KeyPair>(*KeyPair::Parse(kCertificate, kKey));
  return *pair;
}

void CheckPair(std::string_view chain, std::string_view key) {
  const absl::StatusOr<std::shared_ptr<const KeyPair>> pair = KeyPair::Parse(chain, key);
  if (!pair.ok()) {
    FUZZ_CHECK(!pair.status().message().empty());
    return;
  }
  FUZZ_CHECK((*pair)->fingerprint().size() == 64);
  FUZZ_CHECK((*pair)->not_after() != 0);
  for (const std::string& name : (*pair)->names()) {
    FUZZ_CHECK(!name.empty());
    for (const char c : name) FUZZ_CHECK(c > ' ' && c <= '~' && !(c >= 'A' && c <= 'Z'));
  }
  ServerSettings settings;
  settings.certificates = {{*pair, {}}};
  // Not each of them is one that OpenSSL serves, but it says so.
  const auto setup = ServerSetup::Make(settings, 1, nullptr);
  FUZZ_CHECK(setup.ok() || !setup.status().message().empty());
}

void CheckAuthorityFiles(std::string_view text) {
  const absl::StatusOr<size_t> authorities = CheckAuthorities(text);
  const absl::StatusOr<size_t> lists = CheckRevocationLists(text);
  if (authorities.ok()) FUZZ_CHECK(*authorities > 0);
  if (lists.ok()) FUZZ_CHECK(*lists > 0);
  ClientSettings backend;
  backend.ca = text;
  if (!text.empty()) FUZZ_CHECK(ClientSetup::Make(backend, 0).ok() == authorities.ok());
  ServerSettings settings;
  settings.certificates = {{GoodPair(), {}}};
  settings.client_auth = ClientAuth::kRequired;
  settings.client_ca = text;
  if (lists.ok()) settings.crl = text;
  FUZZ_CHECK(ServerSetup::Make(settings, 1, nullptr).ok() == authorities.ok());
}

void CheckTicketFile(std::string_view text) {
  size_t count = 0;
  const absl::StatusOr<TicketKeys::Keys> keys = TicketKeys::ParseFile(text, &count);
  if (!keys.ok()) return;
  FUZZ_CHECK(count >= 1 && count <= TicketKeys::kKeysMax);
  TicketKeys ring;
  ring.Set(keys->data(), count);
  TicketKeys::Keys copy;
  FUZZ_CHECK(ring.Copy(&copy) == count);
  for (size_t i = 0; i < count; ++i) {
    TicketKey found;
    bool newest = false;
    FUZZ_CHECK(ring.Find((*keys)[i].name.data(), &found, &newest));
    FUZZ_CHECK(found == (*keys)[i] && newest == (i == 0));
  }
}

}  // namespace
}  // namespace rondo::tls

// The first byte says what the rest is. It is text in the corpus, so that its files can be read.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0]) {
    case 'p':  // chain and key in one file
      rondo::tls::CheckPair(text, text);
      break;
    case 'c':
      rondo::tls::CheckPair(text, rondo::tls::kKey);
      break;
    case 'k':
      rondo::tls::CheckPair(rondo::tls::kCertificate, text);
      break;
    case 'o': {
      const absl::StatusOr<int64_t> next = rondo::tls::GoodPair()->CheckOcsp(text);
      FUZZ_CHECK(next.ok() || !next.status().message().empty());
      break;
    }
    case 'a':
      rondo::tls::CheckAuthorityFiles(text);
      break;
    case 't':
      rondo::tls::CheckTicketFile(text);
      break;
  }
  return 0;
}
