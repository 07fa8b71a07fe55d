// Errors, substitution and paths: what every part of reading shares.
#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include "config/reader.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

constexpr size_t kVisitsMax = 1'000'000;
// A file with more errors than this is not read by anybody to its end.
constexpr size_t kErrorsMax = 1000;

bool IsNameStart(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

bool IsVariableName(std::string_view name) {
  return !name.empty() && IsNameStart(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); });
}

// "`key`" where the message begins with the name of a key; else empty.
std::string LeadingKey(std::string_view message) {
  if (!message.starts_with('`')) return {};
  const std::string_view name = message.substr(1, message.find('`', 1) - 1);
  const bool is_key =
      std::ranges::any_of(Keys(), [&](const Key& key) { return key.Leaf() == name; });
  return is_key ? Cat("`", name, "`") : std::string();
}

}  // namespace

void Context::AddError(SourceMark where, std::string message) {
  if (errors_full()) return;
  if (!replaced_.empty()) message = WithoutValues(where, std::move(message));
  errors_.push_back({.line = where.line, .col = where.col, .message = std::move(message)});
}

bool Context::errors_full() const { return errors_.size() >= 2 * kErrorsMax; }

std::vector<Error> Context::TakeErrors() {
  const auto place = [](const Error& error) {
    return std::tie(error.line, error.col, error.message);
  };
  std::sort(errors_.begin(), errors_.end(),
            [&](const Error& a, const Error& b) { return place(a) < place(b); });
  // What stands behind an alias is read once for each use.
  errors_.erase(std::unique(errors_.begin(), errors_.end()), errors_.end());
  if (errors_.size() > kErrorsMax) {
    errors_.resize(kErrorsMax);
    errors_.push_back({.message = Cat("only the first ", kErrorsMax, " errors are shown")});
  }
  return std::exchange(errors_, {});
}

bool Context::Visit(SourceMark where) {
  if (visits_ > kVisitsMax) return false;
  if (++visits_ <= kVisitsMax) return true;
  AddError(where,
           Cat("more than ", kVisitsMax, " values once aliases are followed: use fewer aliases"));
  return false;
}

std::optional<std::string> Context::Substitute(std::string_view text, SourceMark where) {
  const std::string_view written = text;
  std::string out;
  bool replaced = false;
  bool failed = false;
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    out.append(text.substr(0, dollar));
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar + 1);
    if (text.starts_with('$')) {
      out.push_back('$');
      text.remove_prefix(1);
      continue;
    }
    if (!text.starts_with('{')) {
      out.push_back('$');
      continue;
    }
    const size_t end = text.find('}');
    if (end == std::string_view::npos) {
      AddError(where, "`${` without `}`: write ${NAME}, or $$ for a dollar sign");
      return std::nullopt;
    }
    std::optional<std::string> value = Variable(text.substr(1, end - 1), where);
    text.remove_prefix(end + 1);
    failed = failed || !value;
    if (!value) continue;
    out.append(*value);
    replaced = true;
  }
  if (failed) return std::nullopt;
  if (named_ != nullptr && replaced) {
    replaced_.try_emplace(std::pair(where.line, where.col), written);
  }
  return out;
}

std::optional<std::string> Context::Variable(std::string_view inside, SourceMark where) {
  const size_t separator = inside.find(":-");
  const std::string_view name = inside.substr(0, separator);
  const bool has_default = separator != std::string_view::npos;
  const auto fail = [&](std::string message) {
    AddError(where, std::move(message));
    return std::nullopt;
  };
  if (!IsVariableName(name)) {
    return fail(Cat(Quoted(Cat("${", inside, "}")),
                    " names no environment variable: write ${NAME} or ${NAME:-default}"));
  }
  variables_.emplace(name);
  // Also with a default: it would be silent about a variable that is set.
  if (named_ != nullptr && !named_->contains(name)) {
    return fail(Cat("environment variable `", name,
                    "` can be used here only where the configuration file uses it: write the value "
                    "itself"));
  }
  std::optional<std::string> value = environment_ ? environment_(name) : std::nullopt;
  if (named_ != nullptr && value) values_.insert(LowerCase(*value));
  // As in a shell, `:-` also replaces what is set but empty.
  if (has_default && (!value || value->empty())) {
    value = std::string(inside.substr(separator + 2));
  }
  if (!value) {
    return fail(Cat("environment variable `", name, "` is not set: set it, or write ${", name,
                    ":-default}"));
  }
  if (FirstInvalidUtf8(*value)) {
    return fail(Cat("environment variable `", name, "` is not UTF-8"));
  }
  return value;
}

// An error about a text from the environment may quote any part of it in any form.
std::string Context::WithoutValues(SourceMark where, std::string message) const {
  constexpr std::string_view kWrong = " is not right once its variables have their values";
  const auto replaced = replaced_.find(std::pair(where.line, where.col));
  if (replaced != replaced_.end()) {
    const std::string key = LeadingKey(message);
    return Cat(key, key.empty() ? "" : ": ", Quoted(replaced->second), kWrong);
  }
  const std::string lower = LowerCase(message);
  const bool tells = std::ranges::any_of(values_, [&](const std::string& value) {
    // What is shorter is no secret, and stands in messages by itself.
    constexpr size_t kTellingMin = 4;
    return value.size() >= kTellingMin && lower.find(value) != std::string::npos;
  });
  return tells ? Cat("this", kWrong) : message;
}

std::string Context::OnLine(int line) const {
  return json() ? std::string() : Cat(" on line ", line);
}

std::string Context::ResolvePath(std::string_view path) const {
  if (path.empty() || path.starts_with('/')) return std::string(path);
  const size_t slash = file_name_.rfind('/');
  if (slash == std::string::npos) return std::string(path);
  while (path.starts_with("./")) path.remove_prefix(2);
  return Cat(file_name_.substr(0, slash + 1), path);
}

}  // namespace rondo::config
