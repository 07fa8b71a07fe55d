// Calls about whole upstreams.
#include <algorithm>

#include "control/admin_call.h"
#include "control/admin_views.h"

namespace rondo::control {
namespace {

const config::Upstream* FindSettings(const config::Config& config, std::string_view name) {
  const auto it = std::find_if(config.upstreams.begin(), config.upstreams.end(),
                               [&](const config::Upstream& each) { return each.name == name; });
  return it == config.upstreams.end() ? nullptr : &*it;
}

}  // namespace

AdminReply GetUpstreams(AdminCall& call) {
  const config::Config exported = call.cluster().Exported();
  AdminReply reply;
  reply.etag = call.cluster().revision();
  JsonWriter json(reply.body);
  json.BeginObject();
  json.Key("upstreams").BeginArray();
  for (const UpstreamView* upstream : call.cluster().Upstreams()) {
    WriteUpstreamView(call.context, *upstream, FindSettings(exported, upstream->settings.name),
                      call.request.moment, json);
  }
  json.EndArray();
  json.EndObject();
  reply.body.push_back('\n');
  return reply;
}

AdminReply GetUpstream(AdminCall& call) {
  const UpstreamView* upstream = call.cluster().FindUpstream(call.upstream());
  if (upstream == nullptr) return NoUpstream(call.upstream());
  const config::Config exported = call.cluster().Exported();
  AdminReply reply;
  reply.etag = call.cluster().revision();
  JsonWriter json(reply.body);
  WriteUpstreamView(call.context, *upstream, FindSettings(exported, call.upstream()),
                    call.request.moment, json);
  reply.body.push_back('\n');
  return reply;
}

AdminReply PutUpstream(AdminCall& call) {
  IfMatch if_match;
  if (auto wrong = CheckJsonBody(call)) return *wrong;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  config::Parsed<config::Upstream> parsed =
      config::ParseUpstreamJson(call.upstream(), call.request.body, call.context.config_path);
  if (!parsed.value) return ErrorsReply(parsed.errors);
  const config::Config exported = call.cluster().Exported();
  const auto unknown = config::KeepSecrets(FindSettings(exported, call.upstream()), *parsed.value);
  if (!unknown.empty()) return ErrorsReply(unknown);
  const Result result = call.cluster().PutUpstream(std::move(*parsed.value), if_match);
  if (!result.ok()) return RefusedReply(result);
  AdminReply reply = GetUpstream(call);
  if (reply.status == 200) reply.status = result.status;
  if (reply.status == 201) reply.location = "/v1/upstreams/" + EncodeSegment(call.upstream());
  return reply;
}

AdminReply DeleteUpstream(AdminCall& call) {
  IfMatch if_match;
  if (auto wrong = CheckNoBody(call)) return *wrong;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  if (call.cluster().FindUpstream(call.upstream()) == nullptr) return NoUpstream(call.upstream());
  const Result result = call.cluster().DeleteUpstream(call.upstream(), if_match);
  if (!result.ok()) return RefusedReply(result);
  AdminReply reply;
  reply.status = result.status;
  reply.etag = result.revision;
  JsonWriter json(reply.body);
  json.BeginObject();
  json.Key("upstream").Text(call.upstream());
  json.Key("removed").Bool(call.cluster().FindUpstream(call.upstream()) == nullptr);
  json.EndObject();
  reply.body.push_back('\n');
  return reply;
}

}  // namespace rondo::control
