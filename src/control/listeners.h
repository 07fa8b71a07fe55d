// Listening sockets belong to the process: opened here, all before the first worker starts, so that an
// address that cannot be had is an error of the start and not of one thread.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "rondo/config/config.h"
#include "rondo/proxy/worker.h"

namespace rondo::control {

// For each worker its sockets: one of its own for each TCP address (SO_REUSEPORT), a shared one for each unix
// path. Logs a line "listening on ADDRESS (NAME)" for each. On an error everything is closed again.
absl::StatusOr<std::vector<std::vector<proxy::ListenFd>>> OpenListeners(const config::Config& config,
                                                                        size_t workers);
// Removes the files of unix sockets, at the end.
void RemoveSocketFiles(const config::Config& config);

}  // namespace rondo::control
