// The sessions that a worker's backends gave it. Private to tls/.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "rondo/tls/client_setup.h"
#include "tls/contexts.h"

namespace rondo::tls {

using UniqueSession = std::unique_ptr<SSL_SESSION, FreeWith<SSL_SESSION_free>>;

class OpensslSessionStore final : public SessionStore {
 public:
  // Keeps a copy of `received` instead of what was there. `scope`: under what it was verified.
  void Put(uint64_t key, std::string_view scope, const SSL_SESSION* received);
  // What is kept for `key`, where it was verified under the same scope. A session of TLS 1.3 is
  // given out once: who sees it twice knows that both connections are of the same client. null:
  // nothing fit.
  UniqueSession Take(uint64_t key, std::string_view scope);
  void Forget(uint64_t key);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string scope;
    UniqueSession session;
  };
  absl::flat_hash_map<uint64_t, Entry> entries_;
};

// Behind SessionStore: it is always one of these.
inline OpensslSessionStore& Openssl(SessionStore& store) {
  return static_cast<OpensslSessionStore&>(store);
}

}  // namespace rondo::tls
