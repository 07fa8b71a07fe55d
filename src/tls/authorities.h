// Certificate authorities and revocation lists, as they stand in files and as a worker's store
// holds them. Private to tls/.
#pragma once

#include <openssl/x509.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tls/pem.h"

namespace rondo::tls {

struct Authorities {
  std::vector<std::string> certificates;      // DER
  std::vector<std::string> revocation_lists;  // DER
  // Some authority's issuer is not among them (and it is not its own): trust begins at it then.
  bool partial = false;
  // When the first of the lists is out of date, in seconds since 1970; 0: none says so.
  int64_t lists_end = 0;
};

// `crl` empty: none. Errors as CheckAuthorities and CheckRevocationLists give them.
absl::StatusOr<Authorities> ReadAuthorities(std::string_view ca, std::string_view crl);

using UniqueStore = std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>>;

// A store of them in `library`. With revocation lists everything below the authority that trust
// begins at must be in none, and must have a list that is not out of date. null: out of memory.
UniqueStore MakeStore(const Authorities& authorities, OSSL_LIB_CTX* library);

}  // namespace rondo::tls
