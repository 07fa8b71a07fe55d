// GET /v1/explain: what becomes of a request under what is in force now.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "control/admin_call.h"
#include "rondo/config/scalar.h"
#include "rondo/control/explain.h"
#include "rondo/health/eligible.h"
#include "rondo/http/field.h"

namespace rondo::control {
namespace {

// The configuration in force, with the backends that are there now.
config::Config Effective(const Cluster& cluster) {
  config::Config config = cluster.Exported();
  for (config::Upstream& upstream : config.upstreams) {
    const UpstreamView* view = cluster.FindUpstream(upstream.name);
    if (view == nullptr) continue;
    upstream.backends.clear();
    for (const auto& backend : view->backends) {
      upstream.backends.push_back(backend->settings);
      upstream.backends.back().id = backend->id;
    }
  }
  return config;
}

std::map<std::string, BackendNow> StatesOf(const UpstreamView& upstream) {
  std::vector<health::Member> members;
  for (const auto& backend : upstream.backends) {
    members.push_back({.state = backend->machine.state(), .backup = backend->settings.backup});
  }
  std::vector<health::Eligibility> eligible(members.size());
  const health::EligibleCounts counts =
      health::Evaluate(members, upstream.settings.panic_percent, eligible);
  std::map<std::string, BackendNow> states;
  for (size_t i = 0; i < members.size(); ++i) {
    const BackendView& backend = *upstream.backends[i];
    const bool yes = eligible[i] == health::Eligibility::kYes;
    // Backups wait until no other is available.
    const bool waits = members[i].backup && counts.primaries > 0;
    states[backend.id] = {.state = std::string(health::StateName(backend.machine.state())),
                          .reason = backend.machine.reason(),
                          .eligible = yes && !waits};
  }
  return states;
}

std::optional<AdminReply> ReadQuestion(const AdminCall& call, ExplainQuestion& question) {
  const std::string* url = call.Query("url");
  if (url == nullptr || url->empty()) {
    return ErrorReply(400, "invalid",
                      "the request to explain is missing; right would be ?url=http://example.com/",
                      "url");
  }
  question.url = *url;
  if (const std::string* method = call.Query("method")) question.method = *method;
  if (const std::string* listener = call.Query("listener")) question.listener = *listener;
  if (const std::string* client = call.Query("client")) {
    question.peer = IpAddress::Parse(*client);
    if (!question.peer) {
      return ErrorReply(
          400, "invalid",
          "client=" + config::Quoted(*client) + " is not an address; right would be 192.0.2.1",
          "client");
    }
  }
  for (const auto& [name, value] : call.target.query) {
    if (name != "header") continue;
    const size_t colon = value.find(':');
    if (colon == std::string::npos) {
      return ErrorReply(
          400, "invalid",
          "header=" + config::Quoted(value) + " is not a header; right would be X-Env:prod",
          "header");
    }
    question.fields.emplace_back(value.substr(0, colon),
                                 http::TrimOws(std::string_view(value).substr(colon + 1)));
  }
  return std::nullopt;
}

}  // namespace

AdminReply GetExplain(AdminCall& call) {
  ExplainQuestion question;
  if (auto wrong = ReadQuestion(call, question)) return *wrong;
  const config::Config config = Effective(call.cluster());
  const ExplainResult result = Explain(config, question);
  if (!result.explanation) return ErrorReply(400, "invalid", result.problem, "url");
  std::map<std::string, std::map<std::string, BackendNow>> states;
  for (const ExplainUpstream& choice : result.explanation->upstreams) {
    const UpstreamView* view = call.cluster().FindUpstream(choice.upstream->name);
    if (view != nullptr) states[choice.upstream->name] = StatesOf(*view);
  }
  const BackendsNow now = [&](const std::string& upstream,
                              const std::string& id) -> std::optional<BackendNow> {
    const auto of = states.find(upstream);
    if (of == states.end()) return std::nullopt;
    const auto it = of->second.find(id);
    return it == of->second.end() ? std::nullopt : std::optional(it->second);
  };
  AdminReply reply;
  reply.etag = call.cluster().revision();
  const bool as_text = call.request.accept.find("text/plain") != std::string_view::npos &&
                       call.request.accept.find("json") == std::string_view::npos;
  if (as_text) {
    reply.content_type = "text/plain; charset=utf-8";
    reply.body = ExplanationText(*result.explanation, call.context.config_path, now);
  } else {
    reply.body = ExplanationJson(*result.explanation, call.context.config_path, now);
  }
  return reply;
}

}  // namespace rondo::control
