#include <algorithm>

#include "config/build.h"
#include "config/checks.h"
#include "config/route_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"
#include "rondo/http/field.h"

namespace rondo::config {
namespace {

using Names = std::vector<std::string_view>;

constexpr size_t kRespondBodyMax = 64 * 1024;
constexpr int64_t kWeightMax = 1000;
constexpr std::string_view kRoutesPath = "listeners.*.routes[]";

void BuildRespond(const Section& route, RouteConfig& config) {
  const std::optional<Section> section = route.ReadSection("respond");
  if (!section) return;
  Respond& respond = config.respond.emplace();
  section->ReadWhole("status", respond.status);
  const std::optional<Text> body = section->ReadText("body");
  if (!body) return;
  const bool has_no_body = respond.status == 204 || respond.status == 205 || respond.status == 304;
  if (has_no_body && !body->value.empty()) {
    section->context().AddError(
        body->where, Cat("`body` must be left out: a ", respond.status, " response has none"));
  }
  if (body->value.size() > kRespondBodyMax) {
    section->context().AddError(
        body->where, Cat("`body` has ", body->value.size(), " bytes, but must have at most ",
                         FormatSize(kRespondBodyMax)));
  }
  respond.body = body->value;
}

void BuildRedirect(const Section& route, RouteConfig& config) {
  const std::optional<Section> section = route.ReadSection("redirect");
  if (!section) return;
  Redirect& redirect = config.redirect.emplace();
  ReadChecked(*section, "to", CheckRedirectTarget, redirect.to);
  if (section->Missing("to")) {
    section->context().AddError(
        section->where(),
        "this redirect has no `to`: write where it leads, such as {to: \"https://example.com/\"}");
  }
  if (const std::optional<std::string> status = section->ReadChoice("status")) {
    redirect.status = static_cast<int>(ParseWhole(*status).value_or(redirect.status));
  }
}

void BuildUpgrades(const Section& route, RouteConfig& config) {
  const std::optional<std::vector<const Node*>> list = route.ReadList("upgrades");
  if (!list) return;
  Context& context = route.context();
  for (const Node* node : *list) {
    const std::optional<Text> text =
        ReadElement(context, *node, "upgrades", "an Upgrade token such as websocket");
    if (!text) continue;
    Checked<std::string> token = CheckUpgrade(text->value);
    const auto& known = config.upgrades;
    if (!token.value) {
      context.AddError(text->where, ValueProblem("upgrades", text->value, token.problem));
    } else if (std::find(known.begin(), known.end(), *token.value) != known.end()) {
      context.AddError(text->where, Cat("`upgrades` has ", Quoted(*token.value), " twice"));
    } else {
      config.upgrades.push_back(std::move(*token.value));
    }
  }
}

// Whether `edits` has a field of that name; reports it.
bool IsTaken(Context& context, const http::HeaderEdits& edits, std::string_view leaf,
             std::string_view name, SourceMark where) {
  const auto is_same = [&](std::string_view other) { return http::EqualsIgnoreCase(name, other); };
  const bool is_set = std::ranges::any_of(
      edits.set, is_same, [](const auto& field) { return std::string_view(field.first); });
  if (!is_set && !std::ranges::any_of(edits.remove, is_same)) return false;
  context.AddError(where, Cat("`", leaf, "`: ", Quoted(name),
                              " is set or removed already: a field that is set replaces all of its "
                              "name, so write it once"));
  return true;
}

void BuildSet(const Section& route, std::string_view leaf, http::HeaderEdits& edits) {
  const std::optional<std::vector<Entry>> entries = route.ReadNamed(leaf);
  if (!entries) return;
  Context& context = route.context();
  for (const Entry& entry : *entries) {
    const Checked<std::string> name = CheckEditedName(entry.name);
    if (!name.value) {
      context.AddError(entry.where, ValueProblem(leaf, entry.name, name.problem));
      continue;
    }
    const std::optional<Text> text = ReadEntry(context, entry, leaf, "text");
    if (!text) continue;
    Checked<std::string> value = CheckEditedValue(text->value);
    if (!value.value) {
      context.AddError(text->where, HeaderProblem(leaf, *name.value, text->value, value.problem));
    } else if (!IsTaken(context, edits, leaf, *name.value, entry.where) &&
               !IsHiddenHeader(context, leaf, *name.value, *text)) {
      edits.set.emplace_back(*name.value, std::move(*value.value));
    }
  }
}

void BuildRemove(const Section& route, std::string_view leaf, http::HeaderEdits& edits) {
  const std::optional<std::vector<const Node*>> list = route.ReadList(leaf);
  if (!list) return;
  Context& context = route.context();
  for (const Node* node : *list) {
    const std::optional<Text> text =
        ReadElement(context, *node, leaf, "the name of a header such as X-Env");
    if (!text) continue;
    Checked<std::string> name = CheckEditedName(text->value);
    if (!name.value) {
      context.AddError(text->where, ValueProblem(leaf, text->value, name.problem));
    } else if (!IsTaken(context, edits, leaf, *name.value, text->where)) {
      edits.remove.push_back(std::move(*name.value));
    }
  }
}

void CheckUpstreamName(Context& context, const Names& names, std::string_view name,
                       SourceMark where) {
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  std::string message = Cat("no upstream is named ", Quoted(name));
  if (const std::optional<std::string_view> near = Nearest(name, names)) {
    message += Cat("; did you mean `", *near, "`?");
  } else {
    message += ": add it under `upstreams`";
  }
  context.AddError(where, std::move(message));
}

void BuildWeights(const Section& route, const Names& names, RouteConfig& config) {
  const std::optional<std::vector<Entry>> entries = route.ReadNamed("upstreams");
  if (!entries) return;
  Context& context = route.context();
  const SourceMark where = route.Find("upstreams")->where;
  if (entries->empty()) {
    context.AddError(where, "`upstreams` is empty: write names and weights, such as {api: 90}");
    return;
  }
  uint64_t sum = 0;
  bool is_right = true;
  for (const Entry& entry : *entries) {
    CheckUpstreamName(context, names, entry.name, entry.where);
    const std::string expected = Cat("a weight from 0 to ", kWeightMax);
    const std::optional<Text> text =
        ReadEntry(context, entry, "upstreams", expected, Scalar::kNumber);
    const std::optional<int64_t> weight = text ? ParseWhole(text->value) : std::nullopt;
    if (text && (!weight || *weight > kWeightMax)) {
      context.AddError(text->where, Cat("`upstreams`: the weight of ", Quoted(entry.name), " is ",
                                        Quoted(text->value),
                                        ", but must be a whole number from 0 to ", kWeightMax));
    }
    is_right = is_right && weight && *weight <= kWeightMax;
    if (!is_right) continue;
    sum += static_cast<uint64_t>(*weight);
    config.upstreams.push_back(
        {.name = std::string(entry.name), .weight = static_cast<uint32_t>(*weight)});
  }
  if (is_right && sum == 0) {
    context.AddError(where, "`upstreams` has only weights of 0: at least one must be more");
  }
}

// Exactly one key says what is done with the request.
void CheckAction(const Section& route) {
  Context& context = route.context();
  Names written;
  bool is_missing = true;
  for (const std::string_view leaf : {"upstream", "upstreams", "redirect", "respond"}) {
    if (route.Find(leaf) != nullptr) written.push_back(leaf);
    is_missing = is_missing && route.Missing(leaf);
  }
  if (written.size() > 1) {
    context.AddError(route.where(), Cat("this route has ", written.size() == 2 ? "both " : "",
                                        QuotedList(written, "and"), ": keep one of them"));
  }
  if (is_missing) {
    context.AddError(route.where(),
                     "this route goes nowhere: write `upstream`, `upstreams`, `redirect` or "
                     "`respond`");
  }
  if (written.empty() || route.Find("upstream") != nullptr || route.Find("upstreams") != nullptr) {
    return;
  }
  for (const std::string_view leaf :
       {"split_by", "rewrite_prefix", "set_request_headers", "remove_request_headers", "timeout",
        "timeout_total", "upgrades"}) {
    const Entry* entry = route.Find(leaf);
    if (entry == nullptr) continue;
    const bool is_empty_list =
        entry->value->kind == Node::Kind::kList && entry->value->children.empty();
    if (is_empty_list) continue;
    context.AddError(entry->where, Cat("`", leaf, "` has no meaning for a route with `",
                                       written.front(), "`: remove it"));
  }
}

void BuildForwarding(const Section& route, const Names& names, RouteConfig& config) {
  Context& context = route.context();
  if (const std::optional<Text> name = route.ReadText("upstream")) {
    CheckUpstreamName(context, names, name->value, name->where);
    config.upstream = name->value;
  }
  BuildWeights(route, names, config);
  if (const std::optional<Text> text = route.ReadText("split_by")) {
    Checked<HashKey> key = CheckSplitBy(text->value);
    if (key.value) {
      config.split_by = std::move(*key.value);
    } else {
      context.AddError(text->where, ValueProblem("split_by", text->value, key.problem));
    }
    if (route.Find("upstream") != nullptr && route.Missing("upstreams")) {
      context.AddError(route.Find("split_by")->where,
                       "`split_by` has no meaning for a route with `upstream`: remove it, or write "
                       "`upstreams`");
    }
  }
  ReadChecked(route, "rewrite_prefix", CheckRewritePrefix, config.rewrite_prefix);
  const Entry* match = route.Find("match");
  const bool has_prefix =
      match != nullptr && match->value->kind == Node::Kind::kMap &&
      std::ranges::any_of(Entries(context, *match->value),
                          [](const Entry& entry) { return entry.name == "path_prefix"; });
  if (route.Find("rewrite_prefix") != nullptr && !has_prefix) {
    context.AddError(route.Find("rewrite_prefix")->where,
                     "`rewrite_prefix` replaces `path_prefix`: write that under `match`");
  }
  BuildSet(route, "set_request_headers", config.request_headers);
  BuildRemove(route, "remove_request_headers", config.request_headers);
  if (Duration timeout{}; route.Find("timeout") != nullptr) {
    route.ReadDuration("timeout", timeout);
    config.timeout = timeout;
  }
  if (Duration timeout{}; route.Find("timeout_total") != nullptr) {
    route.ReadDuration("timeout_total", timeout);
    config.timeout_total = timeout;
  }
  BuildUpgrades(route, config);
}

RouteConfig BuildRoute(Context& context, const Node& node, const Names& names) {
  RouteConfig config;
  config.where = {node.mark};
  const Section route(context, kRoutesPath, node, node.mark);
  BuildMatch(route, config.match);
  BuildRespond(route, config);
  BuildRedirect(route, config);
  BuildForwarding(route, names, config);
  BuildSet(route, "set_response_headers", config.response_headers);
  BuildRemove(route, "remove_response_headers", config.response_headers);
  if (uint64_t body_bytes = 0; route.Find("body_bytes") != nullptr) {
    route.ReadSize("body_bytes", body_bytes);
    config.body_bytes = body_bytes;
  }
  BuildNetworks(route, "allow", config.allow);
  BuildNetworks(route, "deny", config.deny);
  BuildRateLimit(route, config.rate_limit);
  route.ReadSize("uri_bytes", config.uri_bytes);
  CheckAction(route);
  return config;
}

}  // namespace

void BuildRoutes(const Section& section, const Names& upstream_names, Listener& listener) {
  Context& context = section.context();
  const std::optional<std::vector<const Node*>> list = section.ReadList("routes");
  if (!list) {
    if (section.Missing("routes") && !section.WroteUnavailable("tcp")) {
      context.AddError(section.where(),
                       Cat("listener ", Quoted(listener.name),
                           " has no `routes`: write a list, such as [{upstream: NAME}]"));
    }
    return;
  }
  if (list->empty()) {
    context.AddError(section.Find("routes")->value->mark,
                     "`routes` is empty: write at least one, such as {upstream: NAME}");
  }
  for (const Node* node : *list) {
    if (!context.Visit(node->mark)) return;
    if (node->kind == Node::Kind::kMap) {
      listener.routes.push_back(BuildRoute(context, *node, upstream_names));
    } else {
      context.AddError(node->mark, "a route must be a map of keys, such as {upstream: NAME}");
    }
  }
}

}  // namespace rondo::config
