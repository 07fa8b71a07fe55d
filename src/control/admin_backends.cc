// Calls about the backends of one upstream.
#include <algorithm>

#include "control/admin_call.h"
#include "control/admin_views.h"

namespace rondo::control {
namespace {

constexpr Duration kDrainMax = std::chrono::hours(24);

AdminWait WaitFor(AdminWait::For what, const AdminCall& call, const BackendView& backend) {
  AdminWait wait;
  wait.what = what;
  wait.upstream = call.upstream();
  wait.id = backend.id;
  wait.serial = backend.serial();
  return wait;
}

// By itself a call waits a little longer than the drain may take.
Duration DrainWaitDefault(const AdminCall& call, const BackendView& backend) {
  const auto progress = call.cluster().Drain(backend);
  const Duration left = progress ? progress->left + std::chrono::seconds(5) : Duration::zero();
  return std::min(std::max(left, AdminApi::kWaitDefault), AdminApi::kWaitMax);
}

AdminReply Removed(const AdminCall& call, std::string_view id) {
  AdminReply reply;
  reply.etag = call.cluster().revision();
  JsonWriter json(reply.body);
  json.BeginObject();
  json.Key("upstream").Text(call.upstream());
  json.Key("backend").Text(id);
  json.Key("removed").Bool(true);
  json.EndObject();
  reply.body.push_back('\n');
  return reply;
}

// What a backend is shown with beyond what can be written.
constexpr std::string_view kShown[] = {
    "state",    "reason",  "since",  "actor",   "health",   "in_flight", "connections", "requests",
    "failures", "latency", "source", "changed", "removing", "drain",     "history"};

}  // namespace

AdminReply GetBackends(AdminCall& call) {
  const UpstreamView* upstream = call.cluster().FindUpstream(call.upstream());
  if (upstream == nullptr) return NoUpstream(call.upstream());
  AdminReply reply;
  reply.etag = call.cluster().revision();
  JsonWriter json(reply.body);
  WriteBackendViews(call.context, *upstream, call.request.moment, json);
  reply.body.push_back('\n');
  return reply;
}

AdminReply PostBackend(AdminCall& call) {
  IfMatch if_match;
  std::optional<Duration> timeout;
  bool wait = false;
  if (auto wrong = CheckJsonBody(call)) return *wrong;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  if (auto wrong = ReadWait(call, "up", wait)) return *wrong;
  if (auto wrong = ReadDuration(call, "timeout", AdminApi::kWaitMax, timeout)) return *wrong;
  if (call.cluster().FindUpstream(call.upstream()) == nullptr) return NoUpstream(call.upstream());
  config::Parsed<config::Backend> parsed = config::ParseBackendJson(call.request.body);
  if (!parsed.value) return ErrorsReply(parsed.errors);
  const Result result =
      call.cluster().AddBackend(call.upstream(), std::move(*parsed.value), if_match);
  if (!result.ok()) return RefusedReply(result);
  const UpstreamView* upstream = call.cluster().FindUpstream(call.upstream());
  const BackendView* backend = call.cluster().FindBackend(call.upstream(), result.id);
  if (upstream == nullptr || backend == nullptr) return NoBackend(call.upstream(), result.id);
  AdminReply reply =
      BackendReply(call.context, *upstream, *backend, call.request.moment, result.status);
  reply.location =
      "/v1/upstreams/" + EncodeSegment(call.upstream()) + "/backends/" + EncodeSegment(backend->id);
  if (wait) {
    reply.wait = WaitFor(AdminWait::For::kUp, call, *backend);
    reply.wait->timeout = timeout.value_or(AdminApi::kWaitDefault);
    reply.wait->status = reply.status;
    reply.wait->location = reply.location;
  }
  return reply;
}

AdminReply PutBackends(AdminCall& call) {
  IfMatch if_match;
  if (auto wrong = CheckJsonBody(call)) return *wrong;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  if (call.cluster().FindUpstream(call.upstream()) == nullptr) return NoUpstream(call.upstream());
  config::Parsed<std::vector<config::Backend>> parsed =
      config::ParseBackendsJson(call.request.body, kShown);
  if (!parsed.value) return ErrorsReply(parsed.errors);
  const Result result =
      call.cluster().PutBackends(call.upstream(), std::move(*parsed.value), if_match);
  if (!result.ok()) return RefusedReply(result);
  AdminReply reply = GetBackends(call);
  reply.status = result.status;
  return reply;
}

AdminReply GetBackend(AdminCall& call) {
  const UpstreamView* upstream = call.cluster().FindUpstream(call.upstream());
  if (upstream == nullptr) return NoUpstream(call.upstream());
  const BackendView* backend = call.cluster().FindBackend(call.upstream(), call.backend());
  if (backend == nullptr) return NoBackend(call.upstream(), call.backend());
  return BackendReply(call.context, *upstream, *backend, call.request.moment, 200);
}

AdminReply PatchBackend(AdminCall& call) {
  IfMatch if_match;
  std::optional<Duration> drain;
  if (auto wrong = CheckJsonBody(call)) return *wrong;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  if (auto wrong = ReadDuration(call, "drain", kDrainMax, drain)) return *wrong;
  if (call.cluster().FindUpstream(call.upstream()) == nullptr) return NoUpstream(call.upstream());
  if (call.cluster().FindBackend(call.upstream(), call.backend()) == nullptr) {
    return NoBackend(call.upstream(), call.backend());
  }
  const config::Parsed<config::BackendPatch> parsed =
      config::ParseBackendPatchJson(call.request.body);
  if (!parsed.value) return ErrorsReply(parsed.errors);
  const Result result =
      call.cluster().PatchBackend(call.upstream(), call.backend(), *parsed.value, if_match, drain);
  if (!result.ok()) return RefusedReply(result);
  AdminReply reply = GetBackend(call);
  if (reply.status == 200) reply.status = result.status;
  return reply;
}

AdminReply DeleteBackend(AdminCall& call) {
  IfMatch if_match;
  std::optional<Duration> timeout;
  std::optional<Duration> drain;
  bool wait = false;
  if (auto wrong = CheckNoBody(call)) return *wrong;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  if (auto wrong = ReadWait(call, "gone", wait)) return *wrong;
  if (auto wrong = ReadDuration(call, "timeout", AdminApi::kWaitMax, timeout)) return *wrong;
  if (auto wrong = ReadDuration(call, "drain", kDrainMax, drain)) return *wrong;
  if (call.cluster().FindUpstream(call.upstream()) == nullptr) return NoUpstream(call.upstream());
  const BackendView* backend = call.cluster().FindBackend(call.upstream(), call.backend());
  if (backend == nullptr) return NoBackend(call.upstream(), call.backend());
  const uint64_t serial = backend->serial();
  const std::string id = backend->id;
  const Result result = call.cluster().RemoveBackend(call.upstream(), id, drain, if_match);
  if (!result.ok()) return RefusedReply(result);
  const UpstreamView* upstream = call.cluster().FindUpstream(call.upstream());
  backend = call.cluster().FindSerial(serial);
  if (upstream == nullptr || backend == nullptr) return Removed(call, id);
  AdminReply reply =
      BackendReply(call.context, *upstream, *backend, call.request.moment, result.status);
  if (wait) {
    reply.wait = WaitFor(AdminWait::For::kRemoved, call, *backend);
    reply.wait->timeout = timeout.value_or(DrainWaitDefault(call, *backend));
  }
  return reply;
}

AdminReply GetDrain(AdminCall& call) {
  std::optional<Duration> timeout;
  bool wait = false;
  if (auto wrong = ReadWait(call, "done", wait)) return *wrong;
  if (auto wrong = ReadDuration(call, "timeout", AdminApi::kWaitMax, timeout)) return *wrong;
  const UpstreamView* upstream = call.cluster().FindUpstream(call.upstream());
  if (upstream == nullptr) return NoUpstream(call.upstream());
  const BackendView* backend = call.cluster().FindBackend(call.upstream(), call.backend());
  if (backend == nullptr) return NoBackend(call.upstream(), call.backend());
  const auto progress = call.cluster().Drain(*backend);
  if (wait && !progress) {
    return ErrorReply(409, "not_draining",
                      "the backend does not drain: there is nothing to wait for");
  }
  AdminReply reply;
  reply.etag = call.cluster().revision();
  JsonWriter json(reply.body);
  WriteDrain(call.context, *upstream, *backend, call.request.moment, json);
  reply.body.push_back('\n');
  if (wait) {
    reply.wait = WaitFor(AdminWait::For::kDrained, call, *backend);
    reply.wait->timeout = timeout.value_or(DrainWaitDefault(call, *backend));
  }
  return reply;
}

}  // namespace rondo::control
