#include "config/route_checks.h"

#include <algorithm>
#include <array>
#include <optional>

#include "config/text.h"
#include "rondo/config/scalar.h"
#include "rondo/http/field.h"
#include "rondo/http/header_edits.h"
#include "rondo/route/router.h"

namespace rondo::config {
namespace {

constexpr size_t kNameBytesMax = 256;
constexpr size_t kTargetBytesMax = 4096;

Checked<std::string> Right(std::string_view text) {
  return {.value = std::string(text), .problem = {}};
}
template <class T = std::string>
Checked<T> Wrong(std::string problem) {
  return {.value = std::nullopt, .problem = std::move(problem)};
}

bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Whether `text` begins with a scheme and an authority, "https://example.com".
bool IsAbsoluteUrl(std::string_view text) {
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos || !IsAlpha(text.front())) return false;
  const auto in_scheme = [](char c) {
    return IsAlpha(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  };
  const std::string_view rest = text.substr(colon + 3);
  return std::ranges::all_of(text.substr(0, colon), in_scheme) && !rest.empty() &&
         std::string_view("/?#").find(rest.front()) == std::string_view::npos;
}

// `header:NAME` or `cookie:NAME`; nothing where it is neither.
std::optional<Checked<HashKey>> CheckNamedKey(std::string_view text) {
  const bool is_header = text.starts_with("header:");
  if (!is_header && !text.starts_with("cookie:")) return std::nullopt;
  Checked<std::string> name = (is_header ? CheckFieldName : CheckCookieName)(
      text.substr(std::string_view("header:").size()));
  if (!name.value) {
    return Wrong<HashKey>(Cat("has no name of a ", is_header ? "header" : "cookie",
                              " behind the colon: write it like `",
                              is_header ? "header:X-User" : "cookie:session", "`"));
  }
  return Checked<HashKey>{
      .value = HashKey{.source = is_header ? HashKey::Source::kHeader : HashKey::Source::kCookie,
                       .name = std::move(*name.value)},
      .problem = {}};
}

Checked<HashKey> PlainKey(HashKey::Source source) {
  return {.value = HashKey{.source = source}, .problem = {}};
}

}  // namespace

std::string UriProblem(std::string_view text) {
  const auto is_visible = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!std::ranges::all_of(text, is_visible)) {
    return "has a space or a character that is not ASCII: write it escaped, as in `%20`";
  }
  if (text.find_first_of("\\\"<>^`{|}") != std::string_view::npos) {
    return "has a character that a URL can not hold: write it escaped, as in `%7B`";
  }
  for (size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 1)) {
    if (i + 2 >= text.size() || !IsHexDigit(text[i + 1]) || !IsHexDigit(text[i + 2])) {
      return "has a `%` without two hexadecimal digits: a percent sign is `%25`";
    }
  }
  return {};
}

Checked<std::string> CheckMethod(std::string_view text) {
  if (!http::IsToken(text) || text.size() > kNameBytesMax) {
    return Wrong<>("is not a method, such as `GET`");
  }
  constexpr std::array<std::string_view, 9> kKnown = {
      "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"};
  for (const std::string_view known : kKnown) {
    if (text == known && known == "CONNECT") {
      return Wrong<>("is answered with 501 before any route is asked");
    }
    if (text != known && http::EqualsIgnoreCase(text, known)) {
      return Wrong<>(Cat("is not `", known, "`: case counts in methods, write `", known, "`"));
    }
  }
  return Right(text);
}

Checked<std::string> CheckFieldName(std::string_view text) {
  if (http::IsToken(text) && text.size() <= kNameBytesMax) return Right(text);
  return Wrong<>("is not the name of a header, such as `X-Env`");
}

Checked<std::string> CheckCookieName(std::string_view text) {
  if (http::IsToken(text) && text.size() <= kNameBytesMax) return Right(text);
  return Wrong<>("is not the name of a cookie: letters, digits and some signs, without spaces");
}

Checked<std::string> CheckRegexText(std::string_view text) {
  if (text.empty()) return Wrong<>("is empty: write a regular expression, or remove the key");
  std::string problem = route::CheckRegex(text);
  return problem.empty() ? Right(text) : Wrong<>(std::move(problem));
}

Checked<std::string> CheckEditedName(std::string_view text) {
  if (!http::IsToken(text) || text.size() > kNameBytesMax) return CheckFieldName("");
  if (http::IsEditableName(text)) return Right(text);
  if (http::FieldIdOf(text) == http::FieldId::kHost) {
    return Wrong<>("can not be changed: Host passes as the client sent it");
  }
  return Wrong<>("can not be changed: it belongs to the connection or to how messages are framed");
}

Checked<std::string> CheckEditedValue(std::string_view text) {
  if (http::IsEditableValue(text)) return Right(text);
  return Wrong<>(
      "can not be the value of a header: it must have no control characters and no spaces at its "
      "ends");
}

Checked<std::string> CheckRedirectTarget(std::string_view text) {
  const bool is_path = text.starts_with('/') && !text.starts_with("//");
  if (text.empty() || (!is_path && !IsAbsoluteUrl(text))) {
    return Wrong<>(
        "is neither a URL nor a path: write it like `https://example.com/new` or `/new`");
  }
  if (text.size() > kTargetBytesMax)
    return Wrong<>(Cat("has more than ", kTargetBytesMax, " bytes"));
  std::string problem = UriProblem(text);
  return problem.empty() ? Right(text) : Wrong<>(std::move(problem));
}

Checked<std::string> CheckRewritePrefix(std::string_view text) {
  if (!text.starts_with('/')) return Wrong<>("must begin with `/`");
  if (text.size() > kTargetBytesMax)
    return Wrong<>(Cat("has more than ", kTargetBytesMax, " bytes"));
  if (text.find_first_of("?#") != std::string_view::npos) {
    return Wrong<>("has a query or fragment: only the path is rewritten");
  }
  if (std::string problem = UriProblem(text); !problem.empty()) return Wrong<>(std::move(problem));
  if (text.find("//") != std::string_view::npos) return Wrong<>("has `//`: write one slash");
  const std::string closed = Cat(text, "/");
  if (closed.find("/./") != std::string::npos || closed.find("/../") != std::string::npos) {
    return Wrong<>("has a `.` or `..` segment: write the path that is meant");
  }
  return Right(text);
}

Checked<HashKey> CheckSplitBy(std::string_view text) {
  if (text == "request_id") return PlainKey(HashKey::Source::kRequestId);
  if (text == "client_ip") return PlainKey(HashKey::Source::kClientIp);
  if (std::optional<Checked<HashKey>> named = CheckNamedKey(text)) return std::move(*named);
  return Wrong<HashKey>("must be `request_id`, `client_ip`, `header:NAME` or `cookie:NAME`");
}

Checked<HashKey> CheckHashKey(std::string_view text) {
  if (text == "client_ip") return PlainKey(HashKey::Source::kClientIp);
  if (text == "path") return PlainKey(HashKey::Source::kPath);
  if (text == "uri") return PlainKey(HashKey::Source::kUri);
  if (std::optional<Checked<HashKey>> named = CheckNamedKey(text)) return std::move(*named);
  return Wrong<HashKey>("must be `client_ip`, `path`, `uri`, `header:NAME` or `cookie:NAME`");
}

}  // namespace rondo::config
