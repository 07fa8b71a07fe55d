#include "tls/server_context.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "tls/key_pair.h"
#include "tls/profile.h"

namespace rondo::tls {
namespace {

void FreeChain(STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); }

absl::Status Failed(std::string_view doing) {
  return Wrong("TLS cannot be prepared: " + std::string(doing) + ": " + TakeOpensslError());
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerServerContext>> WorkerServerContext::Make(
    const ServerPlan& plan, const TicketKeys* tickets, size_t worker) {
  OSSL_LIB_CTX* library = LibraryOfWorker(worker);
  if (library == nullptr) return absl::ResourceExhaustedError("out of memory");
  // Not make_unique: the constructor is private.
  std::unique_ptr<WorkerServerContext> made(new WorkerServerContext(plan, library));
  ForgetOpensslErrors();
  absl::Status status = made->Prepare(tickets);
  if (status.ok() && worker == 0) status = made->CheckCertificates();
  if (!status.ok()) return status;
  return made;
}

absl::Status WorkerServerContext::Prepare(const TicketKeys* tickets) {
  context_.reset(SSL_CTX_new_ex(library_, nullptr, TLS_server_method()));
  if (context_ == nullptr) return Failed("a context");
  if (!PrepareProtocol()) return Failed("ciphers and groups");
  if (!Use(plan_.table.default_set(), nullptr)) return Failed("the first certificate");
  if (!PrepareTickets(tickets)) return Failed("session tickets");
  if (!PrepareClientAuth()) return Failed("client certificates");
  PrepareForTakeover(context_.get());
  return absl::OkStatus();
}

absl::Status WorkerServerContext::CheckCertificates() {
  const UniqueSsl ssl = NewSsl();
  if (ssl == nullptr) return absl::ResourceExhaustedError("out of memory");
  for (size_t i = 0; i < served_.size(); ++i) {
    CertificateSet alone;
    alone.of[0] = static_cast<uint32_t>(i);
    SSL_certs_clear(ssl.get());
    if (Use(alone, ssl.get())) continue;
    return Failed("the certificate " + plan_.settings.certificates[i].pair->subject());
  }
  return absl::OkStatus();
}

bool WorkerServerContext::Load(size_t certificate) {
  const ServedPair& settings = plan_.settings.certificates[certificate];
  const ParsedPair& pair = Parsed(*settings.pair);
  Served served{pair.MakeLeaf(library_), pair.MakeKey(library_),
                UniqueChain(sk_X509_new_null(), FreeChain)};
  bool loaded = served.leaf != nullptr && served.key != nullptr && served.chain != nullptr;
  for (size_t i = 1; loaded && i < pair.chain().size(); ++i) {
    UniqueX509 issuer = CertificateFromDer(pair.chain()[i], library_);
    loaded = issuer != nullptr && sk_X509_push(served.chain.get(), issuer.get()) > 0;
    if (loaded) static_cast<void>(issuer.release());  // the chain's now
  }
  if (!loaded) return false;
  if (!settings.ocsp.empty()) {
    Stapled stapled{settings.ocsp, nullptr};
    const int64_t next_update = plan_.ocsp_next_update[certificate];
    if (next_update != 0) stapled.next_update.reset(ASN1_TIME_set(nullptr, next_update));
    stapled_.emplace(served.leaf.get(), std::move(stapled));
  }
  served_[certificate] = std::move(served);
  return true;
}

bool WorkerServerContext::PrepareProtocol() {
  SSL_CTX* context = context_.get();
  if (!ApplyProfile(context, kServerCiphers12)) return false;
  const bool only13 = plan_.settings.min_version == Version::kTls13;
  if (only13 && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) return false;
  // A client that puts ChaCha20 first has no AES in its hardware.
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_tlsext_servername_callback(context, OnServerName);
  SSL_CTX_set_cert_cb(context, OnCertificate, this);
  if (!plan_.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, OnAlpn, this);
  const std::vector<ServedPair>& pairs = plan_.settings.certificates;
  if (std::any_of(pairs.begin(), pairs.end(),
                  [](const auto& pair) { return !pair.ocsp.empty(); })) {
    SSL_CTX_set_tlsext_status_cb(context, OnStatus);
    SSL_CTX_set_tlsext_status_arg(context, this);
  }
  return true;
}

bool WorkerServerContext::PrepareTickets(const TicketKeys* tickets) {
  SSL_CTX* context = context_.get();
  // Tickets are the only memory of a session: it holds over workers, restarts and machines.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  const auto* scope = reinterpret_cast<const unsigned char*>(plan_.session_scope.data());
  const auto scope_size = static_cast<unsigned int>(plan_.session_scope.size());
  if (SSL_CTX_set_session_id_context(context, scope, scope_size) != 1) return false;
  if (tickets == nullptr) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    return SSL_CTX_set_num_tickets(context, 0) == 1;
  }
  tickets_.emplace(*tickets, library_, plan_.client_authorities.lists_end);
  return tickets_->Serve(context);
}

bool WorkerServerContext::PrepareClientAuth() {
  SSL_CTX* context = context_.get();
  int mode = SSL_VERIFY_NONE;
  switch (plan_.settings.client_auth) {
    case ClientAuth::kOff:
      return true;
    case ClientAuth::kOptional:
      mode = SSL_VERIFY_PEER;
      break;
    case ClientAuth::kRequired:
      mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
      break;
  }
  const UniqueStore store = MakeStore(plan_.client_authorities, library_);
  if (store == nullptr || SSL_CTX_set1_verify_cert_store(context, store.get()) != 1) return false;
  for (const std::string& der : plan_.client_authorities.certificates) {
    const UniqueX509 authority = CertificateFromDer(der, library_);
    if (authority == nullptr || SSL_CTX_add_client_CA(context, authority.get()) != 1) return false;
  }
  SSL_CTX_set_verify(context, mode, nullptr);
  return true;
}

UniqueSsl WorkerServerContext::NewSsl() const {
  UniqueSsl ssl(SSL_new(context_.get()));
  if (ssl != nullptr) SSL_set_accept_state(ssl.get());
  return ssl;
}

bool WorkerServerContext::Use(const CertificateSet& set, SSL* ssl) {
  for (const uint32_t certificate : set.of) {
    if (certificate == CertificateSet::kNone) continue;
    if (served_[certificate].leaf == nullptr && !Load(certificate)) return false;
    const Served& served = served_[certificate];
    X509* leaf = served.leaf.get();
    EVP_PKEY* key = served.key.get();
    STACK_OF(X509)* chain = served.chain.get();
    const int used = ssl == nullptr ? SSL_CTX_use_cert_and_key(context_.get(), leaf, key, chain, 1)
                                    : SSL_use_cert_and_key(ssl, leaf, key, chain, 1);
    if (used != 1) return false;
  }
  return true;
}

// Every name is taken, so that it stands in the session: see Tickets.
int WorkerServerContext::OnServerName(SSL* ssl, int* /*alert*/, void* /*self*/) {
  return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) == nullptr ? SSL_TLSEXT_ERR_NOACK
                                                                       : SSL_TLSEXT_ERR_OK;
}

