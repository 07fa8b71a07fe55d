// The whole proxy as a process: opens the listeners, starts a worker for each CPU, and from then on
// is the control thread: signals, admin API, health, discovery, drains, reloads. Lives on the main
// thread.
#pragma once

#include <string>

#include "rondo/config/config.h"

namespace rondo::control {

struct ServerOptions {
  std::string config_path;  // what a reload reads; empty: there is no file
  std::string version;
  std::string commit;
};

// Serves until SIGTERM or SIGINT and everything in flight has ended (or process.shutdown_grace is
// over); a second one of these ends at once. SIGHUP reloads, SIGUSR1 reopens the access log.
// Returns the exit status: 0 after a signal, 1 where it could not start (the reason is in the
// process log). REQUIRES: no other thread yet, since signals are blocked for those to come.
int RunServer(const config::Config& config, const ServerOptions& options);

}  // namespace rondo::control
