#include "config/checks.h"

#include <algorithm>

#include "config/text.h"
#include "rondo/base/hex.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

enum class Role : uint8_t { kListener, kBackend };

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlnum(char c) { return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
// RFC 9110 §5.6.2
bool IsToken(char c) {
  return IsAlnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
template <class Predicate>
bool All(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

template <class T = std::string>
Checked<T> Wrong(std::string problem) {
  return {.value = std::nullopt, .problem = std::move(problem)};
}

std::string PortProblem(std::string_view port, Role role) {
  const std::string_view range = role == Role::kListener ? "0 to 65535" : "1 to 65535";
  if (port.empty()) return Cat("has no port behind the colon: it must be a number from ", range);
  return Cat("has the port ", Quoted(port), ": it must be a number from ", range);
}

// Why `text` is no address. `example` is a right one.
std::string AddressProblem(std::string_view text, Role role) {
  const std::string_view example = role == Role::kListener ? "0.0.0.0:8080" : "10.0.1.10:3000";
  if (text.starts_with("unix:")) return "must have a path of 1 to 107 bytes behind `unix:`";
  if (text.find("://") != std::string_view::npos) {
    return Cat("is a URL: write address and port alone, such as `", example, "`");
  }
  if (!text.empty() && All(text, IsDigit)) {
    return role == Role::kListener
               ? Cat("is a number: write `:", text, "` to listen on a port")
               : Cat("is a number: write address and port, such as `127.0.0.1:", text, "`");
  }
  const size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || bracket + 1 != colon) {
      return "is not an IPv6 address with a port: write it like `[::1]:8080`";
    }
    if (!IpAddress::Parse(text.substr(1, bracket - 1))) {
      return "has no IPv6 address between the brackets: write it like `[::1]:8080`";
    }
    return PortProblem(text.substr(colon + 1), role);
  }
  if (std::count(text.begin(), text.end(), ':') > 1) {
    return "is not an address and port: write IPv6 in brackets, like `[::1]:8080`";
  }
  if (colon == std::string_view::npos) {
    return Cat("has no port: write address and port, such as `", example, "`");
  }
  const std::string_view host = text.substr(0, colon);
  if (host.empty() && role == Role::kBackend) {
    return Cat("has no address before the port: write both, such as `127.0.0.1", text, "`");
  }
  if (host.empty() || IpAddress::Parse(host)) return PortProblem(text.substr(colon + 1), role);
  if (All(host, [](char c) { return IsDigit(c) || c == '.'; })) {
    return "is not an IPv4 address: four numbers from 0 to 255, without leading zeros";
  }
  if (role == Role::kListener &&
      All(host, [](char c) { return IsAlnum(c) || c == '.' || c == '-' || c == '_'; })) {
    return Cat(
        "is a host name, which is part of Rondo's configuration but not available in this "
        "version: write an address such as `",
        example, "`");
  }
  return Cat("is not an address and port: write it like `", example, "`");
}

// RFC 3986 §2.3
bool IsUnreserved(char c) { return IsAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~'; }

// The first percent escape in `path` that a normalised path does not have.
std::string EscapeProblem(std::string_view path) {
  for (size_t i = path.find('%'); i != std::string_view::npos; i = path.find('%', i + 1)) {
    const int high = i + 1 < path.size() ? HexValue(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? HexValue(path[i + 2]) : -1;
    if (high < 0 || low < 0)
      return "has a `%` without two hexadecimal digits: a percent sign is `%25`";
    const std::string_view escape = path.substr(i, 3);
    const char decoded = static_cast<char>(high * 16 + low);
    if (decoded == '\0') return "has `%00`, which every request is refused for";
    if (IsUnreserved(decoded)) {
      return Cat("has the escape `", escape, "`, but paths are matched decoded: write `",
                 std::string_view(&decoded, 1), "`");
    }
    if (All(escape, [](char c) { return c < 'a' || c > 'f'; })) continue;
    return Cat("has the escape `", escape, "`, but paths are matched with upper-case digits");
  }
  return {};
}

}  // namespace

Checked<SocketAddress> CheckListenAddress(std::string_view text) {
  std::optional<SocketAddress> address = SocketAddress::Parse(text, true);
  if (!address) return Wrong<SocketAddress>(AddressProblem(text, Role::kListener));
  return {.value = std::move(address), .problem = {}};
}

Checked<SocketAddress> CheckBackendAddress(std::string_view text) {
  std::optional<SocketAddress> address = SocketAddress::Parse(text);
  if (!address) return Wrong<SocketAddress>(AddressProblem(text, Role::kBackend));
  if (address->kind == SocketAddress::Kind::kIp && address->port == 0) {
    return Wrong<SocketAddress>(PortProblem("0", Role::kBackend));
  }
  return {.value = std::move(address), .problem = {}};
}

Checked<Network> CheckNetwork(std::string_view text) {
  if (const std::optional<Network> network = Network::Parse(text))
    return {.value = network, .problem = {}};
  const size_t slash = text.find('/');
  const std::optional<IpAddress> base = IpAddress::Parse(text.substr(0, slash));
  if (!base || slash == std::string_view::npos) {
    return Wrong<Network>(
        "is not a network: write it like `10.0.0.0/8`, `2001:db8::/32` or `10.0.0.1`");
  }
  const int bits_max = base->is_v4() ? 32 : 128;
  const std::optional<int64_t> bits = ParseWhole(text.substr(slash + 1));
  if (!bits || *bits > bits_max) {
    return Wrong<Network>(Cat("has no prefix length from 0 to ", bits_max, " behind the slash"));
  }
  return Wrong<Network>("has bits set behind its prefix: write the network's first address");
}

Checked<std::string> CheckName(std::string_view text) {
  const auto allowed = [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; };
  if (text.empty() || text.size() > 64 || !IsAlnum(text.front()) || !All(text, allowed)) {
    return Wrong<>(
        "is not a name: 1 to 64 letters, digits, `-`, `_` and `.`, beginning with a letter or "
        "digit");
  }
  return {.value = std::string(text), .problem = {}};
}

Checked<std::string> CheckHost(std::string_view text) {
  std::string host = LowerCase(text);
  std::string_view name = host;
  if (name == "*") return Wrong<>("matches every host: leave `host` out for that");
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.starts_with('[') && name.ends_with(']') && name.size() == host.size()) {
    if (IpAddress::Parse(name.substr(1, name.size() - 2)))
      return {.value = std::move(host), .problem = {}};
    return Wrong<>("has no IPv6 address between the brackets");
  }
  if (name.find('*') != std::string_view::npos) {
    return Wrong<>(
        "has `*` in the wrong place: only a whole first part can be `*`, as in `*.example.com`");
  }
  if (name.find(':') != std::string_view::npos) {
    return Wrong<>("has a port or a scheme: hosts are matched without, as in `api.example.com`");
  }
  if (name.ends_with('.')) return Wrong<>("ends with a dot: write the name without it");
  const auto allowed = [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; };
  if (name.empty() || host.size() > 255 || name.starts_with('.') || !All(name, allowed) ||
      name.find("..") != std::string_view::npos) {
    return Wrong<>("is not a host name: letters, digits, `-` and `.` (other scripts as xn--...)");
  }
  return {.value = std::move(host), .problem = {}};
}

Checked<std::string> CheckPath(std::string_view text) {
  if (!text.starts_with('/')) return Wrong<>("must begin with `/`");
  if (text.find_first_of("?#") != std::string_view::npos) {
    return Wrong<>("has a query or fragment: only the path is matched");
  }
  if (text.find('\\') != std::string_view::npos) {
    return Wrong<>("has a backslash, which every request is refused for");
  }
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!All(text, visible))
    return Wrong<>("has a space or a character that is not ASCII: write it escaped, as in `%20`");
  if (std::string problem = EscapeProblem(text); !problem.empty())
    return Wrong<>(std::move(problem));
  if (text.find("//") != std::string_view::npos) {
    return Wrong<>("has `//`, but paths are matched with slashes merged: write one");
  }
  const std::string closed = Cat(text, "/");
  if (closed.find("/./") != std::string::npos || closed.find("/../") != std::string::npos) {
    return Wrong<>("has a `.` or `..` segment, but paths are matched with those resolved");
  }
  return {.value = std::string(text), .problem = {}};
}

Checked<std::string> CheckUpgrade(std::string_view text) {
  std::string token = LowerCase(text);
  if (token == "h2c")
    return Wrong<>("is never forwarded: HTTP/2 over cleartext cannot be upgraded to");
  const auto allowed = [](char c) { return IsToken(c) || c == '/'; };
  if (token.empty() || token.size() > 64 || !All(token, allowed) || token.starts_with('/') ||
      token.ends_with('/') || std::count(token.begin(), token.end(), '/') > 1) {
    return Wrong<>("is not an Upgrade token, such as `websocket`");
  }
  return {.value = std::move(token), .problem = {}};
}

Checked<std::string> CheckVia(std::string_view text) {
  const auto allowed = [](char c) { return IsToken(c) || c == ':' || c == '[' || c == ']'; };
  if (text.empty() || text.size() > 255 || !All(text, allowed)) {
    return Wrong<>(
        "is no name for a Via header: write one without spaces, such as `edge-1`, or `off`");
  }
  return {.value = std::string(text), .problem = {}};
}

}  // namespace rondo::config
