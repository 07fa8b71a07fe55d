// What a route asks of requests: the section `match`.
#include <algorithm>
#include <array>

#include "config/build.h"
#include "config/route_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"
#include "rondo/http/field.h"
#include "rondo/route/router.h"

namespace rondo::config {
namespace {

using Kind = route::ValueMatch::Kind;

// The keys of a value are the same for headers, cookies and query; the table has them once.
constexpr std::string_view kValuePath = "listeners.*.routes[].match.headers.*";
constexpr std::string_view kValueExpected =
    "the value, or one of {exact: ...}, {prefix: ...}, {regex: ...} and {present: true}";

void BuildMethods(const Section& match, std::vector<std::string>& methods) {
  const std::optional<std::vector<Text>> texts =
      match.ReadOneOrList("method", "a method such as GET");
  if (!texts) return;
  Context& context = match.context();
  const Node& written = *match.Find("method")->value;
  if (written.kind == Node::Kind::kList && written.children.empty()) {
    context.AddError(written.mark, "`method` is empty: write at least one, or remove the key");
  }
  for (const Text& text : *texts) {
    Checked<std::string> method = CheckMethod(text.value);
    if (!method.value) {
      context.AddError(text.where, ValueProblem("method", text.value, method.problem));
    } else if (std::ranges::find(methods, *method.value) != methods.end()) {
      context.AddError(text.where, Cat("`method` has ", Quoted(text.value), " twice"));
    } else {
      methods.push_back(std::move(*method.value));
    }
  }
}

// A value with keys: exactly one of them.
bool BuildValueKeys(const Section& section, std::string_view name, route::ValueMatch& value) {
  Context& context = section.context();
  std::vector<std::string_view> written;
  for (const std::string_view leaf : {"exact", "prefix", "regex", "present"}) {
    if (section.Find(leaf) != nullptr) written.push_back(leaf);
  }
  if (written.size() > 1) {
    context.AddError(section.where(),
                     Cat(Quoted(name), " has ", QuotedList(written, "and"), ": keep one of them"));
    return false;
  }
  if (written.empty()) {
    // An unknown key in it was reported already.
    if (section.Missing("exact") && section.Missing("prefix") && section.Missing("regex") &&
        section.Missing("present")) {
      context.AddError(section.where(), Cat(Quoted(name), " must be ", kValueExpected));
    }
    return false;
  }
  const std::string_view leaf = written.front();
  if (leaf == "present") {
    bool present = true;
    section.ReadBool(leaf, present);
    value.kind = present ? Kind::kPresent : Kind::kAbsent;
    return true;
  }
  value.kind = leaf == "exact" ? Kind::kExact : leaf == "prefix" ? Kind::kPrefix : Kind::kRegex;
  if (leaf == "regex") {
    ReadChecked(section, leaf, CheckRegexText, value.text);
    return !value.text.empty();
  }
  const std::optional<Text> text = section.ReadText(leaf);
  if (!text) return false;
  if (leaf == "prefix" && text->value.empty()) {
    context.AddError(text->where, "`prefix` is empty: write {present: true} for any value");
    return false;
  }
  value.text = text->value;
  return true;
}

bool BuildValue(Context& context, const Entry& entry, std::string_view leaf,
                route::ValueMatch& value) {
  if (entry.value->kind == Node::Kind::kMap) {
    if (!context.Visit(entry.where)) return false;
    return BuildValueKeys(Section(context, kValuePath, *entry.value, entry.where), entry.name,
                          value);
  }
  const std::optional<Text> text = ReadEntry(context, entry, leaf, kValueExpected);
  if (!text) return false;
  value.kind = Kind::kExact;
  value.text = text->value;
  return true;
}

Checked<std::string> CheckMatchedHeader(std::string_view text) {
  if (http::EqualsIgnoreCase(text, "Host")) {
    return {.value = std::nullopt, .problem = "is matched by `host`: write that in its place"};
  }
  return CheckFieldName(text);
}

Checked<std::string> CheckParameterName(std::string_view text) {
  if (!text.empty()) return {.value = std::string(text), .problem = {}};
  return {.value = std::nullopt, .problem = "is not the name of a query parameter"};
}

void BuildValues(const Section& match, std::string_view leaf,
                 Checked<std::string> (*check_name)(std::string_view),
                 std::vector<route::ValueMatch>& values) {
  const std::optional<std::vector<Entry>> entries = match.ReadNamed(leaf);
  if (!entries) return;
  Context& context = match.context();
  if (entries->empty()) {
    context.AddError(match.Find(leaf)->value->mark,
                     Cat("`", leaf, "` is empty: write at least one name, or remove the key"));
  }
  for (const Entry& entry : *entries) {
    Checked<std::string> name = check_name(entry.name);
    if (!name.value) {
      context.AddError(entry.where, ValueProblem(leaf, entry.name, name.problem));
      continue;
    }
    route::ValueMatch value{.name = std::move(*name.value)};
    if (BuildValue(context, entry, leaf, value)) values.push_back(std::move(value));
  }
}

// Values are compared without the white space around them, and have no control characters.
void CheckFieldValues(const Section& match, std::string_view leaf,
                      const std::vector<route::ValueMatch>& values) {
  for (const route::ValueMatch& value : values) {
    const bool is_text = value.kind == Kind::kExact || value.kind == Kind::kPrefix;
    const std::string_view text = value.text;
    const bool holds = value.kind == Kind::kPrefix
                           ? !text.starts_with(' ') && !text.starts_with('\t')
                           : http::TrimOws(text) == text;
    if (!is_text || (holds && !FirstForbiddenControl(text) &&
                     text.find_first_of("\r\n") == std::string_view::npos)) {
      continue;
    }
    match.context().AddError(match.Find(leaf)->where,
                             Cat("`", leaf, "`: ", Quoted(value.name), " asks for ", Quoted(text),
                                 ", which no request has: values have no control characters and no "
                                 "spaces at their ends"));
  }
}

}  // namespace

void BuildMatch(const Section& route, route::RouteMatch& match) {
  const std::optional<Section> section = route.ReadSection("match");
  if (!section) return;
  ReadChecked(*section, "host", CheckHost, match.host);
  ReadChecked(*section, "path", CheckPath, match.path);
  ReadChecked(*section, "path_prefix", CheckPath, match.path_prefix);
  ReadChecked(*section, "path_regex", CheckRegexText, match.path_regex);
  BuildMethods(*section, match.methods);
  BuildValues(*section, "headers", CheckMatchedHeader, match.headers);
  BuildValues(*section, "cookies", CheckCookieName, match.cookies);
  BuildValues(*section, "query", CheckParameterName, match.query);
  CheckFieldValues(*section, "headers", match.headers);
  CheckFieldValues(*section, "cookies", match.cookies);
  // The matcher has the last word: what it cannot compile would never match.
  if (const std::string problem = route::CheckMatch(match); !problem.empty()) {
    section->context().AddError(section->where(), Cat("`match`: ", problem));
  }
}

}  // namespace rondo::config
