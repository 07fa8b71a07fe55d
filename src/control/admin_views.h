// Upstreams, backends and drains as the admin API shows them.
#pragma once

#include <string_view>

#include "control/admin_api.h"
#include "control/cluster.h"
#include "control/json_writer.h"

namespace rondo::control {

void WriteBackendView(const AdminContext& context, const UpstreamView& upstream,
                      const BackendView& backend, const AdminMoment& moment, JsonWriter& json);
// {"backends": [...]}, the shape that PUT takes.
void WriteBackendViews(const AdminContext& context, const UpstreamView& upstream,
                       const AdminMoment& moment, JsonWriter& json);
// `settings`: as it is configured, without what discovery found; null where it is being deleted.
void WriteUpstreamView(const AdminContext& context, const UpstreamView& upstream,
                       const config::Upstream* settings, const AdminMoment& moment,
                       JsonWriter& json);
void WriteDrain(const AdminContext& context, const UpstreamView& upstream,
                const BackendView& backend, const AdminMoment& moment, JsonWriter& json);

// The reply with one backend, and the revision.
AdminReply BackendReply(const AdminContext& context, const UpstreamView& upstream,
                        const BackendView& backend, const AdminMoment& moment, int status);

std::string_view DrainStepName(DrainStep step);
double Milliseconds(Duration duration);
// {"p50": ms, "p95": ms, "p99": ms}, with null where nothing is known.
void WriteLatency(const std::optional<Duration>& p50, const std::optional<Duration>& p95,
                  const std::optional<Duration>& p99, JsonWriter& json);
// {"up": 3, "down": 1}: only states that occur.
void WriteStateCounts(const std::vector<const UpstreamView*>& upstreams, JsonWriter& json);

}  // namespace rondo::control
