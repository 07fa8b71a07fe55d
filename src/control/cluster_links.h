// What the cluster asks of the prober and of discovery: one interface, so that tests of the cluster
// need neither network nor DNS. Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "control/cluster_view.h"
#include "control/tls_files.h"
#include "rondo/config/config.h"

namespace rondo::control {

class ClusterLinks {
 public:
  virtual ~ClusterLinks() = default;

  // -- active health; answered by Cluster::OnCheck and OnWarmedUp, never inline --
  // Check it from now on, at once the first time; called again when its upstream's settings
  // changed. Only for upstreams with a health_check or a warm_up.
  virtual void Watch(const UpstreamView& upstream, const BackendView& backend) = 0;
  // It is held: no checks, no warm-up, and nothing is reported of those in flight. Resume checks at
  // once.
  virtual void Pause(uint64_t serial) = 0;
  virtual void Resume(uint64_t serial) = 0;
  // It is gone. Like all of these, no effect for one that is not watched.
  virtual void Unwatch(uint64_t serial) = 0;
  // It is suspect: check it now.
  virtual void CheckNow(uint64_t serial) = 0;
  virtual void WarmUp(const UpstreamView& upstream, const BackendView& backend) = 0;

  // -- discovery; answered by Cluster::OnAddresses, never inline --
  // All upstreams with sources; differs from the last call by little.
  virtual void SetSources(const std::vector<const config::Upstream*>& upstreams) = 0;
  virtual void ResolveNow(const std::string& upstream) = 0;
  // What a source of the last SetSources has given by now; null: nothing yet.
  virtual const std::vector<config::Backend>* Known(std::string_view upstream,
                                                    size_t source) const = 0;

  // -- TLS; without certificates around, as in simulations, all of it is plain --
  // Reads and checks the files that are wanted, and keeps what comes of it until CommitTls or
  // DropTls. With errors nothing is kept.
  virtual TlsProblems PrepareTls(const TlsWanted&) { return {}; }
  // What was prepared takes effect; the publication follows. Whether it differs from before.
  virtual bool CommitTls() { return false; }
  virtual void DropTls() {}
  // In force; null: plain.
  virtual std::shared_ptr<const tls::ServerSetup> ServerTls(std::string_view) const {
    return nullptr;
  }
  virtual std::shared_ptr<const tls::ClientSetup> ClientTls(const config::Upstream&) const {
    return nullptr;
  }

  // -- the process around, for reloads and PUT config --
  // What clients' addresses and keys are spread by in the tables of protection: always the same.
  virtual uint64_t ProtectSeed() const { return 0; }
  // Whether a change of this key (config::UnreloadableChanges) can be applied nevertheless.
  virtual bool CanApply(std::string_view key) const = 0;
  // Opens what `next` listens on beyond `now`, all or nothing, and keeps it for the next
  // publication; checks whatever else may fail. An error refuses the reload, and nothing has
  // changed.
  virtual absl::Status PrepareConfig(const config::Config& now, const config::Config& next) = 0;
  // It will not be used: something else failed.
  virtual void DropPrepared() = 0;
  // The prepared change takes effect: log level, token, sockets. The publication follows.
  virtual void CommitConfig(const config::Config& now, const config::Config& next) = 0;
};

}  // namespace rondo::control
