#include <string_view>

#include "control/explain_request.h"
#include "control/json_writer.h"
#include "rondo/config/edit.h"
#include "rondo/config/write.h"
#include "rondo/control/explain.h"

namespace rondo::control {
namespace {

void OptionalText(std::string_view name, std::string_view text, JsonWriter& json) {
  if (!text.empty()) json.Key(name).Text(text);
}

void WriteTried(const Explanation& explanation, JsonWriter& json) {
  json.Key("routes").BeginArray();
  for (const route::RouteTried& tried : explanation.match.tried) {
    const config::SourceMark& where = explanation.listener->routes[tried.route].where;
    json.BeginObject();
    json.Key("route").Number(tried.route + 1);
    if (where.line > 0) json.Key("line").Number(static_cast<uint64_t>(where.line));
    json.Key("matched").Bool(tried.matched());
    json.Key("failed").BeginArray();
    for (const route::FailedPart& part : tried.failed) {
      json.BeginObject();
      json.Key("part").Text(route::MatchPartName(part.part));
      OptionalText("name", part.name, json);
      json.Key("wanted").Text(part.wanted);
      json.Key("found").Text(part.found);
      json.Key("message").Text(part.Sentence());
      json.EndObject();
    }
    json.EndArray();
    json.EndObject();
  }
  json.EndArray();
}

std::string_view StickyName(StickyState state) {
  switch (state) {
    case StickyState::kOff:
      return "off";
    case StickyState::kNone:
      return "no_cookie";
    case StickyState::kForeign:
      return "foreign_cookie";
    case StickyState::kGone:
      return "backend_gone";
    case StickyState::kOurs:
      return "backend";
  }
  return {};
}

void WriteNow(const std::optional<BackendNow>& now, JsonWriter& json) {
  if (!now) return;
  json.Key("state").Text(now->state);
  json.Key("reason").Text(now->reason);
  json.Key("eligible").Bool(now->eligible);
}

void WriteUpstreams(const Explanation& explanation, const BackendsNow& now, JsonWriter& json) {
  json.Key("upstreams").BeginArray();
  for (const ExplainUpstream& choice : explanation.upstreams) {
    json.BeginObject();
    json.Key("name").Text(choice.upstream->name);
    json.Key("weight").Number(choice.weight);
    json.Key("weights").Number(explanation.weights);
    json.Key("taken");
    if (choice.taken) {
      json.Bool(*choice.taken);
    } else {
      json.Null();
    }
    json.Key("balance").Text(balance::PolicyName(choice.upstream->balance));
    json.Key("protocol").Text(config::ProtocolName(choice.upstream->protocol));
    json.Key("tls").Bool(choice.upstream->tls.has_value());
    OptionalText("hashes", choice.hashes, json);
    json.Key("sticky").Text(StickyName(choice.sticky));
    if (choice.sticky_backend != nullptr) {
      json.Key("sticky_backend").Text(choice.sticky_backend->id);
    }
    json.Key("backends").BeginArray();
    for (const config::Backend& backend : choice.upstream->backends) {
      json.BeginObject();
      json.Key("id").Text(backend.id);
      json.Key("address").Text(backend.address.ToString());
      json.Key("weight").Number(backend.weight);
      json.Key("backup").Bool(backend.backup);
      json.Key("max_connections").Number(backend.max_connections);
      if (now != nullptr) WriteNow(now(choice.upstream->name, backend.id), json);
      json.EndObject();
    }
    json.EndArray();
    json.EndObject();
  }
  json.EndArray();
}

void WriteEdits(std::string_view name, const http::HeaderEdits& edits, JsonWriter& json) {
  if (edits.set.empty() && edits.remove.empty()) return;
  json.Key(name).BeginObject();
  json.Key("set").BeginObject();
  for (const auto& [field, value] : edits.set) {
    json.Key(field).Text(config::IsSecretHeader(field) ? config::kHiddenSecret : value);
  }
  json.EndObject();
  json.Key("remove").BeginArray();
  for (const std::string& field : edits.remove) json.Text(field);
  json.EndArray();
  json.EndObject();
}

void WriteAction(const Explanation& explanation, JsonWriter& json) {
  if (explanation.refusal) {
    json.Key("action").Text("refuse");
    json.Key("status").Number(static_cast<uint64_t>(explanation.refusal.status));
    json.Key("reason").Text(explanation.refusal.reason);
    return;
  }
  const config::RouteConfig& route = *explanation.route;
  if (route.respond) {
    json.Key("action").Text("respond");
    json.Key("status").Number(static_cast<uint64_t>(route.respond->status));
  } else if (route.redirect) {
    json.Key("action").Text("redirect");
    json.Key("status").Number(static_cast<uint64_t>(route.redirect->status));
    json.Key("location").Text(explanation.location);
  } else {
    json.Key("action").Text("forward");
    json.Key("forwarded_target").Text(explanation.forwarded_target);
    OptionalText("upgrade", explanation.upgrade, json);
    OptionalText("split_by", explanation.split_by, json);
  }
  if (route.rate_limit) {
    json.Key("rate_limit").BeginObject();
    json.Key("rate").Text(ExplainRate(*route.rate_limit));
    json.Key("burst").Number(route.rate_limit->burst);
    json.Key("dry_run").Bool(route.rate_limit->dry_run);
    json.EndObject();
  }
  WriteEdits("request_headers", route.request_headers, json);
  WriteEdits("response_headers", route.response_headers, json);
}

}  // namespace

std::string ExplanationJson(const Explanation& explanation, const std::string& file,
                            const BackendsNow& now) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject();
  json.Key("file").Text(file);
  json.Key("request").BeginObject();
  json.Key("method").Text(explanation.method);
  json.Key("host").Text(explanation.host);
  json.Key("target").Text(explanation.target);
  OptionalText("path", explanation.normalised_path, json);
  if (explanation.client) json.Key("client").Text(explanation.client->ToString());
  json.EndObject();
  json.Key("listener").Text(explanation.listener->name);
  json.Key("tls").Bool(explanation.listener->tls.has_value());
  json.Key("route");
  if (explanation.route != nullptr) {
    json.Number(explanation.match.route + 1);
  } else {
    json.Null();
  }
  WriteAction(explanation, json);
  WriteTried(explanation, json);
  WriteUpstreams(explanation, now, json);
  json.EndObject();
  out.push_back('\n');
  return out;
}

}  // namespace rondo::control
