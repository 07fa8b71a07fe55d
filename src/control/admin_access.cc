#include "control/admin_access.h"

#include <algorithm>
#include <optional>

#include "rondo/config/config.h"
#include "rondo/http/field.h"

namespace rondo::control {
namespace {

using http::EqualsIgnoreCase;

// The host of "host", "host:port", "[v6]" and "[v6]:port"; empty where it is none of these.
std::string_view HostOf(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    return end == std::string_view::npos ? std::string_view() : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

bool IsLoopbackName(std::string_view name) {
  constexpr std::string_view kName = "localhost";
  if (name.size() < kName.size()) return false;
  const std::string_view end = name.substr(name.size() - kName.size());
  // Names below it too: they all lead to this machine (RFC 6761 §6.3).
  return EqualsIgnoreCase(end, kName) &&
         (name.size() == kName.size() || name[name.size() - kName.size() - 1] == '.');
}

bool IsOurHost(const SocketAddress& listen, std::string_view authority) {
  if (listen.kind == SocketAddress::Kind::kUnix || !config::IsLoopback(listen)) return true;
  // Browsers always send one; HTTP/1.0 scripts may not.
  if (authority.empty()) return true;
  const std::string_view host = HostOf(authority);
  if (IsLoopbackName(host)) return true;
  const std::optional<IpAddress> ip = IpAddress::Parse(host);
  if (!ip) return false;
  if (*ip == listen.ip) return true;
  SocketAddress address;
  address.ip = *ip;
  return config::IsLoopback(address);
}

bool IsOurOrigin(std::string_view origin, std::string_view authority) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.size() > scheme.size() &&
        EqualsIgnoreCase(origin.substr(0, scheme.size()), scheme)) {
      return EqualsIgnoreCase(origin.substr(scheme.size()), authority);
    }
  }
  return false;  // "null" too: what a sandboxed page says
}

// What Authorization says behind "Bearer"; nothing where it is missing, of another kind, or there
// twice.
std::optional<std::string_view> BearerToken(const http::RequestHead& head) {
  std::optional<std::string_view> token;
  for (const http::Field& field : head.fields) {
    if (field.id != http::FieldId::kAuthorization) continue;
    constexpr std::string_view kScheme = "Bearer ";
    if (token || field.value.size() <= kScheme.size() ||
        !EqualsIgnoreCase(field.value.substr(0, kScheme.size()), kScheme)) {
      return std::nullopt;
    }
    token = http::TrimOws(field.value.substr(kScheme.size()));
  }
  return token;
}

}  // namespace

bool SameToken(std::string_view given, std::string_view token) {
  if (token.empty()) return false;
  // Volatile, so that no compiler ends the loop at the first difference.
  volatile unsigned char difference = given.size() == token.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const auto a = static_cast<unsigned char>(given[i]);
    const auto b = static_cast<unsigned char>(token[i % token.size()]);
    difference = static_cast<unsigned char>(difference | (a ^ b));
  }
  return difference == 0;
}

Access CheckAccess(const AdminAccess& access, const http::RequestHead& head, bool open,
                   bool verified) {
  if (!IsOurHost(access.listen, head.host)) return Access::kForeignHost;
  for (const http::Field& field : head.fields) {
    if (field.id == http::FieldId::kOrigin && !IsOurOrigin(field.value, head.host))
      return Access::kForeignOrigin;
  }
  if (open) return Access::kGranted;
  if (access.certificate && !verified) return Access::kNoCertificate;
  if (access.token.empty()) return Access::kGranted;
  if (!head.known.Has(http::FieldId::kAuthorization)) return Access::kNoToken;
  const std::optional<std::string_view> token = BearerToken(head);
  return token && SameToken(*token, access.token) ? Access::kGranted : Access::kWrongToken;
}

}  // namespace rondo::control
