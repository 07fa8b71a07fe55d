#include "control/admin_api.h"

#include <algorithm>

#include "control/admin_call.h"
#include "control/events.h"
#include "rondo/config/scalar.h"

namespace rondo::control {
namespace {

constexpr AdminRoute kRoutes[] = {
    {"GET", "/healthz", &GetHealth, "", true},
    {"GET", "/readyz", &GetReady, "upstream all", true},
    {"GET", "/v1/status", &GetStatus, ""},
    {"GET", "/v1/upstreams", &GetUpstreams, ""},
    {"GET", "/v1/upstreams/{upstream}", &GetUpstream, ""},
    {"PUT", "/v1/upstreams/{upstream}", &PutUpstream, ""},
    {"DELETE", "/v1/upstreams/{upstream}", &DeleteUpstream, ""},
    {"GET", "/v1/upstreams/{upstream}/backends", &GetBackends, ""},
    {"POST", "/v1/upstreams/{upstream}/backends", &PostBackend, "wait timeout"},
    {"PUT", "/v1/upstreams/{upstream}/backends", &PutBackends, ""},
    {"GET", "/v1/upstreams/{upstream}/backends/{backend}", &GetBackend, ""},
    {"PATCH", "/v1/upstreams/{upstream}/backends/{backend}", &PatchBackend, "drain"},
    {"DELETE", "/v1/upstreams/{upstream}/backends/{backend}", &DeleteBackend, "drain wait timeout"},
    {"GET", "/v1/upstreams/{upstream}/backends/{backend}/drain", &GetDrain, "wait timeout"},
    {"GET", "/v1/config", &GetConfig, ""},
    {"PUT", "/v1/config", &PutConfig, ""},
    {"POST", "/v1/config/check", &PostConfigCheck, ""},
    {"POST", "/v1/reload", &PostReload, ""},
    {"GET", "/v1/diff", &GetDiff, ""},
    {"DELETE", "/v1/diff", &DeleteDiff, ""},
    {"GET", "/v1/export", &GetExport, ""},
    {"GET", "/v1/explain", &GetExplain, "url header method client listener"},
    {"GET", "/v1/events", &GetEvents, "after"},
    {"GET", "/v1/openapi.json", &GetOpenApi, ""},
    {"GET", "/metrics", &GetMetrics, ""},
    {"GET", "/", &GetHome, ""},
};

bool Takes(const AdminRoute& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

// The parameter that the call does not take, where there is one.
const std::string* UnknownParameter(const AdminRoute& route, const AdminTarget& target) {
  if (!route.pattern.starts_with("/v1/")) return nullptr;
  for (const auto& [name, value] : target.query) {
    bool known = false;
    std::string_view rest = route.query;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(' '), rest.size());
      known = known || rest.substr(0, end) == name;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!known) return &name;
  }
  return nullptr;
}

AdminReply WrongMethod(const std::string& allow) {
  AdminReply reply = ErrorReply(405, "method_not_allowed", "this address takes " + allow);
  reply.allow = allow;
  return reply;
}

}  // namespace

std::span<const AdminRoute> AdminRoutes() { return kRoutes; }

std::string AdminMoment::Text(Instant at) const { return Rfc3339(wall - (now - at)); }

AdminReply AdminApi::Handle(const AdminRequest& request) {
  const std::optional<AdminTarget> target = ParseAdminTarget(request.target);
  if (!target) return ErrorReply(400, "bad_target", "the address of this call is not valid");
  std::string allow;
  std::vector<std::string> values;
  for (const AdminRoute& route : kRoutes) {
    if (!MatchAdminPattern(route.pattern, target->path, values)) continue;
    if (Takes(route, request.method)) {
      if (const std::string* unknown = UnknownParameter(route, *target)) {
        std::string message = "this call takes no parameter " + config::Quoted(*unknown);
        if (!route.query.empty()) message.append("; it takes: ").append(route.query);
        return ErrorReply(400, "unknown_parameter", message, *unknown);
      }
      AdminCall call{context_, request, *target, values};
      return route.handler(call);
    }
    if (!allow.empty()) allow += ", ";
    allow += route.method;
    if (route.method == "GET") allow += ", HEAD";
  }
  if (!allow.empty()) return WrongMethod(allow);
  return ErrorReply(404, "no_such_call",
                    "there is no such address here; /v1/openapi.json lists all");
}

bool AdminApi::IsOpen(std::string_view method, std::string_view text) {
  const std::optional<AdminTarget> target = ParseAdminTarget(text);
  if (!target) return false;
  std::vector<std::string> values;
  return std::any_of(std::begin(kRoutes), std::end(kRoutes), [&](const AdminRoute& route) {
    return route.open && Takes(route, method) &&
           MatchAdminPattern(route.pattern, target->path, values);
  });
}

}  // namespace rondo::control
