#include "control/admin_call.h"

#include <algorithm>

#include "control/json_writer.h"
#include "rondo/config/scalar.h"
#include "rondo/http/field.h"

namespace rondo::control {
namespace {

void WriteError(std::string_view code, std::string_view message, std::string_view field,
                JsonWriter& json) {
  json.Key("code").Text(code);
  json.Key("message").Text(message);
  if (!field.empty()) json.Key("field").Text(field);
}

constexpr std::string_view kJson = "application/json";

AdminReply WrongType(std::string_view extra) {
  std::string message = "the body of this call must come as Content-Type: application/json";
  if (!extra.empty()) message.append(" or ").append(extra);
  return ErrorReply(415, "unsupported_media_type", message);
}

std::string_view TrimBlank(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

}  // namespace

bool IsMediaType(std::string_view content_type, std::string_view wanted) {
  return http::EqualsIgnoreCase(http::TrimOws(content_type.substr(0, content_type.find(';'))),
                                wanted);
}

AdminReply ErrorReply(int status, std::string_view code, std::string_view message,
                      std::string_view field) {
  AdminReply reply;
  reply.status = status;
  JsonWriter json(reply.body);
  json.BeginObject();
  json.Key("error").BeginObject();
  WriteError(code, message, field, json);
  json.EndObject();
  json.EndObject();
  reply.body.push_back('\n');
  return reply;
}

AdminReply ErrorsReply(const std::vector<config::Error>& errors) {
  if (errors.empty()) return ErrorReply(400, "invalid", "the body is not valid");
  // One that names a field says more than one about what is missing because of it.
  const auto named = std::find_if(errors.begin(), errors.end(),
                                  [](const config::Error& each) { return !each.field.empty(); });
  const config::Error& shown = named == errors.end() ? errors.front() : *named;
  AdminReply reply;
  reply.status = 400;
  JsonWriter json(reply.body);
  json.BeginObject();
  json.Key("error").BeginObject();
  WriteError("invalid", config::FormatFieldError(shown), shown.field, json);
  json.EndObject();
  if (errors.size() > 1) {
    json.Key("errors").BeginArray();
    for (const config::Error& error : errors) {
      json.BeginObject();
      WriteError("invalid", error.message, error.field, json);
      if (error.line > 0) {
        json.Key("line").Number(error.line);
        json.Key("column").Number(error.col);
      }
      json.EndObject();
    }
    json.EndArray();
  }
  json.EndObject();
  reply.body.push_back('\n');
  return reply;
}

AdminReply RefusedReply(const Result& result) {
  AdminReply reply = ErrorReply(result.status, result.code, result.message, result.field);
  reply.etag = result.revision;
  return reply;
}

AdminReply NoUpstream(std::string_view name) {
  return ErrorReply(404, "no_such_upstream", "there is no upstream " + config::Quoted(name));
}

AdminReply NoBackend(std::string_view upstream, std::string_view id) {
  return ErrorReply(
      404, "no_such_backend",
      "the upstream " + config::Quoted(upstream) + " has no backend " + config::Quoted(id));
}

std::optional<AdminReply> ReadIfMatch(const AdminCall& call, IfMatch& if_match) {
  std::string_view rest = call.request.if_match;
  if (rest.empty() || http::TrimOws(rest) == "*") return std::nullopt;
  std::string_view member;
  while (http::NextListMember(&rest, &member)) {
    // What was sent as an ETag comes back as it was: digits in quotes.
    const bool quoted = member.size() > 2 && member.starts_with('"') && member.ends_with('"');
    const auto revision =
        quoted ? config::ParseWhole(member.substr(1, member.size() - 2)) : std::optional<int64_t>();
    // A tag that is none of ours matches nothing; of several, one that matches is enough.
    const uint64_t seen = revision ? static_cast<uint64_t>(*revision) : 0;
    if (!if_match || seen == call.cluster().revision()) if_match = seen;
  }
  return std::nullopt;
}

std::optional<AdminReply> CheckJsonBody(const AdminCall& call, std::string_view extra) {
  const std::string_view type = call.request.content_type;
  if (!IsMediaType(type, kJson) && (extra.empty() || !IsMediaType(type, extra)))
    return WrongType(extra);
  return std::nullopt;
}

std::optional<AdminReply> CheckNoBody(const AdminCall& call) {
  const std::string_view type = call.request.content_type;
  if (!type.empty() && !IsMediaType(type, kJson)) return WrongType({});
  const std::string_view body = TrimBlank(call.request.body);
  if (body.empty()) return std::nullopt;
  if (type.empty()) return WrongType({});
  const bool nothing = body.size() >= 2 && body.front() == '{' && body.back() == '}' &&
                       TrimBlank(body.substr(1, body.size() - 2)).empty();
  if (nothing) return std::nullopt;
  return ErrorReply(400, "invalid", "this call takes no body");
}

std::optional<AdminReply> ReadDuration(const AdminCall& call, std::string_view name, Duration max,
                                       std::optional<Duration>& duration) {
  const std::string* text = call.Query(name);
  if (text == nullptr) return std::nullopt;
  const std::optional<Duration> parsed = config::ParseDuration(*text);
  if (!parsed || *parsed > max) {
    return ErrorReply(400, "invalid",
                      std::string(name) + "=" + config::Quoted(*text) +
                          " is not a duration from 0 to " + config::FormatDuration(max) +
                          "; right would be 30s",
                      name);
  }
  duration = *parsed;
  return std::nullopt;
}

std::optional<AdminReply> ReadWait(const AdminCall& call, std::string_view word, bool& wait) {
  const std::string* text = call.Query("wait");
  wait = text != nullptr && (*text == word || *text == "true");
  if (text == nullptr || wait || *text == "false") return std::nullopt;
  std::string message =
      "wait=" + config::Quoted(*text) + " is not understood; right would be wait=";
  message += word;
  return ErrorReply(400, "invalid", message, "wait");
}

}  // namespace rondo::control
