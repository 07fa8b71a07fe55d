#include "control/certificates.h"

#include <string.h>

#include <algorithm>
#include <set>
#include <utility>

namespace rondo::control {

Certificates::Set::~Set() {
  for (auto& [path, file] : ticket_files) explicit_bzero(&file.keys, sizeof(file.keys));
}

Certificates::Certificates(FileReader read, size_t workers)
    : read_(std::move(read)), workers_(workers), force_(std::make_unique<Set>()) {}

TlsProblems Certificates::Prepare(const TlsWanted& wanted, WallTime now) {
  TlsProblems problems;
  prepared_ = std::make_unique<Set>();
  if (wanted.adds) {
    prepared_->servers = force_->servers;
    prepared_->clients = force_->clients;
    prepared_->ticket_keys = force_->ticket_keys;
    prepared_->paths = force_->paths;
  }
  TlsFiles files(read_, now, problems);
  for (const auto& [name, tls] : wanted.listeners) {
    auto loaded = files.Listener(name, *tls);
    prepared_->ticket_files.insert(files.tickets().begin(), files.tickets().end());
    if (loaded) AddServer(name, *std::move(loaded), tls->where, workers_, problems);
  }
  if (wanted.admin != nullptr) {
    auto loaded = files.Admin(*wanted.admin);
    const std::string scope(kAdminScope);
    // This thread alone serves it.
    if (loaded) AddServer(scope, *std::move(loaded), wanted.admin->where, 1, problems);
  }
  for (const config::Upstream* upstream : wanted.upstreams) {
    auto loaded = files.Upstream(*upstream);
    if (loaded) AddClient(*upstream, *std::move(loaded), problems);
  }
  std::set<std::string> paths(prepared_->paths.begin(), prepared_->paths.end());
  for (std::string& path : files.Paths()) paths.insert(std::move(path));
  prepared_->paths.assign(paths.begin(), paths.end());
  if (!problems.errors.empty()) prepared_ = nullptr;
  return problems;
}

void Certificates::AddServer(const std::string& name, LoadedServer loaded,
                             const config::Where& where, size_t workers, TlsProblems& problems) {
  Server server;
  server.digest = std::move(loaded.digest);
  server.served = std::move(loaded.served);
  server.tickets = TicketsFor(loaded.ticket_path);
  const auto before = force_->servers.find(name);
  if (before != force_->servers.end() && before->second.digest == server.digest &&
      before->second.tickets == server.tickets) {
    server.setup = before->second.setup;
  } else {
    auto setup = tls::ServerSetup::Make(loaded.settings, workers, server.tickets);
    if (!setup.ok()) {
      const std::string key = name == kAdminScope ? "admin.tls" : "listeners." + name + ".tls";
      problems.errors.push_back(
          {where.line, where.col, key + ": " + std::string(setup.status().message())});
      return;
    }
    server.setup = *std::move(setup);
  }
  prepared_->servers.insert_or_assign(name, std::move(server));
}

void Certificates::AddClient(const config::Upstream& upstream, LoadedClient loaded,
                             TlsProblems& problems) {
  const config::UpstreamTls& tls = *upstream.tls;
  std::shared_ptr<const tls::ClientSetup> setup = SameClient(loaded.digest);
  if (setup == nullptr) {
    auto made = tls::ClientSetup::Make(loaded.settings, workers_);
    if (!made.ok()) {
      problems.errors.push_back(
          {tls.where.line, tls.where.col,
           "upstreams." + upstream.name + ".tls: " + std::string(made.status().message())});
      return;
    }
    setup = *std::move(made);
  }
  std::erase_if(prepared_->clients, [&](const Client& each) { return each.IsFor(upstream); });
  prepared_->clients.push_back(
      Client{tls, upstream.protocol, std::move(loaded.digest), std::move(setup)});
}

// Upstreams that say the same share one: authorities are large.
std::shared_ptr<const tls::ClientSetup> Certificates::SameClient(std::string_view digest) const {
  for (const Set* set : {prepared_.get(), force_.get()}) {
    for (const Client& each : set->clients) {
      if (each.digest == digest) return each.setup;
    }
  }
  return nullptr;
}

// Keys of a file live as long as it is named: setups hold them, and see what becomes of them.
std::shared_ptr<tls::TicketKeys> Certificates::TicketsFor(const std::string& path) {
  if (path.empty()) {
    // Made when somebody needs them: without TLS nothing of libcrypto is ever set up.
    if (memory_keys_ == nullptr) memory_keys_ = std::make_shared<tls::TicketKeys>();
    return memory_keys_;
  }
  std::shared_ptr<tls::TicketKeys>& keys = prepared_->ticket_keys[path];
  if (keys != nullptr) return keys;
  const auto before = force_->ticket_keys.find(path);
  keys = before != force_->ticket_keys.end() ? before->second : std::make_shared<tls::TicketKeys>();
  return keys;
}

bool Certificates::Commit() {
  if (prepared_ == nullptr) return false;
  const std::unique_ptr<Set> old = std::exchange(force_, std::move(prepared_));
  for (const auto& [path, file] : force_->ticket_files) {
    force_->ticket_keys.at(path)->Set(file.keys.data(), file.count);
  }
  for (auto& [path, file] : force_->ticket_files) explicit_bzero(&file.keys, sizeof(file.keys));
  force_->ticket_files.clear();
  paths_ = force_->paths;
  served_.clear();
  for (const auto& [name, server] : force_->servers) {
    served_.insert(served_.end(), server.served.begin(), server.served.end());
  }
  const auto same_server = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.setup == b.second.setup;
  };
  const auto same_client = [](const Client& a, const Client& b) {
    return a.tls == b.tls && a.protocol == b.protocol && a.setup == b.setup;
  };
  return !std::ranges::equal(old->servers, force_->servers, same_server) ||
         !std::ranges::equal(old->clients, force_->clients, same_client);
}

std::shared_ptr<const tls::ServerSetup> Certificates::Listener(std::string_view name) const {
  const auto found = force_->servers.find(name);
  return found == force_->servers.end() ? nullptr : found->second.setup;
}

std::shared_ptr<const tls::ClientSetup> Certificates::Upstream(
    const config::Upstream& upstream) const {
  for (const Client& each : force_->clients) {
    if (each.IsFor(upstream)) return each.setup;
  }
  return nullptr;
}

void Certificates::RotateTickets() {
  if (memory_keys_ != nullptr) memory_keys_->Rotate();
}

}  // namespace rondo::control
