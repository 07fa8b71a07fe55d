// One active check on one connection: made, judged and put into words. Control thread.
#pragma once

#include <string_view>

#include "control/probe_connection.h"
#include "control/probe_http.h"
#include "rondo/base/address.h"
#include "rondo/config/config.h"
#include "rondo/health/check_result.h"
#include "rondo/rt/task.h"

namespace rondo::control {

// Where a check goes: the backend, or its own port there.
SocketAddress CheckAddress(const config::HealthCheck& check, const SocketAddress& backend);

// What is to be known of the answer to judge it; views of `check`.
ProbeAnswer::Wants CheckWants(const config::HealthCheck& check);

// Connects and, for HTTP and gRPC, asks. What is cancelled counts as a timeout. `connection` is
// new, `answer` made with CheckWants; both stay for the caller, who may read the rest. All
// references outlive the task. The result's times are the caller's to fill in.
rt::Task<health::CheckResult> MakeCheck(ProbeConnection& connection,
                                        const config::HealthCheck& check, const SocketAddress& to,
                                        const ProbeWire& wire, std::string_view user_agent,
                                        ProbeAnswer& answer);

}  // namespace rondo::control
