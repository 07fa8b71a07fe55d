#include "control/admin_views.h"

#include <array>
#include <chrono>
#include <optional>
#include <vector>

#include "rondo/config/write.h"
#include "rondo/health/state.h"

namespace rondo::control {
namespace {

void WriteMilliseconds(const std::optional<Duration>& duration, JsonWriter& json) {
  if (duration) {
    json.Decimal(Milliseconds(*duration));
  } else {
    json.Null();
  }
}

// The last result of its checks and what it has been.
void WriteHealth(const health::Machine& machine, const AdminMoment& moment, JsonWriter& json) {
  json.Key("health").BeginObject();
  const std::optional<health::LastCheck>& last = machine.last_check();
  json.Key("passed");
  if (last) {
    json.Bool(last->passed);
  } else {
    json.Null();
  }
  json.Key("at");
  if (last) {
    json.Text(moment.Text(last->at));
  } else {
    json.Null();
  }
  json.Key("detail").Text(last ? std::string_view(last->detail) : "");
  json.Key("successes").Number(machine.successes());
  json.Key("failures").Number(machine.failures());
  json.Key("since").Text(moment.Text(machine.since()));
  json.EndObject();
}

void WriteHistory(const health::Machine& machine, const AdminMoment& moment, JsonWriter& json) {
  json.Key("history").BeginArray();
  for (size_t i = 0; i < machine.history_size(); ++i) {
    const health::Change& change = machine.history(i);
    json.BeginObject();
    json.Key("state").Text(health::StateName(change.state));
    json.Key("reason").Text(change.reason);
    json.Key("since").Text(moment.Text(change.since));
    json.Key("actor").Text(health::ActorName(change.actor));
    json.EndObject();
  }
  json.EndArray();
}

}  // namespace

double Milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::string_view DrainStepName(DrainStep step) {
  switch (step) {
    case DrainStep::kNone:
      return "none";
    case DrainStep::kAnnounced:
      return "announced";
    case DrainStep::kWaiting:
      return "waiting";
    case DrainStep::kCutting:
      return "cutting";
    case DrainStep::kDrained:
      return "drained";
    case DrainStep::kLeaving:
      return "leaving";
  }
  return "none";
}

void WriteLatency(const std::optional<Duration>& p50, const std::optional<Duration>& p95,
                  const std::optional<Duration>& p99, JsonWriter& json) {
  json.BeginObject();
  json.Key("p50");
  WriteMilliseconds(p50, json);
  json.Key("p95");
  WriteMilliseconds(p95, json);
  json.Key("p99");
  WriteMilliseconds(p99, json);
  json.EndObject();
}

void WriteBackendView(const AdminContext& context, const UpstreamView& upstream,
                      const BackendView& backend, const AdminMoment& moment, JsonWriter& json) {
  const health::Machine& machine = backend.machine;
  const AdminTraffic traffic = context.process.Traffic(backend);
  const uint32_t in_flight = backend.shared->in_flight.load(std::memory_order_relaxed);
  json.BeginObject();
  json.Key("id").Text(backend.id);
  json.Key("address").Text(backend.settings.address.ToString());
  json.Key("weight").Number(backend.settings.weight);
  json.Key("max_connections").Number(backend.settings.max_connections);
  json.Key("backup").Bool(backend.settings.backup);
  json.Key("state").Text(health::StateName(machine.state()));
  json.Key("reason").Text(machine.reason());
  json.Key("since").Text(moment.Text(machine.since()));
  json.Key("actor").Text(health::ActorName(machine.actor()));
  WriteHealth(machine, moment, json);
  json.Key("in_flight").Number(in_flight);
  json.Key("connections").BeginObject();
  // A backend connection carries one request or one tunnel at a time.
  json.Key("active").Number(in_flight);
  json.Key("idle").Number(traffic.idle);
  json.EndObject();
  json.Key("requests").Number(traffic.requests);
  json.Key("failures").Number(traffic.failures);
  json.Key("latency");
  WriteLatency(traffic.p50, traffic.p95, traffic.p99, json);
  json.Key("source").Text(OriginName(backend.origin));
  json.Key("changed").Bool(backend.changed);
  json.Key("removing").Bool(backend.removing);
  json.Key("drain");
  if (backend.drain_step == DrainStep::kNone) {
    json.Null();
  } else {
    WriteDrain(context, upstream, backend, moment, json);
  }
  WriteHistory(machine, moment, json);
  json.EndObject();
}

void WriteBackendViews(const AdminContext& context, const UpstreamView& upstream,
                       const AdminMoment& moment, JsonWriter& json) {
  json.BeginObject();
  json.Key("backends").BeginArray();
  for (const auto& backend : upstream.backends)
    WriteBackendView(context, upstream, *backend, moment, json);
  json.EndArray();
  json.EndObject();
}

void WriteUpstreamView(const AdminContext& context, const UpstreamView& upstream,
                       const config::Upstream* settings, const AdminMoment& moment,
                       JsonWriter& json) {
  json.BeginObject();
  json.Key("name").Text(upstream.settings.name);
  json.Key("source").Text(OriginName(upstream.origin));
  json.Key("changed").Bool(upstream.changed);
  json.Key("removing").Bool(upstream.removing);
  json.Key("resolving").Bool(upstream.expecting);
  json.Key("states");
  WriteStateCounts({&upstream}, json);
  json.Key("config");
  if (settings != nullptr) {
    json.Raw(config::WriteUpstreamJson(*settings, config::Secrets::kHidden));
  } else {
    json.Null();
  }
  json.Key("backends").BeginArray();
  for (const auto& backend : upstream.backends)
    WriteBackendView(context, upstream, *backend, moment, json);
  json.EndArray();
  json.EndObject();
}

void WriteDrain(const AdminContext& context, const UpstreamView& upstream,
                const BackendView& backend, const AdminMoment& moment, JsonWriter& json) {
  const DrainProgress progress = context.cluster.Drain(backend).value_or(DrainProgress{});
  const AdminTraffic traffic = context.process.Traffic(backend);
  json.BeginObject();
  json.Key("upstream").Text(upstream.settings.name);
  json.Key("backend").Text(backend.id);
  json.Key("state").Text(health::StateName(backend.machine.state()));
  json.Key("step").Text(DrainStepName(progress.step));
  json.Key("done").Bool(progress.done());
  json.Key("removing").Bool(backend.removing);
  json.Key("in_flight").Number(progress.in_flight);
  // Two counts that are read one after the other: the part is never shown larger than the whole.
  const uint64_t tunnels = std::min<uint64_t>(traffic.tunnels, progress.in_flight);
  json.Key("requests").Number(progress.in_flight - tunnels);
  json.Key("tunnels").Number(tunnels);
  json.Key("sticky").Bool(progress.sticky);
  json.Key("sticky_requests_10s").Number(traffic.sticky_recent);
  json.Key("since");
  if (progress.step == DrainStep::kNone) {
    json.Null();
  } else {
    json.Text(moment.Text(backend.drain_since));
  }
  json.Key("time_left_ms")
      .Number(std::chrono::ceil<std::chrono::milliseconds>(progress.left).count());
  json.EndObject();
}

AdminReply BackendReply(const AdminContext& context, const UpstreamView& upstream,
                        const BackendView& backend, const AdminMoment& moment, int status) {
  AdminReply reply;
  reply.status = status;
  reply.etag = context.cluster.revision();
  JsonWriter json(reply.body);
  WriteBackendView(context, upstream, backend, moment, json);
  reply.body.push_back('\n');
  return reply;
}

void WriteStateCounts(const std::vector<const UpstreamView*>& upstreams, JsonWriter& json) {
  std::array<uint64_t, health::kStateCount> counts{};
  for (const UpstreamView* upstream : upstreams) {
    for (const auto& backend : upstream->backends)
      ++counts[static_cast<size_t>(backend->machine.state())];
  }
  json.BeginObject();
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) json.Key(health::StateName(static_cast<health::State>(i))).Number(counts[i]);
  }
  json.EndObject();
}

}  // namespace rondo::control