// Not asked for where a session is resumed.
int WorkerServerContext::OnCertificate(SSL* ssl, void* self) {
  auto& context = *static_cast<WorkerServerContext*>(self);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return 1;
  const CertificateSet& set = context.plan_.table.Find(name);
  if (set == context.plan_.table.default_set()) return 1;
  SSL_certs_clear(ssl);
  return context.Use(set, ssl) ? 1 : 0;
}

int WorkerServerContext::OnAlpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                                const unsigned char* offered, unsigned int offered_size,
                                void* self) {
  const std::string& ours = static_cast<const WorkerServerContext*>(self)->plan_.alpn;
  unsigned char* chosen = nullptr;
  const int found =
      SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned int>(ours.size()), offered, offered_size);
  // RFC 7301 §3.2. What somebody sends who wants another protocol must not be read as HTTP.
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int WorkerServerContext::OnStatus(SSL* ssl, void* self) {
  const auto& context = *static_cast<const WorkerServerContext*>(self);
  const auto found = context.stapled_.find(SSL_get_certificate(ssl));
  if (found == context.stapled_.end()) return SSL_TLSEXT_ERR_NOACK;
  const Stapled& stapled = found->second;
  // Clients refuse an answer that is out of date, but do without one.
  if (stapled.next_update != nullptr && X509_cmp_current_time(stapled.next_update.get()) <= 0) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  auto* answer =
      static_cast<unsigned char*>(OPENSSL_memdup(stapled.answer.data(), stapled.answer.size()));
  if (answer == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, answer, static_cast<long>(stapled.answer.size()));
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace rondo::tls
