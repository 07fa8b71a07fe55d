#include "config/route_checks.h"

#include <algorithm>
#include <array>
#include <optional>

#include "config/key_tables.h"
#include "config/text.h"
#include "rondo/base/hex.h"
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

// Why the placeholders in where a redirect leads are wrong; what is left of `text` without them
// goes to `plain`.
std::string PlaceholderProblem(std::string_view text, std::string& plain) {
  constexpr std::string_view kHost = "{host}";
  constexpr std::string_view kUri = "{uri}";
  constexpr std::string_view kScheme = "://";
  if (text.ends_with(kUri)) {
    text.remove_suffix(kUri.size());
    if (text.ends_with('/') && !text.ends_with(kScheme)) {
      return "has a slash before `{uri}`, which begins with one itself: remove it";
    }
    if (text.find_first_of("?#") != std::string_view::npos) {
      return "has `{uri}` behind a `?` or `#`: it is a path and query, and stands for no more";
    }
  }
  const size_t authority = text.find(kScheme);
  if (authority != std::string_view::npos &&
      text.substr(authority + kScheme.size()).starts_with(kHost)) {
    const size_t begin = authority + kScheme.size();
    const std::string_view rest = text.substr(begin + kHost.size());
    if (!rest.empty() && std::string_view(":/?#").find(rest.front()) == std::string_view::npos) {
      return "has `{host}` in front of more of a name: it is the whole host, as in "
             "`https://{host}`";
    }
    plain = Cat(text.substr(0, begin), "host", rest);
  } else {
    plain = text;
  }
  if (plain.find(kHost) != std::string::npos) {
    return "has `{host}` elsewhere than behind `://`: write it like `https://{host}{uri}`";
  }
  if (plain.find(kUri) != std::string::npos) {
    return "has `{uri}` elsewhere than at its end: write it like `https://{host}{uri}`";
  }
  return {};
}

struct RateUnit {
  std::string_view name;
  Duration per;
};
constexpr std::array kRateUnits = {RateUnit{"s", std::chrono::seconds(1)},
                                   RateUnit{"m", std::chrono::minutes(1)},
                                   RateUnit{"h", std::chrono::hours(1)}};

// What was meant by a text that is no rate: "100", "100r/s", "100 / sec". Or nothing.
std::string MeantRate(std::string_view text) {
  const size_t slash = text.find('/');
  std::string number = MeantWhole(text.substr(0, slash));
  if (number.empty() && slash != std::string_view::npos) {
    const size_t digits = text.find_first_not_of("0123456789");
    const std::string_view behind = text.substr(digits, slash - digits);
    if (behind == "r" || behind == " r" || behind == " ")
      number = MeantWhole(text.substr(0, digits));
  }
  const std::optional<int64_t> requests = ParseWhole(number);
  if (!requests || *requests < 1 || *requests > kRequestsMax) return {};
  if (slash == std::string_view::npos) return Cat(number, "/s");
  // The duration's own words for a unit, written behind a one: "1sec" is "1s".
  std::string_view unit = text.substr(slash + 1);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const std::string one = MeantDuration(Cat("1", unit));
  return one == "1s" || one == "1m" || one == "1h" ? Cat(number, "/", one.substr(1))
                                                   : std::string();
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
    if (i + 2 >= text.size() || HexValue(text[i + 1]) < 0 || HexValue(text[i + 2]) < 0) {
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
  std::string plain;
  std::string misplaced = PlaceholderProblem(text, plain);
  if (!misplaced.empty()) return Wrong<>(std::move(misplaced));
  const bool is_path = plain.starts_with('/') && !plain.starts_with("//");
  if (plain.empty() || (!is_path && !IsAbsoluteUrl(plain))) {
    return Wrong<>(
        "is neither a URL nor a path: write it like `https://example.com/new` or `/new`");
  }
  if (text.size() > kTargetBytesMax)
    return Wrong<>(Cat("has more than ", kTargetBytesMax, " bytes"));
  std::string problem = UriProblem(plain);
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

Checked<HashKey> CheckRateKey(std::string_view text) {
  if (text == "client_ip") return PlainKey(HashKey::Source::kClientIp);
  if (std::optional<Checked<HashKey>> named = CheckNamedKey(text)) return std::move(*named);
  return Wrong<HashKey>("must be `client_ip`, `header:NAME` or `cookie:NAME`");
}

Checked<RequestRate> CheckRate(std::string_view text) {
  const size_t slash = text.find('/');
  const std::optional<int64_t> requests = ParseWhole(text.substr(0, slash));
  const bool in_range = requests && *requests >= 1 && *requests <= kRequestsMax;
  const std::string_view unit =
      slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  for (const RateUnit& known : kRateUnits) {
    if (!in_range || unit != known.name) continue;
    return {.value = RequestRate{.requests = static_cast<uint32_t>(*requests), .per = known.per},
            .problem = {}};
  }
  std::string problem = Cat("must be 1 to ", kRequestsMax,
                            " requests in a second, minute or hour, such as `100/s`, `600/m` or "
                            "`1000/h`");
  const std::string meant = MeantRate(text);
  if (!meant.empty()) problem += Cat(": write `", meant, "`");
  return Wrong<RequestRate>(std::move(problem));
}

std::string FormatRate(uint32_t requests, Duration per) {
  for (const RateUnit& unit : kRateUnits) {
    if (per == unit.per) return Cat(requests, "/", unit.name);
  }
  return {};
}

}  // namespace rondo::config
