// Calls about the configuration as a whole.
#include <string>

#include "control/admin_call.h"
#include "control/json_writer.h"
#include "rondo/config/write.h"

namespace rondo::control {
namespace {

constexpr std::string_view kYaml = "application/yaml";

bool IsJson(const AdminCall& call) {
  // Both were admitted before; what is not YAML is JSON.
  return !IsMediaType(call.request.content_type, kYaml);
}

// The body as the text of a configuration file; or an answer where it is not one. Secrets that a
// caller got hidden and sent back are those of the configuration in force.
std::optional<AdminReply> ReadConfigBody(const AdminCall& call, std::string& yaml) {
  if (auto wrong = CheckJsonBody(call, kYaml)) return wrong;
  if (!IsJson(call)) {
    yaml = call.request.body;
    return std::nullopt;
  }
  config::Parsed<config::Config> parsed =
      config::ParseConfigJson(call.request.body, call.context.config_path);
  if (!parsed.value) return ErrorsReply(parsed.errors);
  // What GET shows is what comes back.
  const auto unknown = config::KeepSecrets(call.cluster().Exported(), *parsed.value);
  if (!unknown.empty()) return ErrorsReply(unknown);
  yaml = config::WriteYaml(*parsed.value, config::Secrets::kShown);
  return std::nullopt;
}

AdminReply DoneReply(const Result& result) {
  AdminReply reply;
  reply.status = result.status;
  reply.etag = result.revision;
  JsonWriter json(reply.body);
  json.BeginObject();
  json.Key("ok").Bool(true);
  json.Key("revision").Number(result.revision);
  if (!result.message.empty()) json.Key("message").Text(result.message);
  json.EndObject();
  reply.body.push_back('\n');
  return reply;
}

}  // namespace

AdminReply GetConfig(AdminCall& call) {
  AdminReply reply;
  reply.etag = call.cluster().revision();
  reply.body = config::WriteConfigJson(call.cluster().Exported());
  if (!reply.body.ends_with('\n')) reply.body.push_back('\n');
  return reply;
}

AdminReply PutConfig(AdminCall& call) {
  IfMatch if_match;
  std::string yaml;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  if (auto wrong = ReadConfigBody(call, yaml)) return *wrong;
  const Result result = call.cluster().PutConfig(yaml, if_match);
  return result.ok() ? DoneReply(result) : RefusedReply(result);
}

AdminReply PostConfigCheck(AdminCall& call) {
  std::string yaml;
  if (auto wrong = ReadConfigBody(call, yaml)) return *wrong;
  const Result result = call.cluster().CheckConfig(yaml);
  return result.ok() ? DoneReply(result) : RefusedReply(result);
}

AdminReply PostReload(AdminCall& call) {
  IfMatch if_match;
  if (auto wrong = CheckNoBody(call)) return *wrong;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  const Result result = call.cluster().Reload(if_match);
  return result.ok() ? DoneReply(result) : RefusedReply(result);
}

AdminReply GetDiff(AdminCall& call) {
  AdminReply reply;
  reply.etag = call.cluster().revision();
  reply.body = OverlayToJson(call.cluster().overlay(), config::Secrets::kHidden);
  reply.body.push_back('\n');
  return reply;
}

AdminReply DeleteDiff(AdminCall& call) {
  IfMatch if_match;
  if (auto wrong = CheckNoBody(call)) return *wrong;
  if (auto wrong = ReadIfMatch(call, if_match)) return *wrong;
  const Result result = call.cluster().DropOverlay(if_match);
  return result.ok() ? DoneReply(result) : RefusedReply(result);
}

AdminReply GetExport(AdminCall& call) {
  AdminReply reply;
  reply.etag = call.cluster().revision();
  reply.content_type = kYaml;
  reply.body = config::WriteYaml(call.cluster().Exported(), config::Secrets::kHidden);
  return reply;
}

}  // namespace rondo::control
