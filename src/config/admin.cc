#include "config/build.h"
#include "config/host_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

constexpr uint32_t kLoopback = 0x7f000001;
constexpr uint16_t kAdminPort = 9900;

// Nothing where it is off; the default after an error.
std::optional<SocketAddress> BuildListen(const Section& section) {
  const std::optional<Text> text = section.ReadText("listen");
  if (!text) return DefaultAdminAddress();
  if (text->value == "off") return std::nullopt;
  Context& context = section.context();
  Checked<SocketAddress> address = CheckListenAddress(text->value);
  if (address.value && address.value->kind == SocketAddress::Kind::kUnix &&
      !address.value->path.starts_with('@')) {
    address = CheckListenAddress(Cat("unix:", context.ResolvePath(address.value->path)));
  }
  if (address.value) return std::move(*address.value);
  context.AddError(text->where, ValueProblem("listen", text->value, address.problem));
  return DefaultAdminAddress();
}

// Nothing after an error. In JSON what was shown in the place of a token may come back.
std::optional<std::string> BuildToken(const Section& section) {
  if (section.Find("token") == nullptr) return std::string();
  const std::optional<Text> text = section.ReadText("token");
  if (!text) return std::nullopt;
  Context& context = section.context();
  if (context.json() && text->value == kHiddenSecret) return text->value;
  Checked<std::string> token = CheckToken(text->value);
  if (!token.value) context.AddError(text->where, Cat("`token` ", token.problem));
  return std::move(token.value);
}

}  // namespace

SocketAddress DefaultAdminAddress() {
  return {.port = kAdminPort, .ip = IpAddress::V4(kLoopback), .path = {}};
}

bool IsLoopback(const SocketAddress& address) {
  if (address.kind == SocketAddress::Kind::kUnix) return true;
  if (address.both_families) return false;
  static const Network* const v4 = new Network(*Network::Parse("127.0.0.0/8"));
  static const IpAddress* const v6 = new IpAddress(*IpAddress::Parse("::1"));
  return v4->Contains(address.ip) || address.ip == *v6;
}

std::optional<Admin> BuildAdmin(const Section& root) {
  Admin admin;
  const std::optional<Section> section = root.ReadSection("admin");
  if (!section) return admin;
  std::optional<SocketAddress> listen = BuildListen(*section);
  std::optional<std::string> token = BuildToken(*section);
  BuildAdminTls(*section, admin.tls);
  if (!listen) return std::nullopt;
  const bool asks_certificates = admin.tls && !admin.tls->client_ca.empty();
  if (token && token->empty() && !asks_certificates && !IsLoopback(*listen)) {
    section->context().AddError(
        section->Find("listen")->value->mark,
        Cat("`listen`: ", Quoted(listen->ToString()),
            " can be reached from other machines: write a `token` too, such as "
            "${RONDO_ADMIN_TOKEN}, or `tls` with a `client_ca`, or listen on 127.0.0.1 or a unix "
            "socket"));
  }
  admin.listen = std::move(*listen);
  if (token) admin.token = std::move(*token);
  return admin;
}

}  // namespace rondo::config
