// What must hold of every request once a simulation of the proxy is over.
#pragma once

#include "proxy_draw.h"

namespace rondo::sim {

// Adds to the scene's findings.
void CheckRun(DrawnRun& run);

}  // namespace rondo::sim
