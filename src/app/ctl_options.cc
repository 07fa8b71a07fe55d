#include "app/ctl_options.h"

namespace rondo::app {
namespace {

void AddCommon(CLI::App& command, CtlArguments& arguments) {
  command.add_option(
      "--admin", arguments.admin,
      "The admin address: http://127.0.0.1:9900, https://host:9900 or unix:/path (default: "
      "RONDO_ADMIN, else http://127.0.0.1:9900)");
  command.add_option("--token", arguments.token, "The admin token (default: RONDO_ADMIN_TOKEN)");
  command.add_option("--ca", arguments.ca,
                     "With https: the file of authorities that have signed its certificate "
                     "(default: RONDO_ADMIN_CA, else the system's)");
  command.add_option("--cert", arguments.cert,
                     "With https: the file of our own certificate (default: RONDO_ADMIN_CERT)");
  command.add_option("--key", arguments.key,
                     "With https: the file of its key (default: RONDO_ADMIN_KEY)");
  command.add_option("--output", arguments.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
}

CLI::App& Add(CLI::App& ctl, CtlArguments& arguments, CtlVerb verb, const char* name,
              const char* what, const char* example) {
  CLI::App* command = ctl.add_subcommand(name, what);
  AddCommon(*command, arguments);
  command->footer(std::string("Example:\n  ") + example);
  command->callback([&arguments, verb] { arguments.verb = verb; });
  return *command;
}

void AddUpstream(CLI::App& command, CtlArguments& arguments) {
  command.add_option("upstream", arguments.upstream, "The upstream's name")->required();
}

void AddBackend(CLI::App& command, CtlArguments& arguments) {
  AddUpstream(command, arguments);
  command
      .add_option("backend", arguments.backend,
                  "The backend's id: its address, where none was given")
      ->required();
}

void AddSettings(CLI::App& command, CtlArguments& arguments) {
  command.add_option("--weight", arguments.weight, "Its share of the requests, 1 to 65535");
  command.add_option("--max-connections", arguments.max_connections,
                     "The most requests and tunnels in flight, over all workers; 0: no limit");
}

void AddWait(CLI::App& command, CtlArguments& arguments, const char* what) {
  command.add_flag("--wait", arguments.wait, what);
}

void AddMembership(CLI::App& ctl, CtlArguments& arguments) {
  CLI::App& add = Add(ctl, arguments, CtlVerb::kAdd, "add", "Add a backend to an upstream",
                      "rondo ctl add api 10.0.1.13:3000 --weight 2 --wait");
  AddUpstream(add, arguments);
  add.add_option("address", arguments.backend, "10.0.1.13:3000, [::1]:3000 or unix:/path")
      ->required();
  AddSettings(add, arguments);
  add.add_option("--id", arguments.id, "Its id (default: its address)");
  add.add_flag_callback(
      "--backup", [&arguments] { arguments.backup = true; },
      "Use it only while no other is available");
  AddWait(add, arguments, "Answer when it is up");
  add.add_option("--timeout", arguments.timeout, "With --wait: how long (default 30s)");

  CLI::App& drain = Add(ctl, arguments, CtlVerb::kDrain, "drain",
                        "Send a backend no new requests; it stays listed",
                        "rondo ctl drain api 10.0.1.13:3000 --timeout 30s --wait");
  AddBackend(drain, arguments);
  drain.add_option("--timeout", arguments.timeout,
                   "How long requests in flight may take (default: the upstream's drain_timeout)");
  AddWait(drain, arguments, "Answer when it is drained");

  CLI::App& remove =
      Add(ctl, arguments, CtlVerb::kRemove, "remove", "Drain a backend, then remove it",
          "rondo ctl remove api 10.0.1.13:3000 --wait");
  AddBackend(remove, arguments);
  remove.add_flag("--now", arguments.now, "Cut what is in flight");
  AddWait(remove, arguments, "Answer when it is gone");

  CLI::App& set = Add(ctl, arguments, CtlVerb::kSet, "set", "Re-weight, limit or hold a backend",
                      "rondo ctl set api 10.0.1.13:3000 --weight 5");
  AddBackend(set, arguments);
  AddSettings(set, arguments);
  set.add_option("--backup", arguments.backup, "true or false");
  set.add_option("--state", arguments.state, "up, draining or maintenance")
      ->check(CLI::IsMember({"up", "draining", "maintenance"}));
}

void AddConfiguration(CLI::App& ctl, CtlArguments& arguments) {
  Add(ctl, arguments, CtlVerb::kReload, "reload",
      "Read the configuration file again: the whole of it or nothing", "rondo ctl reload");
  CLI::App& diff = Add(ctl, arguments, CtlVerb::kDiff, "diff",
                       "What was changed beyond the configuration file", "rondo ctl diff");
  diff.add_flag("--drop", arguments.drop, "Drop it: go back to the file");
  Add(ctl, arguments, CtlVerb::kExport, "export", "Print the file and the changes as one file",
      "rondo ctl export > rondo.yaml");
  CLI::App& explain = Add(ctl, arguments, CtlVerb::kExplain, "explain",
                          "What would become of a request now, and why",
                          "rondo ctl explain http://api.example.com/v1/users -H 'X-Env: prod'");
  explain
      .add_option("url", arguments.url,
                  "Of the request: http://example.com:8080/path?query, or /path")
      ->required();
  explain
      .add_option("-H,--header", arguments.headers,
                  "A header of the request: name:value (repeat it)")
      ->allow_extra_args(false);
  explain.add_option("-X,--method", arguments.method, "The request's method (default GET)");
  explain.add_option("--client", arguments.client, "The address the connection comes from");
  explain.add_option("--listener", arguments.listener,
                     "The listener's name (default: by the port of the URL)");
}

}  // namespace

void AddCtlOptions(CLI::App& command, CtlArguments& arguments) {
  command.require_subcommand(1);
  AddCommon(command, arguments);
  command.footer(
      "Exits with 0 where it was done, 1 where it failed, 2 for bad usage, 3 where the admin API "
      "could not be reached,\n"
      "4 where the token is missing or wrong.\n"
      "Example:\n  rondo ctl status");
  Add(command, arguments, CtlVerb::kStatus, "status", "Process and upstreams at a glance",
      "rondo ctl status");
  CLI::App& backends = Add(command, arguments, CtlVerb::kBackends, "backends",
                           "The backends of an upstream", "rondo ctl backends api --output json");
  AddUpstream(backends, arguments);
  AddMembership(command, arguments);
  AddConfiguration(command, arguments);
  CLI::App& events = Add(command, arguments, CtlVerb::kEvents, "events", "Follow what happens",
                         "rondo ctl events");
  events.add_option("--after", arguments.after, "Begin behind the event of this id");
  events.add_option("-n,--count", arguments.count, "End after so many events");
}

}  // namespace rondo::app
