#include "control/tls_files.h"

#include <string.h>
#include <strings.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "control/events.h"
#include "rondo/balance/stable_hash.h"

namespace rondo::control {
namespace {

WallTime At(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

// One part of a digest. Two hashes of 64 bits: what is the same is to be recognised, and nobody
// gains anything by making it look so.
void AddTo(std::string& digest, std::string_view part) {
  digest += std::to_string(part.size());
  digest += ':' + std::to_string(balance::StableHash(part));
  digest += ':' + std::to_string(balance::StableHash("rondo" + std::string(part)));
  digest += ' ';
}

tls::ClientAuth AuthOf(config::ClientAuth auth) {
  switch (auth) {
    case config::ClientAuth::kOff:
      return tls::ClientAuth::kOff;
    case config::ClientAuth::kOptional:
      return tls::ClientAuth::kOptional;
    case config::ClientAuth::kRequired:
      return tls::ClientAuth::kRequired;
  }
  return tls::ClientAuth::kOff;
}

// What backends are offered: what they are then spoken to in, and nothing else.
std::string_view AlpnOf(config::Protocol protocol) {
  switch (protocol) {
    case config::Protocol::kHttp1:
    case config::Protocol::kH2c:  // never with TLS
      return "http/1.1";
    case config::Protocol::kH2:
      return "h2";
  }
  return "http/1.1";
}

std::string Reason(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

TlsWanted WantedBy(const config::Config& config) {
  TlsWanted wanted;
  for (const config::Listener& listener : config.listeners) {
    if (listener.tls) wanted.listeners.emplace_back(listener.name, &*listener.tls);
  }
  for (const config::Upstream& upstream : config.upstreams) {
    if (upstream.tls) wanted.upstreams.push_back(&upstream);
  }
  if (config.admin && config.admin->tls) wanted.admin = &*config.admin->tls;
  return wanted;
}

bool TlsWanted::has_keys() const {
  const auto with_key = [](const auto* each) { return !each->tls->key.empty(); };
  return !listeners.empty() || admin != nullptr || std::ranges::any_of(upstreams, with_key);
}

TlsFiles::TlsFiles(const FileReader& read, WallTime now, TlsProblems& problems)
    : read_(read), now_(now), problems_(problems) {}

TlsFiles::~TlsFiles() {
  for (auto& [path, content] : contents_) {
    if (content.ok()) explicit_bzero(content->data(), content->size());
  }
  for (auto& [path, file] : tickets_) explicit_bzero(&file.keys, sizeof(file.keys));
}

int64_t TlsFiles::Now() const {
  return std::chrono::duration_cast<std::chrono::seconds>(now_.time_since_epoch()).count();
}

std::vector<std::string> TlsFiles::Paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, content] : contents_) paths.push_back(path);
  return paths;
}

void TlsFiles::Error(const Place& place, std::string_view what, std::string_view problem) {
  std::string message = place.key + ": ";
  message.append(what).append(": ").append(problem);
  problems_.errors.push_back({place.where.line, place.where.col, std::move(message)});
}

void TlsFiles::Warn(const Place& place, std::string_view what, std::string_view problem) {
  std::string message = place.key + ": ";
  message.append(what).append(": ").append(problem);
  problems_.warnings.push_back({place.where.line, place.where.col, std::move(message)});
}

const std::string* TlsFiles::Read(const Place& place, std::string_view kind,
                                  const std::string& path) {
  auto found = contents_.find(path);
  if (found == contents_.end()) found = contents_.emplace(path, read_(path)).first;
  if (found->second.ok()) return &*found->second;
  Error(place, std::string(kind) + " " + path, Reason(found->second.status()));
  return nullptr;
}

std::shared_ptr<const tls::KeyPair> TlsFiles::Pair(const Place& place, const std::string& cert,
                                                   const std::string& key) {
  const std::string* chain = Read(place, "certificate", cert);
  const std::string* secret = Read(place, "key", key);
  if (chain == nullptr || secret == nullptr) return nullptr;
  auto pair = tls::KeyPair::Parse(*chain, *secret);
  const std::string what = "certificate " + cert + " with key " + key;
  if (!pair.ok()) {
    Error(place, what, Reason(pair.status()));
    return nullptr;
  }
  if ((*pair)->not_after() <= Now()) {
    Warn(place, "certificate " + cert, "it ended at " + Rfc3339(At((*pair)->not_after())));
  } else if ((*pair)->not_before() > Now()) {
    Warn(place, "certificate " + cert,
         "it is not valid before " + Rfc3339(At((*pair)->not_before())));
  }
  return *std::move(pair);
}

bool TlsFiles::Certificate(const Place& place, const config::CertificateFiles& files,
                           LoadedServer& loaded) {
  const std::shared_ptr<const tls::KeyPair> pair = Pair(place, files.cert, files.key);
  const std::string* stapled = nullptr;
  if (!files.ocsp.empty()) stapled = Read(place, "OCSP answer", files.ocsp);
  if (pair == nullptr || (stapled == nullptr && !files.ocsp.empty())) return false;
  tls::ServedPair served{pair, ""};
  const size_t errors = problems_.errors.size();
  if (stapled != nullptr) served.ocsp = Staple(place, files.ocsp, *pair);
  if (problems_.errors.size() > errors) return false;
  // Two pairs of one certificate would be one series twice.
  const auto same_file = [&](const ServedCertificate& each) { return each.file == files.cert; };
  if (std::ranges::none_of(loaded.served, same_file)) {
    loaded.served.push_back(
        {"", files.cert, pair->subject(), pair->fingerprint(), pair->not_after()});
  }
  AddTo(loaded.digest, *contents_.at(files.cert));
  AddTo(loaded.digest, *contents_.at(files.key));
  AddTo(loaded.digest, served.ocsp);
  loaded.settings.certificates.push_back(std::move(served));
  return true;
}

// An answer whose time is over is not stapled: browsers refuse a connection for it that they would
// take without.
std::string TlsFiles::Staple(const Place& place, const std::string& path,
                             const tls::KeyPair& pair) {
  const std::string& der = *contents_.at(path);
  const absl::StatusOr<int64_t> next_update = pair.CheckOcsp(der);
  if (!next_update.ok()) {
    Error(place, "OCSP answer " + path, Reason(next_update.status()));
    return "";
  }
  if (*next_update != 0 && *next_update <= Now()) {
    Warn(place, "OCSP answer " + path,
         "its time ended at " + Rfc3339(At(*next_update)) + ": it is not stapled");
    return "";
  }
  return der;
}

bool TlsFiles::ClientAuthorities(const Place& place, const config::ListenerTls& tls,
                                 LoadedServer& loaded) {
  if (tls.client_ca.empty()) return true;
  bool good = true;
  if (const std::string* text = Read(place, "client_ca", tls.client_ca)) {
    loaded.settings.client_ca = *text;
    if (const auto count = tls::CheckAuthorities(*text); !count.ok()) {
      Error(place, "client_ca " + tls.client_ca, Reason(count.status()));
      good = false;
    }
  } else {
    good = false;
  }
  if (tls.crl.empty()) return good;
  const std::string* text = Read(place, "crl", tls.crl);
  if (text == nullptr) return false;
  loaded.settings.crl = *text;
  if (const auto count = tls::CheckRevocationLists(*text); !count.ok()) {
    Error(place, "crl " + tls.crl, Reason(count.status()));
    return false;
  }
  return good;
}

bool TlsFiles::Tickets(const Place& place, const std::string& path) {
  if (path.empty() || tickets_.contains(path)) return true;
  const std::string* text = Read(place, "ticket_keys", path);
  if (text == nullptr) return false;
  TicketFile file;
  auto keys = tls::TicketKeys::ParseFile(*text, &file.count);
  if (!keys.ok()) {
    Error(place, "ticket_keys " + path, Reason(keys.status()));
    return false;
  }
  file.keys = *keys;
  tickets_.emplace(path, file);
  explicit_bzero(&file.keys, sizeof(file.keys));
  explicit_bzero(&*keys, sizeof(*keys));
  return true;
}

std::optional<LoadedServer> TlsFiles::Listener(const std::string& name,
                                               const config::ListenerTls& tls) {
  const std::string key = "listeners." + name + ".tls";
  LoadedServer loaded;
  bool good = true;
  for (const config::CertificateFiles& files : tls.certificates) {
    good = Certificate(Place{files.where, key}, files, loaded) && good;
  }
  for (ServedCertificate& served : loaded.served) served.listener = name;
  const Place place{tls.where, key};
  good = ClientAuthorities(place, tls, loaded) && good;
  good = Tickets(place, tls.ticket_keys) && good;
  if (!good) return std::nullopt;
  loaded.settings.min_version = tls.tls13_only ? tls::Version::kTls13 : tls::Version::kTls12;
  loaded.settings.alpn = tls.alpn;
  loaded.settings.client_auth = AuthOf(tls.client_auth);
  loaded.settings.ticket_scope = name;
  loaded.ticket_path = tls.ticket_keys;
  loaded.digest += tls.tls13_only ? "1.3 " : "1.2 ";
  loaded.digest += std::to_string(static_cast<int>(tls.client_auth)) + ' ';
  for (const std::string& protocol : tls.alpn) AddTo(loaded.digest, protocol);
  AddTo(loaded.digest, loaded.settings.client_ca);
  AddTo(loaded.digest, loaded.settings.crl);
  AddTo(loaded.digest, name);
  AddTo(loaded.digest, loaded.ticket_path);
  return loaded;
}

// A certificate of the client is asked for, but who has none is let in: healthz and readyz need
// none, and the API itself refuses the rest.
std::optional<LoadedServer> TlsFiles::Admin(const config::AdminTls& tls) {
  config::ListenerTls as_listener;
  as_listener.certificates.push_back({tls.cert, tls.key, "", tls.where});
  as_listener.client_ca = tls.client_ca;
  as_listener.client_auth =
      tls.client_ca.empty() ? config::ClientAuth::kOff : config::ClientAuth::kOptional;
  LoadedServer loaded;
  const Place place{tls.where, "admin.tls"};
  bool good = Certificate(place, as_listener.certificates.front(), loaded);
  good = ClientAuthorities(place, as_listener, loaded) && good;
  if (!good) return std::nullopt;
  loaded.served.front().listener = kAdminScope;
  loaded.settings.alpn = {"http/1.1"};  // all that the API speaks
  loaded.settings.client_auth = AuthOf(as_listener.client_auth);
  loaded.settings.ticket_scope = kAdminScope;
  AddTo(loaded.digest, loaded.settings.client_ca);
  loaded.digest += kAdminScope;
  return loaded;
}

// Read once, as files are; but they are not among those that are watched.
const std::string& TlsFiles::SystemAuthorities() {
  if (!system_authorities_) system_authorities_ = tls::SystemAuthoritiesText();
  return *system_authorities_;
}

std::optional<LoadedClient> TlsFiles::Upstream(const config::Upstream& upstream) {
  const config::UpstreamTls& tls = *upstream.tls;
  const Place place{tls.where, "upstreams." + upstream.name + ".tls"};
  LoadedClient loaded;
  loaded.settings.verify = tls.verify;
  loaded.settings.alpn = {std::string(AlpnOf(upstream.protocol))};
  bool good = true;
  if (!tls.ca.empty()) {
    const std::string* text = Read(place, "ca", tls.ca);
    good = text != nullptr;
    if (good) {
      loaded.settings.ca = *text;
      if (const auto count = tls::CheckAuthorities(*text); !count.ok()) {
        Error(place, "ca " + tls.ca, Reason(count.status()));
        good = false;
      }
    }
  }
  loaded.digest = tls.verify ? "verify " : "trust ";
  AddTo(loaded.digest, loaded.settings.alpn.front());
  const bool of_system = tls.verify && tls.ca.empty();
  AddTo(loaded.digest, of_system ? SystemAuthorities() : loaded.settings.ca);
  if (!tls.cert.empty()) {
    loaded.settings.certificate = Pair(place, tls.cert, tls.key);
    if (loaded.settings.certificate == nullptr) return std::nullopt;
    AddTo(loaded.digest, *contents_.at(tls.cert));
    AddTo(loaded.digest, *contents_.at(tls.key));
  }
  if (!good) return std::nullopt;
  return loaded;
}

}  // namespace rondo::control
