#include <openssl/crypto.h>

#include <array>
#include <atomic>

#include "tls/contexts.h"

namespace rondo::tls {
namespace {

// More workers than this share.
constexpr size_t kLibrariesMax = 1024;

// They live as long as the process: what OpenSSL keeps for a thread names its library context, and
// nobody knows when the last thread has forgotten it.
std::array<std::atomic<OSSL_LIB_CTX*>, kLibrariesMax> libraries;

}  // namespace

OSSL_LIB_CTX* LibraryOfWorker(size_t worker) {
  std::atomic<OSSL_LIB_CTX*>& place = libraries[worker % kLibrariesMax];
  OSSL_LIB_CTX* library = place.load(std::memory_order_acquire);
  if (library != nullptr) return library;
  OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
  if (made == nullptr) return nullptr;
  if (place.compare_exchange_strong(library, made, std::memory_order_acq_rel)) return made;
  OSSL_LIB_CTX_free(made);
  return library;
}

}  // namespace rondo::tls
