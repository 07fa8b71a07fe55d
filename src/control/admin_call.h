// What the handlers of the admin API share: the call they answer, and the answers they make.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/admin_api.h"
#include "control/admin_target.h"
#include "control/cluster.h"
#include "rondo/config/edit.h"

namespace rondo::control {

struct AdminCall {
  const AdminContext& context;
  const AdminRequest& request;
  const AdminTarget& target;
  const std::vector<std::string>& path;  // what stands for the pattern's braces

  const std::string& upstream() const { return path[0]; }
  const std::string& backend() const { return path[1]; }
  Cluster& cluster() const { return context.cluster; }
  const std::string* Query(std::string_view name) const { return target.Find(name); }
};

AdminReply ErrorReply(int status, std::string_view code, std::string_view message,
                      std::string_view field = {});
// 400 with all errors: the first that names a field as `error`, and where there are more, all as `errors`.
AdminReply ErrorsReply(const std::vector<config::Error>& errors);
// The error of a write that was refused.
AdminReply RefusedReply(const Result& result);
AdminReply NoUpstream(std::string_view name);
AdminReply NoBackend(std::string_view upstream, std::string_view id);

// Without parameters such as a charset.
bool IsMediaType(std::string_view content_type, std::string_view wanted);
// Each of these returns an answer where the request is wrong, and nothing where it is right.
std::optional<AdminReply> ReadIfMatch(const AdminCall& call, IfMatch& if_match);
// A write's body is JSON; `extra` is another type that is taken too.
std::optional<AdminReply> CheckJsonBody(const AdminCall& call, std::string_view extra = {});
// A write without content: nothing, or {}.
std::optional<AdminReply> CheckNoBody(const AdminCall& call);
std::optional<AdminReply> ReadDuration(const AdminCall& call, std::string_view name, Duration max,
                                       std::optional<Duration>& duration);
// `?wait=`: absent, "false", or `word` or "true".
std::optional<AdminReply> ReadWait(const AdminCall& call, std::string_view word, bool& wait);

// -- handlers, by what they are about --
AdminReply GetHealth(AdminCall& call);
AdminReply GetReady(AdminCall& call);
AdminReply GetStatus(AdminCall& call);
AdminReply GetEvents(AdminCall& call);
AdminReply GetMetrics(AdminCall& call);
AdminReply GetOpenApi(AdminCall& call);
AdminReply GetExplain(AdminCall& call);
AdminReply GetHome(AdminCall& call);

AdminReply GetUpstreams(AdminCall& call);
AdminReply GetUpstream(AdminCall& call);
AdminReply PutUpstream(AdminCall& call);
AdminReply DeleteUpstream(AdminCall& call);

AdminReply GetBackends(AdminCall& call);
AdminReply PostBackend(AdminCall& call);
AdminReply PutBackends(AdminCall& call);
AdminReply GetBackend(AdminCall& call);
AdminReply PatchBackend(AdminCall& call);
AdminReply DeleteBackend(AdminCall& call);
AdminReply GetDrain(AdminCall& call);

AdminReply GetConfig(AdminCall& call);
AdminReply PutConfig(AdminCall& call);
AdminReply PostConfigCheck(AdminCall& call);
AdminReply PostReload(AdminCall& call);
AdminReply GetDiff(AdminCall& call);
AdminReply DeleteDiff(AdminCall& call);
AdminReply GetExport(AdminCall& call);

}  // namespace rondo::control
