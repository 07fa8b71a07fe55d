// `rondo ctl`: asks the admin API of a running Rondo.
#pragma once

#include <string>

#include "app/ctl_client.h"
#include "app/ctl_options.h"

namespace rondo::app {

inline constexpr int kCtlOk = 0;
inline constexpr int kCtlFailed = 1;
inline constexpr int kCtlUsage = 2;
inline constexpr int kCtlUnreachable = 3;
inline constexpr int kCtlUnauthorised = 4;

// The exit status.
int RunCtlCommand(const CtlArguments& arguments);

// What `arguments` ask for, as a request; the target is encoded.
CtlRequest CtlRequestOf(const CtlArguments& arguments);

// -- for the parts of `rondo ctl` --
// Says on stderr why there is no answer, or that it is a refusal; the exit status. kCtlOk: neither.
int CtlReport(const CtlClient& client, const std::optional<CtlResponse>& response);
// Says that what answers there is something else; the exit status.
int CtlForeign(const CtlClient& client, int status);
int RunCtlEvents(CtlClient& client, const CtlArguments& arguments);

}  // namespace rondo::app
