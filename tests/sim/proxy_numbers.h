// What workers counted for the metrics: at the end it must be what their access logs say.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "proxy_plan.h"
#include "rondo/proxy/worker.h"

namespace rondo::sim {

using WorkerSpan = std::span<const std::unique_ptr<proxy::Worker>>;
using BackendSpan = std::span<const std::shared_ptr<upstream::BackendShared>>;

// Everything has ended. `log`: all that the workers have written, in JSON (else nothing is said).
void CheckNumbers(Scene& scene, WorkerSpan workers, std::string_view log);
// Nothing is left in use.
void CheckGauges(Scene& scene, WorkerSpan workers, BackendSpan backends);

}  // namespace rondo::sim
