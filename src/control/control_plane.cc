#include "control/control_plane.h"

#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "control/json_writer.h"
#include "control/privileges.h"
#include "control/read_file.h"
#include "rondo/base/log.h"

namespace rondo::control {
namespace {

uint64_t Seed() {
  uint64_t value = 0;
  if (getrandom(&value, sizeof(value), 0) != static_cast<ssize_t>(sizeof(value))) {
    value = static_cast<uint64_t>(getpid());
  }
  return value;
}

ClusterOptions OptionsOf(const ServerOptions& options, size_t workers,
                         upstream::ControlBell& bell) {
  ClusterOptions result;
  result.workers = workers;
  result.bell = &bell;
  result.config_path = options.config_path;
  result.environment = config::ProcessEnvironment();
  return result;
}

std::string_view EngineName(io::EngineKind kind) {
  switch (kind) {
    case io::EngineKind::kIoUring:
      return "io_uring";
    case io::EngineKind::kEpoll:
      return "epoll";
  }
  return "";
}

}  // namespace

ControlPlane::ControlPlane(io::Engine& engine, const config::Config& config,
                           const ServerOptions& options, const io::EngineChoice& choice,
                           size_t workers, LogWriter* log)
    : options_(options),
      choice_(choice),
      log_(log),
      protect_seed_(Seed()),
      pid_file_(config.process.pid_file),
      loop_(engine),
      events_(loop_.engine()),
      files_(MakeFileSystem()),
      store_(*files_, config.process.state_file),
      sockets_(workers),
      resolver_(loop_, config.resolver),
      watcher_(loop_),
      certificates_(&ReadWholeFile, workers),
      keeper_(loop_, watcher_, certificates_,
              [this] {
                if (lifecycle_.step() == Lifecycle::Step::kServing) (void)cluster_.RefreshTls();
              }),
      discovery_(loop_, resolver_, watcher_, *this, config.resolver),
      prober_(loop_, *this, Seed(), "rondo-health/" + options.version),
      cluster_(loop_, config, OptionsOf(options, workers, bell_), *this, publisher_, store_,
               events_),
      lifecycle_(*this),
      signals_(loop_, *this),
      numbers_(loop_, cluster_, &prober_,
               ProcessFacts{options.version, options.commit, std::string(EngineName(choice.kind)),
                            choice.reason}) {
  bell_.Attach(&engine);
  Attach(cluster_, prober_, &discovery_);
  AttachTls(loop_, certificates_, workers);
  numbers_.SetCertificates(&certificates_);
}

ControlPlane::~ControlPlane() { bell_.Attach(nullptr); }

absl::Status ControlPlane::Start() {
  if (absl::Status started = signals_.Start(); !started.ok()) return started;
  const auto snapshot = cluster_.Start();
  if (!snapshot.ok()) return snapshot.status();
  // What is served may be another configuration than the file's: one that was put through the API.
  const config::Config& base = cluster_.base();
  SetLogLevel(base.logging.level);
  resolver_.SetSettings(base.resolver);
  discovery_.SetSettings(base.resolver);
  if (absl::Status prepared = sockets_.Prepare(base); !prepared.ok()) return prepared;
  if (absl::Status admin = StartAdmin(); !admin.ok()) return admin;
  if (absl::Status become = BecomeUser(); !become.ok()) return become;
  if (log_ != nullptr) {
    if (absl::Status started = log_->Start(); !started.ok()) return started;
  }
  if (absl::Status started = StartWorkers(); !started.ok()) return started;
  keeper_.Start();
  pid_file_.Write();
  return absl::OkStatus();
}

absl::Status ControlPlane::BecomeUser() {
  const config::Process& process = cluster_.base().process;
  if (process.user.empty()) return absl::OkStatus();
  const absl::StatusOr<Account> account = FindAccount(process.user);
  if (!account.ok()) return account.status();
  pid_file_.Open();
  if (absl::Status become = BecomeAccount(*account); !become.ok()) return become;
  LogInfo("going on as user " + account->user);
  const auto may_not = [&](const std::string& what, int error) {
    return "process.user: " + account->user + " may not " + what + ": " + std::strerror(error);
  };
  const int replace = process.state_file.empty() ? 0 : MayReplace(process.state_file);
  if (replace != 0) {
    return absl::PermissionDeniedError(
        may_not("write beside process.state_file " + process.state_file, replace));
  }
  std::vector<std::string> read_again = certificates_.paths();
  if (!options_.config_path.empty()) read_again.push_back(options_.config_path);
  for (const std::string& path : read_again) {
    if (const int error = MayRead(path); error != 0)
      LogWarn(may_not("read " + path + ", so reloads will be refused", error));
  }
  // What root may, somebody else may not everywhere: an engine among it.
  const absl::StatusOr<io::EngineChoice> choice = io::ChooseEngine(process.engine);
  if (!choice.ok()) return choice.status();
  if (choice->kind != choice_.kind) LogInfo("as that user: " + choice->reason);
  choice_ = *choice;
  numbers_.SetEngine(std::string(EngineName(choice_.kind)), choice_.reason);
  return absl::OkStatus();
}

absl::Status ControlPlane::StartWorkers() {
  WorkerStart start;
  start.engine = choice_.kind;
  start.snapshot = publisher_.current();
  start.epoch = publisher_.epoch();
  start.log_sink = log_;
  start.bell = &bell_;
  const ListenerSockets::Change change = sockets_.Commit();
  for (const auto& of_worker : change.open)
    start.sockets.push_back(WithSlots(of_worker, *start.snapshot));
  if (absl::Status started = workers_.Start(std::move(start)); !started.ok()) {
    return absl::Status(started.code(),
                        "cannot start the workers: " + std::string(started.message()));
  }
  const std::vector<proxy::Worker*> workers = workers_.workers();
  publisher_.Start(workers);
  std::vector<WorkerMeters> meters;
  for (size_t i = 0; i < workers.size(); ++i) {
    meters.push_back(
        {&workers[i]->traffic(), &workers[i]->minute(), [this, i] { return workers_.CpuTime(i); }});
  }
  numbers_.SetWorkers(std::move(meters));
  return absl::OkStatus();
}

AdminAccess ControlPlane::AccessOf(const config::Config& config) const {
  const config::Admin& admin = *config.admin;
  return AdminAccess{admin.listen, admin.token, admin.tls && !admin.tls->client_ca.empty()};
}

absl::Status ControlPlane::StartAdmin() {
  const config::Config& config = cluster_.base();
  if (!config.admin) return absl::OkStatus();
  const absl::StatusOr<int> fd = AdminServer::Listen(config.admin->listen);
  if (!fd.ok()) {
    const std::string problem = "admin: " + std::string(fd.status().message());
    if (!config.admin_optional) return absl::Status(fd.status().code(), problem);
    LogWarn(problem + "; going on without the admin API");
    return absl::OkStatus();
  }
  const AdminContext context{cluster_, events_, numbers_, options_.config_path};
  admin_ = std::make_unique<AdminServer>(loop_, context, AccessOf(config));
  admin_->SetTls(certificates_.Admin());
  admin_->Start(*fd);
  const SocketAddress& listen = config.admin->listen;
  const bool unix_path = listen.kind == SocketAddress::Kind::kUnix;
  LogInfo("admin API on " + (unix_path ? listen : io::BoundAddress(*fd)).ToString());
  return absl::OkStatus();
}

void ControlPlane::Serve() {
  while (lifecycle_.step() != Lifecycle::Step::kDone) {
    Tick(lifecycle_.deadline());
    lifecycle_.Look(workers_.finished(), loop_.Now());
  }
}

void ControlPlane::Tick(Instant latest) {
  const Instant poll = cluster_.NextPoll();
  loop_.Tick(std::min(latest, poll));
  if (bell_.Take() || loop_.Now() >= poll) cluster_.Poll();
}

void ControlPlane::Shutdown() {
  if (!workers_.finished()) workers_.Cancel();
  pid_file_.Remove();
  sockets_.CloseAll();
  if (admin_ != nullptr) admin_->Stop();
  signals_.Stop();
  prober_.Stop();
  keeper_.Stop();
  discovery_.Stop();
  watcher_.Stop();
  resolver_.Stop();
  const auto stopped = [this] {
    return workers_.finished() && signals_.stopped() && prober_.stopped() && discovery_.stopped() &&
           watcher_.stopped() && resolver_.stopped() && (admin_ == nullptr || admin_->finished()) &&
           !loop_.busy();
  };
  const Instant until = loop_.Now() + Lifecycle::kCutPatience;
  while (!stopped() && loop_.Now() < until) {
    loop_.Tick(until);
    // Answered, so that it can wake us again: a bell that hangs down is not rung a second time.
    bell_.Take();
  }
  if (stopped()) return;
  // Better an end that is not clean than none.
  LogError("stopping: not everything has ended in time");
  _exit(1);
}

// -- reloads --

bool ControlPlane::CanApply(std::string_view key) const {
  return key == "resolver" || key.starts_with("resolver.") || key == "logging.access.format";
}

absl::Status ControlPlane::PrepareConfig(const config::Config&, const config::Config& next) {
  if (lifecycle_.step() != Lifecycle::Step::kServing)
    return absl::UnavailableError("the process is stopping");
  return sockets_.Prepare(next);
}

void ControlPlane::CommitConfig(const config::Config& now, const config::Config& next) {
  SetLogLevel(next.logging.level);
  if (next.resolver != now.resolver) {
    resolver_.SetSettings(next.resolver);
    discovery_.SetSettings(next.resolver);
  }
  if (admin_ != nullptr && next.admin) {
    AdminAccess access = AccessOf(next);
    admin_->SetAccess(std::move(access));
  }
  ListenerSockets::Change change = sockets_.Commit();
  publisher_.StageSockets(std::move(change.open), std::move(change.close));
}

TlsProblems ControlPlane::PrepareTls(const TlsWanted& wanted) {
  if (wanted.has_keys()) ForbidCoreDumps();
  return Links::PrepareTls(wanted);
}

bool ControlPlane::CommitTls() {
  const bool moved = Links::CommitTls();
  keeper_.Follow();
  if (admin_ != nullptr) admin_->SetTls(certificates_.Admin());
  return moved;
}

// -- signals and the end --

void ControlPlane::OnSignal(int signal) {
  switch (signal) {
    case SIGUSR1:
      if (log_ != nullptr) log_->Reopen();
      return;
    case SIGUSR2:
      LogWarn("SIGUSR2: upgrading is not available in this version; restart instead");
      return;
    case SIGHUP:
      if (lifecycle_.step() == Lifecycle::Step::kServing) {
        cluster_.Reload();
      } else {
        LogWarn("SIGHUP: the process is stopping");
      }
      return;
    default:
      break;
  }
  const config::Process& process = cluster_.base().process;
  if (lifecycle_.Stop(process.lame_duck, process.shutdown_grace, loop_.Now())) return;
  LogWarn("stopping at once: asked a second time");
  _exit(1);
}

void ControlPlane::BeginLameDuck(Duration lame_duck) {
  numbers_.SetStopping();
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  const auto grace = cluster_.base().process.shutdown_grace + lame_duck;
  json.Key("timeout_ms")
      .Number(std::chrono::duration_cast<std::chrono::milliseconds>(grace).count());
  json.EndObject();
  events_.Append(EventType::kDrainStarted, data);
  if (lame_duck > Duration::zero()) LogInfo("stopping: serving on for process.lame_duck first");
}

void ControlPlane::BeginDrain(Instant until) {
  LogInfo("stopping: no new connections, requests in flight are finished");
  sockets_.CloseAll();
  workers_.Drain(until);
}

void ControlPlane::CutTheRest() {
  LogWarn("stopping: process.shutdown_grace is over, closing what is left");
  workers_.Cancel();
}

}  // namespace rondo::control
