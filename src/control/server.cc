#include "rondo/control/server.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "control/control_plane.h"
#include "control/log_writer.h"
#include "control/signals.h"
#include "rondo/base/log.h"
#include "rondo/io/limits.h"

namespace rondo::control {
namespace {

bool WritePidFile(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  const bool written = std::fprintf(file, "%d\n", static_cast<int>(getpid())) > 0;
  return std::fclose(file) == 0 && written;
}

int Fail(std::string_view what, const absl::Status& status) {
  LogError(std::string(what) + std::string(status.message()));
  return 1;
}

// Few connections are served here: what is received at once stays small.
constexpr size_t kControlBuffers = 1024;

}  // namespace

int RunServer(const config::Config& config, const ServerOptions& options) {
  SetLogLevel(config.logging.level);
  io::RaiseDescriptorLimit();
  BlockSignals();
  const absl::StatusOr<io::EngineChoice> choice = io::ChooseEngine(config.process.engine);
  if (!choice.ok()) return Fail("", choice.status());
  LogInfo(choice->reason);
  const size_t count =
      static_cast<size_t>(config.process.workers > 0 ? config.process.workers : io::UsableCpus());

  std::unique_ptr<LogWriter> log;
  if (config.logging.access.path != "off") {
    log = std::make_unique<LogWriter>(config.logging.access.path, count);
    if (absl::Status started = log->Start(); !started.ok()) return Fail("", started);
  }
  io::EngineOptions engine_options;
  engine_options.buffers_max = kControlBuffers;
  // The control thread needs nothing that io_uring is better at, and descriptors of all kinds.
  auto engine = io::MakeEngine(io::EngineKind::kEpoll, engine_options);
  if (!engine.ok()) return Fail("cannot start: ", engine.status());

  int status = 0;
  {
    ControlPlane control(**engine, config, options, *choice, count, log.get());
    absl::Status started = control.Start();
    if (started.ok()) {
      const std::string& pid_file = config.process.pid_file;
      if (!pid_file.empty() && !WritePidFile(pid_file))
        LogWarn("cannot write process.pid_file " + pid_file);
      LogInfo("serving with " + std::to_string(count) + (count == 1 ? " worker" : " workers"));
      control.Serve();
      if (!pid_file.empty()) unlink(pid_file.c_str());
    } else {
      status = Fail("", started);
    }
    control.Shutdown();
  }
  log.reset();
  if (status == 0) LogInfo("stopped");
  return status;
}

}  // namespace rondo::control
