#include "rondo/control/server.h"

#include <algorithm>
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
      LogInfo("serving with " + std::to_string(count) + (count == 1 ? " worker" : " workers"));
      control.Serve();
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
