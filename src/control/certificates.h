// The TLS setups in force, and those of a configuration that may be next: made of files that are
// read whole and checked before anything changes. What neither settings nor files changed stays the
// same object, so the listeners and upstreams that hold it stay the same too. Control thread; knows
// no watcher and no clock.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/tls_files.h"
#include "rondo/config/config.h"
#include "rondo/tls/client_setup.h"
#include "rondo/tls/server_setup.h"

namespace rondo::control {

class Certificates {
 public:
  // `workers`: setups have a context for each, and those for upstreams one more, for this thread.
  Certificates(FileReader read, size_t workers);
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;

  // Reads every file that is wanted, anew. Without errors what comes of it is kept until Commit or
  // Drop; with errors nothing is. Replaces an earlier preparation.
  TlsProblems Prepare(const TlsWanted& wanted, WallTime now);
  // What was prepared takes effect. Whether any setup is another one than before.
  bool Commit();
  void Drop() { prepared_ = nullptr; }

  // In force; null where there is none.
  std::shared_ptr<const tls::ServerSetup> Listener(std::string_view name) const;
  std::shared_ptr<const tls::ServerSetup> Admin() const { return Listener(kAdminScope); }
  std::shared_ptr<const tls::ClientSetup> Upstream(const config::Upstream& upstream) const;
  // Of all files in force.
  const std::vector<std::string>& paths() const { return paths_; }
  const std::vector<ServedCertificate>& served() const { return served_; }

  // Tickets are sealed with a fresh key from now on, where keys are made in memory.
  void RotateTickets();

 private:
  struct Server {
    std::string digest;
    std::shared_ptr<const tls::ServerSetup> setup;
    std::vector<ServedCertificate> served;
    std::shared_ptr<tls::TicketKeys> tickets;
  };
  struct Client {
    config::UpstreamTls tls;
    config::Protocol protocol;
    std::string digest;
    std::shared_ptr<const tls::ClientSetup> setup;
    bool IsFor(const config::Upstream& upstream) const {
      return upstream.tls == tls && upstream.protocol == protocol;
    }
  };
  struct Set {
    std::map<std::string, Server, std::less<>> servers;  // by listener
    std::vector<Client> clients;
    std::map<std::string, std::shared_ptr<tls::TicketKeys>> ticket_keys;  // by file
    std::map<std::string, TicketFile> ticket_files;                       // what they are to be
    std::vector<std::string> paths;
    ~Set();
  };
  void AddServer(const std::string& name, LoadedServer loaded, const config::Where& where,
                 size_t workers, TlsProblems& problems);
  void AddClient(const config::Upstream& upstream, LoadedClient loaded, TlsProblems& problems);
  std::shared_ptr<const tls::ClientSetup> SameClient(std::string_view digest) const;
  std::shared_ptr<tls::TicketKeys> TicketsFor(const std::string& path);

  const FileReader read_;
  const size_t workers_;
  std::shared_ptr<tls::TicketKeys> memory_keys_;  // null until a listener has TLS
  std::unique_ptr<Set> force_;
  std::unique_ptr<Set> prepared_;  // null: nothing is
  std::vector<std::string> paths_;
  std::vector<ServedCertificate> served_;
};

}  // namespace rondo::control
