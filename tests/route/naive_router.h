// The rules of routing as slowly and obviously as can be: each route is asked in turn. What the
// compiled router is checked against.
#pragma once

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/http/field.h"
#include "rondo/route/request_view.h"
#include "rondo/route/route_config.h"

namespace rondo::route {

// Patterns that can be judged without an engine for them.
struct NaivePattern {
  const char* text;
  bool (*holds)(std::string_view);
};
inline constexpr NaivePattern kNaivePatterns[] = {
    {"[0-9]+",
     [](std::string_view text) {
       return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
     }},
    {".*", [](std::string_view) { return true; }},
    {"a.*", [](std::string_view text) { return text.starts_with('a'); }},
    {".*b", [](std::string_view text) { return text.ends_with('b'); }},
    {"/?a|b{2}", [](std::string_view text) { return text == "a" || text == "/a" || text == "bb"; }},
    {"(?i)ab",
     [](std::string_view text) {
       return text.size() == 2 && (text[0] | 32) == 'a' && (text[1] | 32) == 'b';
     }},
    {"/[^/]*",
     [](std::string_view text) {
       return text.starts_with('/') && text.find('/', 1) == std::string_view::npos;
     }},
};

class NaiveRouter {
 public:
  // REQUIRES: hosts in lower case without ports, paths normalised.
  explicit NaiveRouter(std::vector<RouteMatch> routes) : routes_(std::move(routes)) {}

  // SIZE_MAX where none holds. No IPv6 hosts.
  size_t Match(std::string_view host, std::string_view path, size_t from = 0) const {
    return Match({.host = host, .path = path}, from);
  }
  // Patterns must be of kNaivePatterns.
  size_t Match(const RequestView& request, size_t from = 0) const {
    const std::string_view host = request.host;
    const std::string_view path = request.path;
    std::string name(host.substr(0, host.find(':')));
    if (name.ends_with('.')) name.pop_back();
    if (name.size() > 255) name.clear();
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (size_t i = from; i < routes_.size(); ++i) {
      const RouteMatch& route = routes_[i];
      if (HostHolds(route.host, name) && (route.path.empty() || route.path == path) &&
          PrefixHolds(route.path_prefix, path) && MoreHolds(route, request)) {
        return i;
      }
    }
    return SIZE_MAX;
  }

 private:
  static bool HostHolds(std::string_view pattern, std::string_view host) {
    if (!pattern.starts_with("*.")) return pattern.empty() || pattern == host;
    const std::string_view suffix = pattern.substr(1);
    return host.size() > suffix.size() && host.ends_with(suffix);
  }
  static bool PrefixHolds(std::string_view prefix, std::string_view path) {
    if (prefix.empty() || prefix == "/") return true;
    if (!path.starts_with(prefix)) return false;
    return prefix.ends_with('/') || path.size() == prefix.size() || path[prefix.size()] == '/';
  }

  static bool MoreHolds(const RouteMatch& route, const RequestView& request) {
    if (!route.path_regex.empty() && !PatternHolds(route.path_regex, request.path)) return false;
    bool method_holds = route.methods.empty();
    for (const std::string& method : route.methods) method_holds |= method == request.method;
    if (!method_holds) return false;
    for (const ValueMatch& match : route.headers) {
      if (!ValuesHold(match, Headers(request, match.name))) return false;
    }
    for (const ValueMatch& match : route.cookies) {
      if (!ValuesHold(match, Cookies(request, match.name))) return false;
    }
    for (const ValueMatch& match : route.query) {
      if (!ValuesHold(match, Parameters(request, match.name))) return false;
    }
    return true;
  }

  static bool PatternHolds(std::string_view pattern, std::string_view text) {
    for (const NaivePattern& known : kNaivePatterns) {
      if (known.text == pattern) return known.holds(text);
    }
    return false;
  }

  using Texts = std::vector<std::string>;
  static bool ValuesHold(const ValueMatch& match, const Texts& values) {
    if (match.kind == ValueMatch::Kind::kAbsent) return values.empty();
    for (const std::string& value : values) {
      if (match.kind == ValueMatch::Kind::kPresent) return true;
      if (match.kind == ValueMatch::Kind::kExact && value == match.text) return true;
      if (match.kind == ValueMatch::Kind::kPrefix && value.rfind(match.text, 0) == 0) return true;
      if (match.kind == ValueMatch::Kind::kRegex && PatternHolds(match.text, value)) return true;
    }
    return false;
  }

  static std::string Lower(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return lower;
  }
  static Texts Headers(const RequestView& request, std::string_view name) {
    Texts values;
    for (const http::Field& field : request.fields) {
      if (Lower(field.name) == Lower(name)) values.emplace_back(field.value);
    }
    return values;
  }
  static Texts Parts(std::string_view text, char separator) {
    Texts parts(1);
    for (const char c : text) {
      if (c == separator) {
        parts.emplace_back();
      } else {
        parts.back().push_back(c);
      }
    }
    return parts;
  }
  static std::string Trimmed(std::string text) {
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.erase(0, 1);
    return text;
  }
  static Texts Cookies(const RequestView& request, std::string_view name) {
    Texts values;
    for (const std::string& field : Headers(request, "cookie")) {
      for (const std::string& pair : Parts(field, ';')) {
        const size_t equals = pair.find('=');
        if (equals == std::string::npos || Trimmed(pair.substr(0, equals)) != name) continue;
        values.push_back(Trimmed(pair.substr(equals + 1)));
      }
    }
    return values;
  }
  static std::string Decoded(const std::string& text) {
    std::string decoded;
    for (size_t i = 0; i < text.size(); ++i) {
      const bool is_escape = text[i] == '%' && i + 2 < text.size() &&
                             std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
                             std::isxdigit(static_cast<unsigned char>(text[i + 2]));
      if (is_escape) {
        decoded.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16)));
        i += 2;
      } else {
        decoded.push_back(text[i] == '+' ? ' ' : text[i]);
      }
    }
    return decoded;
  }
  static Texts Parameters(const RequestView& request, std::string_view name) {
    Texts values;
    for (const std::string& pair : Parts(request.query, '&')) {
      const size_t equals = pair.find('=');
      if (pair.empty() || Decoded(pair.substr(0, equals)) != name) continue;
      values.push_back(equals == std::string::npos ? "" : Decoded(pair.substr(equals + 1)));
    }
    return values;
  }

  std::vector<RouteMatch> routes_;
};

}  // namespace rondo::route
