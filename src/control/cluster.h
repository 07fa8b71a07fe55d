// The model of what is served: the base configuration, the API's changes laid over it (overlay.h),
// and what discovery found, which together make the effective upstreams; and beside each backend
// its life (health machine, drain). Writes validate, persist, publish to the workers, and then
// return: none waits for a worker. Who wants to wait for an effect awaits changed() and looks
// again.
//
// Control thread only. No clock, no thread, no network: time comes from the loop, workers are
// reached through Publisher, checks and DNS through ClusterLinks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/cluster_links.h"
#include "control/cluster_view.h"
#include "control/events.h"
#include "control/overlay.h"
#include "control/publisher.h"
#include "control/state_file.h"
#include "rondo/config/config.h"
#include "rondo/config/edit.h"
#include "rondo/config/load.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/notice.h"

namespace rondo::control {

// If-Match: nothing, or the revision that the writer has seen.
using IfMatch = std::optional<uint64_t>;

// What came of a write, in HTTP's words.
struct Result {
  int status =
      200;  // 200 done (or nothing to do), 201 created, 202 drains; 400, 404, 409, 412, 503
  std::string code;  // "ok", "invalid", "not_found", "conflict", "in_use", "precondition_failed",
                     // "not_saved", ...
  std::string message;    // empty where ok
  std::string field;      // what the message is about, where it is a field: "backends[2].weight"
  uint64_t revision = 0;  // after it
  std::string id;         // of the backend that was written
  bool ok() const { return status < 300; }
};

using config::BackendPatch;

// One line for each, as of this file.
std::string AllErrors(const std::vector<config::Error>& errors, const std::string& file);

struct ClusterOptions {
  size_t workers = 1;
  upstream::ControlBell* bell = nullptr;  // that workers ring for Poll
  std::string config_path;  // what Reload reads; empty: there is no file (a proxy in one line), and
                            // Reload says so
  config::Environment environment;  // of reloads and PUT config
};

class Members;

class Cluster {
 public:
  // `base` is checked. All references outlive the cluster. Call Start once the links are ready to
  // be called.
  Cluster(rt::Loop& loop, config::Config base, ClusterOptions options, ClusterLinks& links,
          Publisher& publisher, StateStore& store, Events& events);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster();

  // -- reads --
  const config::Config& base() const { return base_; }
  // Base and overlay as one configuration, without what discovery found: what `export` prints.
  config::Config Exported() const;
  const Overlay& overlay() const { return state_.overlay; }
  // Rises with each accepted change of configuration or overlay; not with health, drains or DNS.
  uint64_t revision() const { return state_.revision; }
  // In the order of the file, then those of the API. Pointers stay valid until the control thread's
  // next await.
  std::vector<const UpstreamView*> Upstreams() const;
  const UpstreamView* FindUpstream(std::string_view name) const;
  const BackendView* FindBackend(std::string_view upstream, std::string_view id) const;
  const BackendView* FindSerial(uint64_t serial) const;
  // What a drain still waits for; nothing where the backend neither drains nor has drained.
  std::optional<DrainProgress> Drain(const BackendView& backend) const;
  // Anything changed: a state, a drain's progress, an acknowledgement, the configuration.
  rt::Notice& changed() { return changed_; }
  // Reloads that succeeded and failed, for the metrics.
  uint64_t reloads_ok() const { return reloads_ok_; }
  uint64_t reloads_failed() const { return reloads_failed_; }

  // -- writes --
  // Again with the same settings: 200, and nothing changes; with others: 409. The same id elsewhere
  // is another backend: the one there was drains. The same address under two ids: 409.
  Result AddBackend(std::string_view upstream, config::Backend backend, IfMatch if_match = {});
  // `drain`: for a patch to draining, instead of the upstream's drain_timeout.
  Result PatchBackend(std::string_view upstream, std::string_view id, const BackendPatch& patch,
                      IfMatch if_match = {}, std::optional<Duration> drain = {});
  // Drains (its upstream's drain_timeout, or `drain`), then removes: 202, or 404.
  Result RemoveBackend(std::string_view upstream, std::string_view id,
                       std::optional<Duration> drain = {}, IfMatch if_match = {});
  // The whole desired list. Living DNS and file backends must be in it (they cannot be deleted: 409
  // by name).
  Result PutBackends(std::string_view upstream, std::vector<config::Backend> backends,
                     IfMatch if_match = {});
  // Creates (201) or replaces (200) it, also where the file has one of that name.
  Result PutUpstream(config::Upstream upstream, IfMatch if_match = {});
  // 409 in_use where a route names it. Its backends drain: 202.
  Result DeleteUpstream(std::string_view name, IfMatch if_match = {});
  // Replaces the base until the file is next reloaded (or, over a restart, until the file is
  // another one). `text`: YAML, or JSON as WriteConfigJson writes it.
  Result PutConfig(std::string_view text, IfMatch if_match = {});
  // Whether PutConfig would accept it, but for what only trying tells (an address in use); changes
  // nothing.
  Result CheckConfig(std::string_view text) const;
  // Reads the file again: whole or nothing.
  Result Reload(IfMatch if_match = {});
  Result DropOverlay(IfMatch if_match = {});
  // Reads the files of TLS again that are in force, and nothing else: what changed is used by new
  // handshakes. The revision stays. Where something is wrong all stays as it was, which is told
  // once.
  Result RefreshTls();

