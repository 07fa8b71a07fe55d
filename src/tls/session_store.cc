#include "tls/session_store.h"

#include <openssl/x509.h>

#include <utility>

namespace rondo::tls {
namespace {

// A session stands for a certificate that was verified: no longer than that is in date.
bool StillGood(const SSL_SESSION* session) {
  if (SSL_SESSION_is_resumable(session) != 1) return false;
  // The library's accessor takes what it does not change without const.
  const X509* peer = SSL_SESSION_get0_peer(const_cast<SSL_SESSION*>(session));
  return peer == nullptr || X509_cmp_current_time(X509_get0_notAfter(peer)) > 0;
}

UniqueSession CopyOf(const SSL_SESSION* session) {
  return UniqueSession(SSL_SESSION_dup(const_cast<SSL_SESSION*>(session)));
}

}  // namespace

std::unique_ptr<SessionStore> SessionStore::Make() {
  return std::make_unique<OpensslSessionStore>();
}

// A copy, for its own good: an SSL that ends without close_notify spoils the session that it has.
void OpensslSessionStore::Put(uint64_t key, std::string_view scope, const SSL_SESSION* received) {
  UniqueSession session = CopyOf(received);
  if (session == nullptr) return;
  if (entries_.size() >= kMax && !entries_.contains(key)) {
    entries_.erase(entries_.begin());  // any one: they are in no order that anybody could know
  }
  entries_[key] = Entry{std::string(scope), std::move(session)};
}

UniqueSession OpensslSessionStore::Take(uint64_t key, std::string_view scope) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  Entry& entry = found->second;
  if (entry.scope != scope || !StillGood(entry.session.get())) {
    entries_.erase(found);
    return nullptr;
  }
  if (SSL_SESSION_get_protocol_version(entry.session.get()) < TLS1_3_VERSION) {
    return CopyOf(entry.session.get());
  }
  UniqueSession session = std::move(entry.session);
  entries_.erase(found);
  return session;
}

void OpensslSessionStore::Forget(uint64_t key) { entries_.erase(key); }

}  // namespace rondo::tls
