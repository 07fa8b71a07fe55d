// Calls about the process: is it alive and ready, its numbers, its events, its description.
#include <algorithm>
#include <string>

#include "control/admin_call.h"
#include "control/admin_views.h"
#include "control/events.h"
#include "control/openapi.h"
#include "rondo/config/scalar.h"
#include "rondo/health/state.h"

namespace rondo::control {
namespace {

AdminReply NotReady(std::string_view message) { return ErrorReply(503, "not_ready", message); }

bool HasBackendUp(const UpstreamView& upstream) {
  return std::any_of(upstream.backends.begin(), upstream.backends.end(), [](const auto& backend) {
    return backend->machine.state() == health::State::kUp;
  });
}

AdminReply Plain(std::string_view body) {
  AdminReply reply;
  reply.body = body;
  return reply;
}

}  // namespace

AdminReply GetHealth(AdminCall&) { return Plain("{\"ok\":true}\n"); }

AdminReply GetReady(AdminCall& call) {
  if (call.context.process.Stopping()) return NotReady("the process is stopping");
  for (const auto& [name, value] : call.target.query) {
    if (name != "upstream") continue;
    const UpstreamView* upstream = call.cluster().FindUpstream(value);
    if (upstream == nullptr) return NoUpstream(value);
    if (!HasBackendUp(*upstream))
      return NotReady("the upstream " + config::Quoted(value) + " has no backend up");
  }
  const std::string* all = call.Query("all");
  if (all != nullptr && *all != "false") {
    for (const UpstreamView* upstream : call.cluster().Upstreams()) {
      if (upstream->removing || HasBackendUp(*upstream)) continue;
      return NotReady("the upstream " + config::Quoted(upstream->settings.name) +
                      " has no backend up");
    }
  }
  return Plain("{\"ready\":true}\n");
}

AdminReply GetStatus(AdminCall& call) {
  const AdminStatus status = call.context.process.Status();
  const std::vector<const UpstreamView*> upstreams = call.cluster().Upstreams();
  AdminReply reply;
  reply.etag = call.cluster().revision();
  JsonWriter json(reply.body);
  json.BeginObject();
  json.Key("version").Text(status.version);
  json.Key("commit").Text(status.commit);
  json.Key("uptime_seconds").Decimal(std::chrono::duration<double>(status.uptime).count());
  json.Key("revision").Number(call.cluster().revision());
  json.Key("config_file").Text(call.context.config_path);
  json.Key("stopping").Bool(call.context.process.Stopping());
  json.Key("engine").Text(status.engine);
  json.Key("engine_reason").Text(status.engine_reason);
  json.Key("workers").Number(status.workers);
  json.Key("connections").Number(status.connections);
  json.Key("requests").Number(status.requests);
  json.Key("requests_per_second").Decimal(status.requests_per_second);
  json.Key("latency");
  WriteLatency(status.p50, status.p95, status.p99, json);
  json.Key("error_rate").Decimal(status.error_rate);
  json.Key("upstreams").Number(upstreams.size());
  json.Key("backends");
  WriteStateCounts(upstreams, json);
  json.Key("reloads").BeginObject();
  json.Key("ok").Number(call.cluster().reloads_ok());
  json.Key("failed").Number(call.cluster().reloads_failed());
  json.EndObject();
  json.EndObject();
  reply.body.push_back('\n');
  return reply;
}

AdminReply GetEvents(AdminCall& call) {
  // A browser's EventSource says where it was in a field; by hand a parameter is easier.
  const std::string* after = call.Query("after");
  const std::string_view text =
      after != nullptr ? std::string_view(*after) : call.request.last_event_id;
  AdminReply reply;
  reply.content_type = "text/event-stream";
  reply.events_after = call.context.events.last();
  if (text.empty()) return reply;
  const std::optional<int64_t> id = config::ParseWhole(text);
  if (!id && after != nullptr) {
    return ErrorReply(400, "invalid",
                      "after=" + config::Quoted(text) + " is not the id of an event", "after");
  }
  // An id that cannot be ours is one we do not know: the stream says so and begins with what comes.
  reply.events_after = id ? static_cast<uint64_t>(*id) : 0;
  return reply;
}

AdminReply GetMetrics(AdminCall& call) {
  AdminReply reply;
  reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
  call.context.process.WriteMetrics(reply.body);
  return reply;
}

AdminReply GetOpenApi(AdminCall&) { return Plain(OpenApiJson()); }

AdminReply GetHome(AdminCall&) {
  AdminReply reply;
  reply.content_type = "text/html; charset=utf-8";
  reply.body =
      "<!doctype html>\n<html lang=\"en\">\n<meta "
      "charset=\"utf-8\">\n<title>Rondo</title>\n<h1>Rondo</h1>\n"
      "<p>This is the admin API.</p>\n<ul>\n"
      "<li><a href=\"/v1/status\">status</a></li>\n"
      "<li><a href=\"/v1/upstreams\">upstreams and their backends</a></li>\n"
      "<li><a href=\"/v1/config\">configuration</a></li>\n"
      "<li><a href=\"/metrics\">metrics</a></li>\n"
      "<li><a href=\"/v1/openapi.json\">all calls, as OpenAPI 3.1</a></li>\n"
      "</ul>\n</html>\n";
  return reply;
}

}  // namespace rondo::control
