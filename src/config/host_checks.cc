#include "config/host_checks.h"

#include <absl/strings/ascii.h>

#include <algorithm>

#include "config/route_checks.h"
#include "config/text.h"
#include "rondo/config/edit.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

constexpr size_t kLabelBytesMax = 63;
constexpr size_t kHostBytesMax = 253;
constexpr size_t kIdBytesMax = 128;
constexpr size_t kTokenBytesMax = 1024;
constexpr int64_t kPortMax = 65535;
constexpr uint16_t kDnsPort = 53;

template <class T = std::string>
Checked<T> Wrong(std::string problem) {
  return {.value = std::nullopt, .problem = std::move(problem)};
}

bool IsAlnum(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }
bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

// Letters, digits, `-` and `_` (service names have that) in parts of 1 to 63, the last of which is
// not a number: that would be an address with a slip in it.
bool IsHostName(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kHostBytesMax) return false;
  std::string_view label;
  while (true) {
    const size_t dot = text.find('.');
    label = text.substr(0, dot);
    const bool is_right =
        !label.empty() && label.size() <= kLabelBytesMax && !label.starts_with('-') &&
        !label.ends_with('-') &&
        std::ranges::all_of(label, [](char c) { return IsAlnum(c) || c == '-' || c == '_'; });
    if (!is_right) return false;
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  return !std::ranges::all_of(label, IsDigit);
}

}  // namespace

Checked<Place> CheckBackendPlace(std::string_view text) {
  const size_t colon = text.rfind(':');
  const std::string_view host = text.substr(0, colon);
  const bool is_name = colon != std::string_view::npos && !text.starts_with("unix:") &&
                       text.find(':') == colon && IsHostName(host);
  if (!is_name) {
    Checked<SocketAddress> address = CheckBackendAddress(text);
    if (!address.value) return Wrong<Place>(std::move(address.problem));
    return {.value = Place{.address = std::move(*address.value), .name = {}}, .problem = {}};
  }
  const std::string_view digits = text.substr(colon + 1);
  const std::optional<int64_t> port = ParseWhole(digits);
  if (!port || *port < 1 || *port > kPortMax) {
    return Wrong<Place>(Cat(digits.empty() ? "has no port behind the colon: it"
                                           : Cat("has the port ", Quoted(digits), ": it"),
                            " must be a number from 1 to ", kPortMax));
  }
  return {
      .value = Place{.address = {}, .name = LowerCase(host), .port = static_cast<uint16_t>(*port)},
      .problem = {}};
}

Checked<std::string> CheckHostName(std::string_view text) {
  if (IpAddress::Parse(text) || SocketAddress::Parse(text)) {
    return Wrong<>("is an address, not a name to be resolved: write it as a backend by itself");
  }
  if (text.find("://") != std::string_view::npos) {
    return Wrong<>("is a URL: write the name alone, such as `api.internal`");
  }
  if (text.find(':') != std::string_view::npos) {
    return Wrong<>("has a port: write the name alone, such as `api.internal`");
  }
  if (!IsHostName(text)) {
    return Wrong<>(
        "is not a host name, such as `api.internal`: letters, digits, `-`, `_` and dots between "
        "(other scripts as xn--...)");
  }
  return {.value = LowerCase(text), .problem = {}};
}

Checked<std::string> CheckBackendId(std::string_view text) {
  const auto allowed = [](char c) {
    return IsAlnum(c) || std::string_view("-_.:@").find(c) != std::string_view::npos;
  };
  if (text.empty() || text.size() > kIdBytesMax || !IsAlnum(text.front()) ||
      !std::ranges::all_of(text, allowed)) {
    return Wrong<>(Cat("is not an id: 1 to ", kIdBytesMax,
                       " letters, digits, `-`, `_`, `.`, `:` and `@`, beginning with a letter or "
                       "digit"));
  }
  return {.value = std::string(text), .problem = {}};
}

Checked<std::string> CheckServerName(std::string_view text) {
  if (IpAddress::Parse(text)) {
    return Wrong<>(
        "is an address, and only names can be asked for: write a name, or remove the key where "
        "certificates are for addresses");
  }
  if (text.ends_with('.')) return Wrong<>("ends with a dot: write the name without it");
  return CheckHostName(text);
}

Checked<std::string> CheckUser(std::string_view text) {
  constexpr size_t kUserBytesMax = 32;
  const auto is_name = [](std::string_view name) {
    const auto allowed = [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; };
    return !name.empty() && name.size() <= kUserBytesMax && !name.starts_with('-') &&
           std::ranges::all_of(name, allowed);
  };
  const size_t colon = text.find(':');
  const bool has_group = colon != std::string_view::npos;
  if (is_name(text.substr(0, colon)) && (!has_group || is_name(text.substr(colon + 1)))) {
    return {.value = std::string(text), .problem = {}};
  }
  return Wrong<>("is neither a user nor a user and a group: write it like `rondo` or `rondo:web`");
}

Checked<SocketAddress> CheckNameServer(std::string_view text) {
  if (const std::optional<IpAddress> ip = IpAddress::Parse(text)) {
    return {.value = SocketAddress{.port = kDnsPort, .ip = *ip, .path = {}}, .problem = {}};
  }
  std::optional<SocketAddress> address = SocketAddress::Parse(text);
  const bool is_right = address && address->kind == SocketAddress::Kind::kIp && address->port != 0;
  if (is_right) return {.value = std::move(address), .problem = {}};
  return Wrong<SocketAddress>(
      "is not the address of a name server: write it like `10.0.0.2`, `10.0.0.2:53` or "
      "`[fd00::2]:53`");
}

Checked<std::string> CheckToken(std::string_view text) {
  // The message has no value in it: an error must not show a secret.
  const auto allowed = [](char c) { return c > 0x20 && c < 0x7f; };
  if (text.size() > kTokenBytesMax || !std::ranges::all_of(text, allowed)) {
    return Wrong<>(Cat("must be at most ", kTokenBytesMax, " ASCII characters without spaces"));
  }
  if (text == kHiddenSecret) {
    return Wrong<>("is what stands for a token that is not shown: write the token itself");
  }
  return {.value = std::string(text), .problem = {}};
}

Checked<std::string> CheckProbeHost(std::string_view text) {
  const auto allowed = [](char c) {
    return IsAlnum(c) || std::string_view("-_.:[]").find(c) != std::string_view::npos;
  };
  if (text.find("://") != std::string_view::npos) {
    return Wrong<>("is a URL: write the host alone, such as `api.example.com`");
  }
  if (text.empty() || text.size() > kHostBytesMax || !std::ranges::all_of(text, allowed)) {
    return Wrong<>("is not a host, such as `api.example.com` or `api.example.com:8080`");
  }
  return {.value = std::string(text), .problem = {}};
}

Checked<std::string> CheckProbePath(std::string_view text) {
  constexpr size_t kTargetBytesMax = 4096;
  if (!text.starts_with('/')) return Wrong<>("must begin with `/`");
  if (text.size() > kTargetBytesMax)
    return Wrong<>(Cat("has more than ", kTargetBytesMax, " bytes"));
  if (text.find('#') != std::string_view::npos) {
    return Wrong<>("has a fragment, which requests do not: remove what stands from `#` on");
  }
  if (std::string problem = UriProblem(text); !problem.empty()) return Wrong<>(std::move(problem));
  return {.value = std::string(text), .problem = {}};
}

}  // namespace rondo::config
