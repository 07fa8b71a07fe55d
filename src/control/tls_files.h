// What the files hold that a configuration's TLS names: each read once, checked by itself and
// against the others, and made into the settings that contexts are made of. Says everything that is
// wrong at once, by place, file and reason; never what is in a key. Control thread, and `rondo
// check`.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/read_file.h"
#include "rondo/base/time.h"
#include "rondo/config/load.h"
#include "rondo/tls/client_setup.h"
#include "rondo/tls/server_setup.h"
#include "rondo/tls/ticket_keys.h"

namespace rondo::control {

// What of a configuration names files of TLS; all of it stays in place while it is read.
struct TlsWanted {
  std::vector<std::pair<std::string, const config::ListenerTls*>> listeners;
  std::vector<const config::Upstream*> upstreams;  // that have `tls`
  const config::AdminTls* admin = nullptr;
  // What is in force stays beside it: this is about one upstream more.
  bool adds = false;
  // Private keys are among it.
  bool has_keys() const;
};
// Of the configuration alone.
TlsWanted WantedBy(const config::Config& config);

struct TlsProblems {
  std::vector<config::Error> errors;    // with one of these nothing of it may be used
  std::vector<config::Error> warnings;  // it works, but not for long or not as somebody thought
};

// A certificate that is shown to clients.
struct ServedCertificate {
  std::string listener;  // its name; kAdminScope for the admin API's
  std::string file;
  std::string subject;
  std::string fingerprint;
  int64_t not_after = 0;  // seconds since 1970
};
// What the admin API's certificate and tickets go by, where listeners go by their names. No
// listener can have it as its name.
inline constexpr std::string_view kAdminScope = "(admin)";

struct TicketFile {
  std::array<tls::TicketKey, tls::TicketKeys::kKeysMax> keys{};
  size_t count = 0;
};

struct LoadedServer {
  tls::ServerSettings settings;
  std::vector<ServedCertificate> served;
  // Equal for equal settings and contents of files.
  std::string digest;
  std::string ticket_path;  // empty: keys made in memory
};

struct LoadedClient {
  tls::ClientSettings settings;
  std::string digest;
};

class TlsFiles {
 public:
  // `now` is what dates are held against. References outlive it.
  TlsFiles(const FileReader& read, WallTime now, TlsProblems& problems);
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;
  ~TlsFiles();  // what was read is wiped

  // Nothing where there were errors, which are in `problems` then.
  std::optional<LoadedServer> Listener(const std::string& name, const config::ListenerTls& tls);
  std::optional<LoadedServer> Admin(const config::AdminTls& tls);
  // REQUIRES: upstream.tls.
  std::optional<LoadedClient> Upstream(const config::Upstream& upstream);

  // By path; those of all listeners so far.
  std::map<std::string, TicketFile>& tickets() { return tickets_; }
  // All files that were asked for, whether they could be read or not.
  std::vector<std::string> Paths() const;

 private:
  // Where errors are, and what they begin with: "listeners.web.tls".
  struct Place {
    const config::Where& where;
    std::string key;
  };
  void Error(const Place& place, std::string_view what, std::string_view problem);
  void Warn(const Place& place, std::string_view what, std::string_view problem);
  // The file's content; null, and an error, where there is none.
  const std::string* Read(const Place& place, std::string_view kind, const std::string& path);
  std::shared_ptr<const tls::KeyPair> Pair(const Place& place, const std::string& cert,
                                           const std::string& key);
  bool Certificate(const Place& place, const config::CertificateFiles& files, LoadedServer& loaded);
  std::string Staple(const Place& place, const std::string& path, const tls::KeyPair& pair);
  bool ClientAuthorities(const Place& place, const config::ListenerTls& tls, LoadedServer& loaded);
  bool Tickets(const Place& place, const std::string& path);
  const std::string& SystemAuthorities();
  int64_t Now() const;

  const FileReader& read_;
  const WallTime now_;
  TlsProblems& problems_;
  std::map<std::string, absl::StatusOr<std::string>> contents_;
  std::map<std::string, TicketFile> tickets_;
  std::optional<std::string> system_authorities_;
};

}  // namespace rondo::control