  // -- fed by others --
  void OnCheck(uint64_t serial, bool passed, std::string_view detail);
  void OnWarmedUp(uint64_t serial);
  // The first answer of a source, or a changed one. `source`: index in the upstream's sources.
  void OnAddresses(std::string_view upstream, size_t source, std::vector<config::Backend> backends);
  // The first attempt failed, or a later one: what is known is held.
  void OnDiscoveryProblem(std::string_view upstream, size_t source, std::string_view problem);
  // Looks at acknowledgements, workers' reports, drains and due times. After the bell rang, and as
  // NextPoll says.
  void Poll();
  // When Poll has something to do by itself; kNever: only the bell.
  Instant NextPoll() const;

  // -- life --
  // Lays the saved overlay on the base, publishes the first snapshot, begins checks and discovery.
  // Returns the snapshot for the workers' start (Publisher::epoch() is its epoch). An error where a
  // state file is there and cannot be used (starting would lose it), and where certificates or keys
  // cannot be.
  absl::StatusOr<std::shared_ptr<const upstream::Snapshot>> Start();

 private:
  Result Refuse(int status, std::string_view code, std::string message,
                std::string field = {}) const;
  Result Done(int status, std::string id = {}) const;
  std::optional<Result> Mismatch(const IfMatch& if_match) const;
  Result NoUpstream(std::string_view name) const;
  const config::Upstream* BaseOf(std::string_view name) const;
  // What the entries on this upstream's backends are about: the written one, else the base's.
  std::vector<EffectiveBackend> EntriesBase(std::string_view name) const;
  UpstreamEntry EntryOf(std::string_view name) const;
  // Saves and applies one upstream's new entry.
  Result Write(const std::string& name, UpstreamEntry entry, int status, std::string id,
               std::string_view what);
  absl::Status Save();

  // cluster_tls.cc
  // Everything that may be needed: of upstreams both the base's and what the API wrote.
  static TlsWanted Wanted(const config::Config& base, const Overlay& overlay);
  Result PrepareTls(const TlsWanted& wanted) const;
  // `upstream` is about to be written.
  Result PrepareTls(const config::Upstream& upstream) const;
  void CommitTls();

  // cluster_config.cc
  struct Candidate {
    config::Config config;
    Overlay overlay;  // without what ends
    std::vector<EndedEntry> ended;
  };
  Result Judge(config::Config next, std::optional<Candidate>* candidate) const;
  Result ParseConfig(std::string_view text, std::optional<config::Config>* config) const;
  Result Replace(Candidate candidate, std::optional<std::string> base_text, std::string_view what);
  void UseSavedBase();
  void GiveUpSavedBase(const std::string& problem);
  // Of what it says, secrets and all, and not of its bytes: what it takes from the environment may
  // be another. Without `process`, which a start takes from the file in any case.
  static std::string HashOf(const config::Config& config);
  std::string FileHash() const;
  void EndEntries(const std::vector<EndedEntry>& ended);
  // All upstreams anew from base, discovery and overlay; entries that end are taken out of the
  // overlay.
  void ApplyAll(health::Actor actor);
  void RefreshSources();
  void CarryAnswers(const config::Upstream& next);
  void ApplyOneAgain(const std::string& name, health::Actor actor);

  rt::Loop& loop_;
  config::Config base_;
  const ClusterOptions options_;
  ClusterLinks& links_;
  Publisher& publisher_;
  StateStore& store_;
  Events& events_;
  SavedState state_;  // as it was saved last
  Discovered discovered_;
  std::string started_with_;  // its hash
  uint64_t reloads_ok_ = 0;
  uint64_t reloads_failed_ = 0;
  std::string tls_problem_;  // that was told last; empty: all is well
  rt::Notice changed_;
  std::unique_ptr<Members> members_;
};

}  // namespace rondo::control
