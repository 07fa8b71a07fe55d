#include "tls/client_context.h"

#include <openssl/x509v3.h>

#include <utility>

#include "tls/key_pair.h"
#include "tls/names.h"
#include "tls/profile.h"
#include "tls/session_store.h"

namespace rondo::tls {
namespace {

// Where the sessions of an SSL go. Belongs to it.
struct Binding {
  OpensslSessionStore* store;
  uint64_t key;
  std::string scope;
};

void FreeBinding(void* /*ssl*/, void* binding, CRYPTO_EX_DATA* /*data*/, int /*index*/,
                 long /*argument*/, void* /*pointer*/) {
  delete static_cast<Binding*>(binding);
}

int BindingIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, FreeBinding);
  return index;
}

Binding* BindingOf(const SSL* ssl) {
  return static_cast<Binding*>(SSL_get_ex_data(ssl, BindingIndex()));
}

int OnNewSession(SSL* ssl, SSL_SESSION* session) {
  const Binding* binding = BindingOf(ssl);
  if (binding != nullptr) binding->store->Put(binding->key, binding->scope, session);
  return 0;  // OpenSSL frees its own
}

bool UseCertificate(SSL_CTX* context, const ParsedPair& pair, OSSL_LIB_CTX* library) {
  const UniqueKey key = pair.MakeKey(library);
  const UniqueX509 leaf = pair.MakeLeaf(library);
  if (key == nullptr || leaf == nullptr) return false;
  if (SSL_CTX_use_cert_and_key(context, leaf.get(), key.get(), nullptr, 1) != 1) return false;
  for (size_t i = 1; i < pair.chain().size(); ++i) {
    const UniqueX509 issuer = CertificateFromDer(pair.chain()[i], library);
    if (issuer == nullptr || SSL_CTX_add1_chain_cert(context, issuer.get()) != 1) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerClientContext>> WorkerClientContext::Make(
    const ClientPlan& plan, X509_STORE* store, size_t worker) {
  OSSL_LIB_CTX* library = LibraryOfWorker(worker);
  if (library == nullptr) return absl::ResourceExhaustedError("out of memory");
  // Not make_unique: the constructor is private.
  std::unique_ptr<WorkerClientContext> made(
      new WorkerClientContext(plan.number, plan.settings->verify, library));
  ForgetOpensslErrors();
  if (!made->Prepare(plan, store)) {
    return Wrong("TLS towards backends cannot be prepared: " + TakeOpensslError());
  }
  return made;
}

bool WorkerClientContext::Prepare(const ClientPlan& plan, X509_STORE* store) {
  context_.reset(SSL_CTX_new_ex(library_, nullptr, TLS_client_method()));
  SSL_CTX* context = context_.get();
  if (context == nullptr || !ApplyProfile(context, kClientCiphers12)) return false;
  if (verify_) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (SSL_CTX_set1_verify_cert_store(context, store) != 1) return false;
  }
  const KeyPair* certificate = plan.settings->certificate.get();
  if (certificate != nullptr && !UseCertificate(context, Parsed(*certificate), library_)) {
    return false;
  }
  // Sessions go to the worker's store, by backend: OpenSSL's own cache has no use for them.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, OnNewSession);
  // The one call here that says 0 where it worked.
  return plan.alpn.empty() ||
         SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(plan.alpn.data()),
                                 static_cast<unsigned int>(plan.alpn.size())) == 0;
}

UniqueSsl WorkerClientContext::NewSsl(std::string_view server_name, SessionStore* sessions,
                                      uint64_t key) const {
  UniqueSsl ssl(SSL_new(context_.get()));
  if (ssl == nullptr) return nullptr;
  SSL_set_connect_state(ssl.get());
  if (!AskFor(ssl.get(), server_name)) return nullptr;
  if (sessions == nullptr) return ssl;
  auto binding = std::make_unique<Binding>(
      Binding{&Openssl(*sessions), key, std::to_string(setup_) + "/" + std::string(server_name)});
  const UniqueSession session = binding->store->Take(key, binding->scope);
  if (SSL_set_ex_data(ssl.get(), BindingIndex(), binding.get()) != 1) return nullptr;
  static_cast<void>(binding.release());  // the SSL's now
  // One that it does not take is as if there were none.
  if (session != nullptr && SSL_set_session(ssl.get(), session.get()) != 1) ForgetOpensslErrors();
  return ssl;
}

bool WorkerClientContext::AskFor(SSL* ssl, std::string_view server_name) const {
  if (server_name.empty()) return true;  // a unix socket has no name: its chain is verified alone
  X509_VERIFY_PARAM* verification = SSL_get0_param(ssl);
  std::string_view address = server_name;
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  if (IsAddress(address)) {
    return X509_VERIFY_PARAM_set1_ip_asc(verification, std::string(address).c_str()) == 1;
  }
  const std::string host = HostName(server_name);
  if (host.empty()) return false;
  X509_VERIFY_PARAM_set_hostflags(verification, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set_tlsext_host_name(ssl, host.c_str()) == 1 &&
         X509_VERIFY_PARAM_set1_host(verification, host.data(), host.size()) == 1;
}

void ForgetSession(const SSL* ssl) {
  const Binding* binding = BindingOf(ssl);
  if (binding != nullptr) binding->store->Forget(binding->key);
}

}  // namespace rondo::tls
