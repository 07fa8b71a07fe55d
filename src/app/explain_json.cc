#include <string_view>

#include "app/echo_text.h"
#include "app/explain_text.h"

namespace rondo::app {
namespace {

// Writes the commas between what is inside of objects and arrays.
class Json {
 public:
  Json& Key(std::string_view name) {
    Value([&] { AppendJsonString(&out_, name); });
    out_.push_back(':');
    first_ = true;  // its value has no comma before it
    return *this;
  }
  void Text(std::string_view text) {
    Value([&] { AppendJsonString(&out_, text); });
  }
  void Number(uint64_t value) {
    Value([&] { out_ += std::to_string(value); });
  }
  void Bool(bool value) {
    Value([&] { out_ += value ? "true" : "false"; });
  }
  void Null() {
    Value([&] { out_ += "null"; });
  }
  void Begin(char bracket) {
    Value([&] { out_.push_back(bracket); });
    first_ = true;
  }
  void End(char bracket) {
    out_.push_back(bracket);
    first_ = false;
  }
  std::string Take() { return std::move(out_); }

 private:
  template <typename Write>
  void Value(Write write) {
    if (!first_) out_.push_back(',');
    write();
    first_ = false;
  }

  std::string out_;
  bool first_ = true;
};

void OptionalText(std::string_view name, std::string_view text, Json& json) {
  if (!text.empty()) json.Key(name).Text(text);
}

void WriteTried(const Explanation& explanation, Json& json) {
  json.Key("routes").Begin('[');
  for (const route::RouteTried& tried : explanation.match.tried) {
    const config::SourceMark& where = explanation.listener->routes[tried.route].where;
    json.Begin('{');
    json.Key("route").Number(tried.route + 1);
    if (where.line > 0) json.Key("line").Number(static_cast<uint64_t>(where.line));
    json.Key("matched").Bool(tried.matched());
    json.Key("failed").Begin('[');
    for (const route::FailedPart& part : tried.failed) {
      json.Begin('{');
      json.Key("part").Text(route::MatchPartName(part.part));
      OptionalText("name", part.name, json);
      json.Key("wanted").Text(part.wanted);
      json.Key("found").Text(part.found);
      json.Key("message").Text(part.Sentence());
      json.End('}');
    }
    json.End(']');
    json.End('}');
  }
  json.End(']');
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

void WriteUpstreams(const Explanation& explanation, Json& json) {
  json.Key("upstreams").Begin('[');
  for (const ExplainUpstream& choice : explanation.upstreams) {
    json.Begin('{');
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
    OptionalText("hashes", choice.hashes, json);
    json.Key("sticky").Text(StickyName(choice.sticky));
    if (choice.sticky_backend != nullptr) {
      json.Key("sticky_backend").Text(choice.sticky_backend->id);
    }
    json.Key("backends").Begin('[');
    for (const config::Backend& backend : choice.upstream->backends) {
      json.Begin('{');
      json.Key("id").Text(backend.id);
      json.Key("address").Text(backend.address.ToString());
      json.Key("weight").Number(backend.weight);
      json.Key("backup").Bool(backend.backup);
      json.Key("max_connections").Number(backend.max_connections);
      json.End('}');
    }
    json.End(']');
    json.End('}');
  }
  json.End(']');
}

void WriteEdits(std::string_view name, const http::HeaderEdits& edits, Json& json) {
  if (edits.set.empty() && edits.remove.empty()) return;
  json.Key(name).Begin('{');
  json.Key("set").Begin('{');
  for (const auto& [field, value] : edits.set) json.Key(field).Text(value);
  json.End('}');
  json.Key("remove").Begin('[');
  for (const std::string& field : edits.remove) json.Text(field);
  json.End(']');
  json.End('}');
}

void WriteAction(const Explanation& explanation, Json& json) {
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
    json.Key("location").Text(route.redirect->to);
  } else {
    json.Key("action").Text("forward");
    json.Key("forwarded_target").Text(explanation.forwarded_target);
    OptionalText("upgrade", explanation.upgrade, json);
    OptionalText("split_by", explanation.split_by, json);
  }
  WriteEdits("request_headers", route.request_headers, json);
  WriteEdits("response_headers", route.response_headers, json);
}

}  // namespace

std::string ExplanationJson(const Explanation& explanation, const std::string& file) {
  Json json;
  json.Begin('{');
  json.Key("file").Text(file);
  json.Key("request").Begin('{');
  json.Key("method").Text(explanation.method);
  json.Key("host").Text(explanation.host);
  json.Key("target").Text(explanation.target);
  OptionalText("path", explanation.normalised_path, json);
  if (explanation.client) json.Key("client").Text(explanation.client->ToString());
  json.End('}');
  json.Key("listener").Text(explanation.listener->name);
  json.Key("route");
  if (explanation.route != nullptr) {
    json.Number(explanation.match.route + 1);
  } else {
    json.Null();
  }
  WriteAction(explanation, json);
  WriteTried(explanation, json);
  WriteUpstreams(explanation, json);
  json.End('}');
  return json.Take() + "\n";
}

}  // namespace rondo::app
