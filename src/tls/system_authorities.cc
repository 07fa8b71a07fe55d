#include "tls/system_authorities.h"

#include <openssl/x509.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "rondo/tls/client_setup.h"

namespace rondo::tls {
namespace {

// Where distributions keep them; OpenSSL's own place, and its variable, come first.
constexpr const char* kPlaces[] = {
    "/etc/ssl/certs/ca-certificates.crt",  // Debian
    "/etc/pki/tls/certs/ca-bundle.crt",    // Fedora
    "/etc/ssl/ca-bundle.pem",              // SUSE
    "/etc/ssl/cert.pem",                   // Alpine
};

std::string TextAt(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The last ones, while somebody uses them. Setups are made rarely, and almost always by one thread:
// a flag guards it.
std::atomic_flag busy;
class Hold {
 public:
  Hold() {
    while (busy.test_and_set(std::memory_order_acquire)) busy.wait(true);
  }
  ~Hold() {
    busy.clear(std::memory_order_release);
    busy.notify_one();
  }
};
std::weak_ptr<const SystemAuthorities>& Latest() {
  static std::weak_ptr<const SystemAuthorities> latest;
  return latest;
}

}  // namespace

std::string SystemAuthoritiesText() {
  const char* named = std::getenv(X509_get_default_cert_file_env());
  if (named != nullptr) return TextAt(named);
  std::string text = TextAt(X509_get_default_cert_file());
  for (const char* place : kPlaces) {
    if (!text.empty()) return text;
    text = TextAt(place);
  }
  return text;
}

absl::StatusOr<std::shared_ptr<const SystemAuthorities>> SystemAuthorities::Get(size_t workers) {
  std::string text = SystemAuthoritiesText();
  if (text.empty()) {
    return Wrong(
        "the system's certificate authorities were not found; give tls.ca, or install them "
        "(ca-certificates)");
  }
  const Hold hold;
  std::shared_ptr<const SystemAuthorities> latest = Latest().lock();
  if (latest != nullptr && latest->text_ == text && latest->stores_.size() >= workers) {
    return latest;
  }
  absl::StatusOr<Authorities> authorities = ReadAuthorities(text, "");
  if (!authorities.ok()) {
    return Wrong("the system's certificate authorities: " +
                 std::string(authorities.status().message()));
  }
  auto made = std::make_shared<SystemAuthorities>();
  made->text_ = std::move(text);
  for (size_t worker = 0; worker < workers; ++worker) {
    UniqueStore store = MakeStore(*authorities, LibraryOfWorker(worker));
    if (store == nullptr) return absl::ResourceExhaustedError("out of memory");
    made->stores_.push_back(std::move(store));
  }
  Latest() = made;
  return made;
}

}  // namespace rondo::tls
