// What a new connection to a backend begins with where more is asked than that it connects: a PROXY
// header, then the TLS handshake.
#include <array>
#include <cerrno>
#include <new>
#include <optional>

#include "rondo/balance/stable_hash.h"
#include "rondo/proxyproto/header.h"
#include "rondo/rt/secure.h"
#include "rondo/tls/client_setup.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::upstream {
namespace {

std::optional<proxyproto::Version> VersionOf(config::SendProxy send) {
  switch (send) {
    case config::SendProxy::kOff:
      return std::nullopt;
    case config::SendProxy::kV1:
      return proxyproto::Version::kV1;
    case config::SendProxy::kV2:
      return proxyproto::Version::kV2;
  }
  return std::nullopt;
}

const char* TlsFailure(const rt::Secured& secured, const tls::Handshake& handshake) {
  if (secured.error == EPROTO) return handshake.reason();
  return secured.error == ECONNRESET || secured.error == EPIPE ? "peer_gone" : "system_error";
}

}  // namespace

// By the configuration that is in force when it begins, which may change meanwhile.
rt::Task<ConnectResult> WorkerUpstream::Introduce(BackendConnection& connection,
                                                  const ClientEndpoints* client,
                                                  rt::CancelToken& token) {
  connection.way_ = way_;
  const std::shared_ptr<const tls::ClientSetup> setup = config_->tls;
  const std::string name = setup != nullptr ? ServerName(connection.backend_) : std::string();
  if (const auto version = VersionOf(settings().send_proxy); version) {
    std::array<char, proxyproto::kWrittenMax> header;
    const size_t size =
        proxyproto::WriteHeader(*version, client ? &client->source : nullptr,
                                client ? &client->destination : nullptr, header.data());
    if (client != nullptr) KeepClient(connection, *client);
    connection.sender.Add(header.data(), size);
    const int32_t sent = co_await connection.sender.Send(token);
    // It went away at once, before it was asked anything: as good as a refusal.
    if (sent < 0) co_return ConnectResult{nullptr, sent == -EPIPE ? ECONNRESET : -sent};
  }
  if (setup == nullptr) co_return ConnectResult{&connection, 0};
  const ConnectResult secured = co_await ShakeHands(connection, setup, name, token);
  co_return secured;
}

rt::Task<ConnectResult> WorkerUpstream::ShakeHands(BackendConnection& connection,
                                                   std::shared_ptr<const tls::ClientSetup> setup,
                                                   std::string name, rt::CancelToken& token) {
  // Sessions belong to who was verified, and to how.
  const uint64_t key = balance::StableHash(name) ^ connection.backend_.shared->serial ^
                       static_cast<uint64_t>(connection.way_) << 40;
  const bool wants_http2 = http2();  // another protocol may be in force by the end
  if (sessions_ == nullptr) sessions_ = tls::SessionStore::Make();
  const std::unique_ptr<tls::Handshake> handshake =
      tls::MakeClientHandshake(setup->ForWorker(worker_), name, sessions_.get(), key);
  const rt::Secured secured =
      co_await rt::Secure(loop_, connection.fd_, *handshake, {}, false, token);
  if (secured.fd < 0) {
    ConnectResult failed{nullptr, secured.error};
    if (secured.error != ECANCELED) failed.tls_failure = TlsFailure(secured, *handshake);
    co_return failed;
  }
  connection.fd_ = secured.fd;
  connection.receiver.Open(secured.fd);
  connection.sender.Open(secured.fd);
  if (wants_http2 && secured.result.alpn != "h2") {
    co_return ConnectResult{nullptr, EPROTO, "no_h2"};
  }
  co_return ConnectResult{&connection, 0};
}

void WorkerUpstream::KeepClient(BackendConnection& connection, const ClientEndpoints& client) {
  Freelist& memory = loop_.frames();
  auto* kept = new (memory.Allocate(sizeof(ClientEndpoints))) ClientEndpoints(client);
  connection.client_ = {kept, FreeEndpoints{&memory}};
}

void FreeEndpoints::operator()(ClientEndpoints* client) const {
  memory->Free(client, sizeof(ClientEndpoints));
}

// What it is asked for by name, and what its certificate has to be for: one name for all of them,
// or the one that it was found by; else its address.
std::string WorkerUpstream::ServerName(const WorkerBackend& backend) const {
  const std::string& sni = settings().tls ? settings().tls->sni : std::string();
  if (!sni.empty()) return sni;
  if (!backend.retired) {
    const std::string& host = settings().backends[backend.position].host;
    if (!host.empty()) return host;
  }
  const SocketAddress& address = backend.shared->address;
  return address.kind == SocketAddress::Kind::kIp ? address.ip.ToString() : std::string();
}

}  // namespace rondo::upstream
