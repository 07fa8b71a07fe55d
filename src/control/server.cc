#include "rondo/control/server.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "control/listeners.h"
#include "control/log_writer.h"
#include "control/worker_threads.h"
#include "rondo/base/log.h"
#include "rondo/io/limits.h"

namespace rondo::control {
namespace {

using SteadyClock = std::chrono::steady_clock;

// What the main thread waits for: signals, and workers that have finished.
class Events {
 public:
  enum class What : uint8_t { kSignal, kWorkersDone, kTimeout };

  Events() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    done_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
  ~Events() {
    close(signal_fd_);
    close(done_fd_);
  }
  bool ok() const { return signal_fd_ >= 0 && done_fd_ >= 0; }
  int done_fd() const { return done_fd_; }

  // Waits for a signal (then *signal is set), for `workers` workers to have finished, or until `until`.
  What Wait(size_t workers, SteadyClock::time_point until, int* signal) {
    for (;;) {
      signalfd_siginfo info{};
      if (read(signal_fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
        *signal = static_cast<int>(info.ssi_signo);
        return What::kSignal;
      }
      uint64_t finished = 0;
      if (read(done_fd_, &finished, sizeof(finished)) > 0) done_ += finished;
      if (done_ >= workers) return What::kWorkersDone;
      int timeout = -1;
      if (until != SteadyClock::time_point::max()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - SteadyClock::now());
        if (left.count() <= 0) return What::kTimeout;
        timeout = static_cast<int>(std::min<int64_t>(left.count(), 1 << 30));
      }
      pollfd fds[] = {{signal_fd_, POLLIN, 0}, {done_fd_, POLLIN, 0}};
      poll(fds, 2, timeout);
    }
  }

 private:
  int signal_fd_ = -1;
  int done_fd_ = -1;
  uint64_t done_ = 0;
};

// Serves until asked to stop, then drains. True where everything ended in time.
class Lifecycle {
 public:
  Lifecycle(const config::Config& config, Events& events, WorkerThreads& workers, LogWriter* log)
      : config_(config), events_(events), workers_(workers), log_(log) {}

  void Run() {
    WaitUntil(SteadyClock::time_point::max());  // ends with a signal to stop
    if (config_.process.lame_duck > Duration::zero()) {
      LogInfo("stopping: serving on for process.lame_duck first");
      WaitUntil(SteadyClock::now() + config_.process.lame_duck);
    }
    LogInfo("stopping: no new connections, requests in flight are finished");
    workers_.Drain();
    if (WaitUntil(SteadyClock::now() + config_.process.shutdown_grace) == Events::What::kTimeout) {
      LogWarn("stopping: process.shutdown_grace is over, closing what is left");
      workers_.Cancel();
      WaitUntil(SteadyClock::now() + std::chrono::seconds(5));
    }
  }

 private:
  // Handles signals until one asks to stop (the first time), all workers are done, or the time is over.
  Events::What WaitUntil(SteadyClock::time_point until) {
    for (;;) {
      int signal = 0;
      const Events::What what = events_.Wait(workers_.count(), until, &signal);
      if (what != Events::What::kSignal) return what;
      if (signal == SIGUSR1) {
        if (log_ != nullptr) log_->Reopen();
      } else if (signal == SIGHUP || signal == SIGUSR2) {
        LogWarn(signal == SIGHUP ? "SIGHUP: reloading is not available in this version; restart instead"
                                 : "SIGUSR2: upgrading is not available in this version; restart instead");
      } else if (stopping_) {
        LogWarn("stopping at once: asked a second time");
        _exit(1);
      } else {
        stopping_ = true;
        return what;
      }
    }
  }

  const config::Config& config_;
  Events& events_;
  WorkerThreads& workers_;
  LogWriter* log_;
  bool stopping_ = false;
};

bool WritePidFile(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  const bool written = std::fprintf(file, "%d\n", static_cast<int>(getpid())) > 0;
  return std::fclose(file) == 0 && written;
}

}  // namespace

int RunServer(const config::Config& config) {
  SetLogLevel(config.logging.level);
  io::RaiseDescriptorLimit();
  Events events;
  if (!events.ok()) {
    LogError("cannot start: no descriptors left for signals");
    return 1;
  }
  const absl::StatusOr<io::EngineChoice> engine = io::ChooseEngine(config.process.engine);
  if (!engine.ok()) {
    LogError(std::string(engine.status().message()));
    return 1;
  }
  LogInfo(engine->reason);
  const size_t count = static_cast<size_t>(config.process.workers > 0 ? config.process.workers : io::UsableCpus());

  std::unique_ptr<LogWriter> log;
  if (config.logging.access.path != "off") {
    log = std::make_unique<LogWriter>(config.logging.access.path, count);
    if (absl::Status started = log->Start(); !started.ok()) {
      LogError(std::string(started.message()));
      return 1;
    }
  }
  auto sockets = OpenListeners(config, count);
  if (!sockets.ok()) {
    LogError(std::string(sockets.status().message()));
    return 1;
  }
  const auto snapshot = std::make_shared<const upstream::Snapshot>(1, config, count);
  {
    WorkerThreads workers(events.done_fd());
    const absl::Status started = workers.Start(engine->kind, snapshot, *std::move(sockets), log.get());
    if (!started.ok()) {
      LogError("cannot start the workers: " + std::string(started.message()));
      return 1;
    }
    const std::string& pid_file = config.process.pid_file;
    if (!pid_file.empty() && !WritePidFile(pid_file)) LogWarn("cannot write process.pid_file " + pid_file);
    LogInfo("serving with " + std::to_string(count) + (count == 1 ? " worker" : " workers"));
    Lifecycle(config, events, workers, log.get()).Run();
    if (!pid_file.empty()) unlink(pid_file.c_str());
    RemoveSocketFiles(config);
  }
  log.reset();
  LogInfo("stopped");
  return 0;
}

}  // namespace rondo::control
