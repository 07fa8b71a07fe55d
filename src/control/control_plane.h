// Everything that lives on the control thread of a serving process, and the workers it rules: the
// composition root.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "control/admin_server.h"
#include "control/cares_resolver.h"
#include "control/certificate_keeper.h"
#include "control/certificates.h"
#include "control/cluster.h"
#include "control/inotify_watcher.h"
#include "control/lifecycle.h"
#include "control/links.h"
#include "control/listener_sockets.h"
#include "control/log_writer.h"
#include "control/pid_file.h"
#include "control/process_numbers.h"
#include "control/signals.h"
#include "control/worker_threads.h"
#include "rondo/control/server.h"

namespace rondo::control {

class ControlPlane final : public Links, public SignalListener, public Lifecycle::Hands {
 public:
  // `engine` and `log` (null: no access log) outlive it.
  ControlPlane(io::Engine& engine, const config::Config& config, const ServerOptions& options,
               const io::EngineChoice& choice, size_t workers, LogWriter* log);
  ~ControlPlane() override;  // REQUIRES: Shutdown

  // Returns once all workers accept, or with the first error. On the way it becomes process.user:
  // when all that only root can open is open, and before there are workers.
  absl::Status Start();
  // Until a signal has ended it, and all workers.
  void Serve();
  // Ends what is left on this thread, and the workers of a start that failed.
  void Shutdown();

 private:
  // ClusterLinks
  uint64_t ProtectSeed() const override { return protect_seed_; }
  bool CanApply(std::string_view key) const override;
  absl::Status PrepareConfig(const config::Config& now, const config::Config& next) override;
  void DropPrepared() override { sockets_.DropPrepared(); }
  void CommitConfig(const config::Config& now, const config::Config& next) override;
  TlsProblems PrepareTls(const TlsWanted& wanted) override;
  bool CommitTls() override;

  void OnSignal(int signal) override;

  // Lifecycle::Hands
  void BeginLameDuck(Duration lame_duck) override;
  void BeginDrain(Instant until) override;
  void CutTheRest() override;

  absl::Status StartAdmin();
  absl::Status BecomeUser();
  absl::Status StartWorkers();
  AdminAccess AccessOf(const config::Config& config) const;
  void Tick(Instant latest);

  const ServerOptions options_;
  io::EngineChoice choice_;
  LogWriter* log_;
  const uint64_t protect_seed_;
  PidFile pid_file_;

  rt::Loop loop_;
  upstream::ControlBell bell_;
  Events events_;
  Publisher publisher_;
  std::unique_ptr<FileSystem> files_;
  StateStore store_;
  ListenerSockets sockets_;
  CaresResolver resolver_;
  InotifyWatcher watcher_;
  Certificates certificates_;
  CertificateKeeper keeper_;
  Discovery discovery_;
  Prober prober_;
  Cluster cluster_;
  Lifecycle lifecycle_;
  Signals signals_;
  ProcessNumbers numbers_;
  std::unique_ptr<AdminServer> admin_;  // null: off
  // Last: workers end before anything they ring or count for.
  WorkerThreads workers_;
};

}  // namespace rondo::control
