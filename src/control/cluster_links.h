// What the cluster asks of the prober and of discovery: one interface, so that tests of the cluster need neither
// network nor DNS. Control thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/cluster_view.h"
#include "rondo/config/config.h"

namespace rondo::control {

class ClusterLinks {
 public:
  virtual ~ClusterLinks() = default;

  // -- active health; answered by Cluster::OnCheck and OnWarmedUp, never inline --
  // Check it from now on, at once the first time. Called again when its upstream's settings changed. Only for
  // upstreams with a health_check, and not while it is in maintenance or draining.
  virtual void Watch(const UpstreamView& upstream, const BackendView& backend) = 0;
  // No check nor warm-up of it is reported any more.
  virtual void Unwatch(uint64_t serial) = 0;
  // It is suspect: check at once. No effect for one that is not watched.
  virtual void CheckNow(uint64_t serial) = 0;
  virtual void WarmUp(const UpstreamView& upstream, const BackendView& backend) = 0;

  // -- discovery; answered by Cluster::OnAddresses, never inline --
  // All upstreams with sources; differs from the last call by little.
  virtual void SetSources(const std::vector<const config::Upstream*>& upstreams) = 0;
  virtual void ResolveNow(const std::string& upstream) = 0;

  // -- the process around --
  // What a reload changed outside of upstreams: log level, access log, admin token. An error refuses the reload;
  // called before anything else is changed, and then no other error may follow.
  // Opens what `next` listens on beyond `now`, all or nothing, and keeps it for the next publication.
  virtual absl::Status PrepareReload(const config::Config& now, const config::Config& next) = 0;
  // The prepared change takes effect.
  virtual void CommitReload(const config::Config& now, const config::Config& next) = 0;
};

}  // namespace rondo::control
