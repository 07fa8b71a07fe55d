// The command line: parsing of arguments and nothing else.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "app/ctl_command.h"
#include "app/echo_command.h"
#include "app/explain_command.h"
#include "app/version.h"
#include "rondo/config/load.h"
#include "rondo/control/check_files.h"
#include "rondo/control/server.h"

namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

struct RunArguments {
  std::string file;
  rondo::config::QuickArguments quick;

  bool has_quick() const {
    return !quick.listen.empty() || !quick.backends.empty() || !quick.balance.empty() ||
           !quick.admin.empty();
  }
};

void PrintErrors(const std::string& file, const std::vector<rondo::config::Error>& errors) {
  for (const auto& error : errors) {
    std::fprintf(stderr, "%s\n", rondo::config::FormatError(file, error).c_str());
  }
}

// What the admin API is sent is read as a file of this name too, and relative paths in it start
// from its folder: one that were relative itself would be put in front of them again each time they
// are written and read back.
std::string Absolute(const std::string& file) {
  if (file.empty()) return file;
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(file, error);
  return error ? file : whole.string();
}

int Run(const RunArguments& arguments) {
  const bool quick = arguments.file.empty();
  if (quick && (arguments.quick.listen.empty() || arguments.quick.backends.empty())) {
    std::fprintf(stderr,
                 "rondo run needs either -c FILE, or --listen and at least one --backend\n");
    return kUsage;
  }
  if (!quick && arguments.has_quick()) {
    std::fprintf(stderr, "rondo run takes -c FILE or --listen with --backend, not both\n");
    return kUsage;
  }
  const rondo::config::LoadResult loaded =
      quick ? rondo::config::BuildQuick(arguments.quick, rondo::config::ProcessEnvironment())
            : rondo::config::LoadFile(arguments.file);
  if (!loaded.config) {
    PrintErrors(quick ? "rondo run" : arguments.file, loaded.errors);
    return quick ? kUsage : kFailed;
  }
  return rondo::control::RunServer(
      *loaded.config, {Absolute(arguments.file), rondo::app::Version(), rondo::app::Commit()});
}

int Check(const std::string& file) {
  rondo::config::LoadResult loaded = rondo::config::LoadFile(file);
  if (loaded.config) {
    rondo::control::FileCheck files = rondo::control::CheckFiles(*loaded.config);
    for (rondo::config::Error& warning : files.warnings) warning.message.insert(0, "warning: ");
    PrintErrors(file, files.warnings);
    loaded.errors = std::move(files.errors);
  }
  if (loaded.errors.empty()) {
    std::printf("%s: ok\n", file.c_str());
    return kOk;
  }
  PrintErrors(file, loaded.errors);
  const size_t count = loaded.errors.size();
  std::fprintf(stderr, "%s: %zu %s\n", file.c_str(), count, count == 1 ? "error" : "errors");
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Rondo: a load balancer and edge proxy for HTTP"};
  app.name("rondo");
  app.require_subcommand(1);

  RunArguments run_arguments;
  CLI::App* run = app.add_subcommand("run", "Run the proxy in the foreground");
  run->add_option("-c,--config", run_arguments.file, "Configuration file (YAML)");
  run->add_option("--listen", run_arguments.quick.listen,
                  "Where to listen: :8080, 127.0.0.1:8080, [::1]:8080, unix:/path");
  run->add_option(
      "--backend", run_arguments.quick.backends,
      "A backend: 127.0.0.1:3001, [::1]:3001, api.internal:3001, unix:/path (repeat it)");
  run->add_option(
      "--balance", run_arguments.quick.balance,
      "round_robin, least_connections, ip_hash, consistent_hash, random_two or peak_ewma");
  run->add_option("--admin", run_arguments.quick.admin,
                  "Where the admin API listens: an address, unix:/path, or off; left out, "
                  "127.0.0.1:9900 where that is "
                  "free. Off the loopback it needs a token in RONDO_ADMIN_TOKEN");
  run->footer(
      "Examples:\n  rondo run -c rondo.yaml\n"
      "  rondo run --listen :8080 --backend 127.0.0.1:3001 --backend 127.0.0.1:3002");

  std::string check_file;
  CLI::App* check =
      app.add_subcommand("check", "Validate a configuration file and the certificates it names");
  check->add_option("-c,--config,file", check_file, "Configuration file (YAML)")->required();
  check->footer("Example:\n  rondo check -c rondo.yaml");

  rondo::app::CtlArguments ctl_arguments;
  CLI::App* ctl = app.add_subcommand("ctl", "Ask and change a running Rondo through its admin API");
  rondo::app::AddCtlOptions(*ctl, ctl_arguments);

  rondo::app::EchoArguments echo_arguments;
  CLI::App* echo =
      app.add_subcommand("echo", "A tiny HTTP and WebSocket responder, for trying things out");
  rondo::app::AddEchoOptions(*echo, echo_arguments);

  rondo::app::ExplainArguments explain_arguments;
  CLI::App* explain =
      app.add_subcommand("explain", "Which listener, route and upstream a request takes, and why");
  rondo::app::AddExplainOptions(*explain, explain_arguments);

  CLI::App* version = app.add_subcommand("version", "Print version, commit and engine");
  version->footer("Example:\n  rondo version");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has codes of its own; to our users, 0 is help that was asked for and 2 is bad usage.
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  if (run->parsed()) return Run(run_arguments);
  if (check->parsed()) return Check(check_file);
  if (ctl->parsed()) return rondo::app::RunCtlCommand(ctl_arguments);
  if (explain->parsed()) return rondo::app::RunExplainCommand(explain_arguments);
  if (echo->parsed()) return rondo::app::RunEchoCommand(echo_arguments);
  return rondo::app::PrintVersion();
}
