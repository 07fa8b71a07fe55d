#include "app/ctl_command.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "app/ctl_table.h"
#include "app/ctl_tls.h"
#include "app/ctl_views.h"
#include "rondo/config/scalar.h"

namespace rondo::app {
namespace {

using nlohmann::json;
using std::chrono::seconds;

// What a call may take beyond the wait it was asked for.
constexpr Duration kPatience = seconds(30);
constexpr Duration kDrainWait = std::chrono::minutes(10);
constexpr std::string_view kDefaultAdmin = "http://127.0.0.1:9900";

std::string Encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~' || c == ':') {
      encoded.push_back(c);
    } else {
      encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return encoded;
}

std::string UpstreamTarget(const CtlArguments& arguments) {
  return "/v1/upstreams/" + Encode(arguments.upstream) + "/backends";
}

std::string BackendTarget(const CtlArguments& arguments) {
  return UpstreamTarget(arguments) + "/" + Encode(arguments.backend);
}

json SettingsOf(const CtlArguments& arguments) {
  json settings = json::object();
  if (arguments.weight) settings["weight"] = *arguments.weight;
  if (arguments.max_connections) settings["max_connections"] = *arguments.max_connections;
  if (arguments.backup) settings["backup"] = *arguments.backup;
  return settings;
}

std::string Dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void AskToAdd(const CtlArguments& arguments, CtlRequest& request) {
  request.method = "POST";
  request.target = UpstreamTarget(arguments);
  json body = SettingsOf(arguments);
  body["address"] = arguments.backend;
  if (!arguments.id.empty()) body["id"] = arguments.id;
  request.body = Dumped(body);
  if (!arguments.wait) return;
  request.target += "?wait=up";
  if (!arguments.timeout.empty()) request.target += "&timeout=" + Encode(arguments.timeout);
  request.timeout = kPatience + config::ParseDuration(arguments.timeout).value_or(seconds(30));
}

void AskToRemove(const CtlArguments& arguments, CtlRequest& request) {
  request.method = "DELETE";
  request.target = BackendTarget(arguments);
  if (arguments.now) request.target += "?drain=0s";
  if (!arguments.wait) return;
  request.target += std::string(arguments.now ? "&" : "?") + "wait=true&timeout=10m";
  request.timeout = kPatience + kDrainWait;
}

void AskToDrain(const CtlArguments& arguments, CtlRequest& request) {
  request.method = "PATCH";
  request.target = BackendTarget(arguments);
  if (!arguments.timeout.empty()) request.target += "?drain=" + Encode(arguments.timeout);
  request.body = R"({"state":"draining"})";
}

void AskToExplain(const CtlArguments& arguments, CtlRequest& request) {
  request.target = "/v1/explain?url=" + Encode(arguments.url);
  for (const std::string& header : arguments.headers) request.target += "&header=" + Encode(header);
  if (!arguments.method.empty()) request.target += "&method=" + Encode(arguments.method);
  if (!arguments.client.empty()) request.target += "&client=" + Encode(arguments.client);
  if (!arguments.listener.empty()) request.target += "&listener=" + Encode(arguments.listener);
  if (!arguments.json()) request.accept = "text/plain";
}

void Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (!text.empty() && text.back() != '\n') std::fputc('\n', stdout);
}

WallTime Now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return WallTime(std::chrono::duration_cast<Duration>(now));
}

// Shows an answer that is no refusal.
void Show(const CtlArguments& arguments, const std::string& body) {
  if (arguments.json() || arguments.verb == CtlVerb::kExport ||
      arguments.verb == CtlVerb::kExplain) {
    Print(body);
    return;
  }
  const json answer = json::parse(body, nullptr, false);
  switch (arguments.verb) {
    case CtlVerb::kBackends:
      Print(BackendsView(answer, Now()));
      return;
    case CtlVerb::kAdd:
    case CtlVerb::kDrain:
    case CtlVerb::kRemove:
    case CtlVerb::kSet:
      if (TextOf(answer, "state").empty()) {
        Print(Printable(arguments.upstream + "/" + arguments.backend) + " is gone\n");
      } else {
        Print(BackendSentence(arguments.upstream, answer));
      }
      return;
    case CtlVerb::kReload:
      Print("reloaded, revision " +
            std::to_string(static_cast<uint64_t>(NumberOf(answer, "revision"))));
      return;
    case CtlVerb::kDiff:
      Print(arguments.drop ? "dropped: all is as the file says" : DiffView(answer));
      return;
    case CtlVerb::kStatus:
    case CtlVerb::kExport:
    case CtlVerb::kExplain:
    case CtlVerb::kEvents:
      return;
  }
}

int RunStatus(CtlClient& client, const CtlArguments& arguments) {
  CtlRequest request;
  request.target = "/v1/status";
  const std::optional<CtlResponse> status = client.Send(request);
  if (const int failed = CtlReport(client, status); failed != kCtlOk) return failed;
  const json shown = json::parse(status->body, nullptr, false);
  if (TextOf(shown, "engine").empty()) return CtlForeign(client, status->status);
  if (arguments.json()) {
    Print(status->body);
    return kCtlOk;
  }
  request.target = "/v1/upstreams";
  const std::optional<CtlResponse> upstreams = client.Send(request);
  if (const int failed = CtlReport(client, upstreams); failed != kCtlOk) return failed;
  Print(StatusView(shown, json::parse(upstreams->body, nullptr, false)));
  return kCtlOk;
}

int WaitForDrain(CtlClient& client, const CtlArguments& arguments) {
  CtlRequest request;
  request.target = BackendTarget(arguments) + "/drain?wait=true&timeout=10m";
  request.timeout = kPatience + kDrainWait;
  const std::optional<CtlResponse> response = client.Send(request);
  if (const int failed = CtlReport(client, response); failed != kCtlOk) return failed;
  Print(arguments.json()
            ? response->body
            : Printable(arguments.upstream + "/" + arguments.backend) + " is drained\n");
  return kCtlOk;
}

int BadUsage(const std::string& problem) {
  std::fprintf(stderr, "rondo ctl: %s\n", problem.c_str());
  return kCtlUsage;
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

CtlRequest CtlRequestOf(const CtlArguments& arguments) {
  CtlRequest request;
  request.timeout = kPatience;
  switch (arguments.verb) {
    case CtlVerb::kStatus:
      request.target = "/v1/status";
      break;
    case CtlVerb::kBackends:
      request.target = UpstreamTarget(arguments);
      break;
    case CtlVerb::kAdd:
      AskToAdd(arguments, request);
      break;
    case CtlVerb::kDrain:
      AskToDrain(arguments, request);
      break;
    case CtlVerb::kRemove:
      AskToRemove(arguments, request);
      break;
    case CtlVerb::kSet: {
      request.method = "PATCH";
      request.target = BackendTarget(arguments);
      json body = SettingsOf(arguments);
      if (!arguments.state.empty()) body["state"] = arguments.state;
      request.body = Dumped(body);
      break;
    }
    case CtlVerb::kReload:
      request.method = "POST";
      request.target = "/v1/reload";
      break;
    case CtlVerb::kDiff:
      request.method = arguments.drop ? "DELETE" : "GET";
      request.target = "/v1/diff";
      break;
    case CtlVerb::kExport:
      request.target = arguments.json() ? "/v1/config" : "/v1/export";
      break;
    case CtlVerb::kExplain:
      AskToExplain(arguments, request);
      break;
    case CtlVerb::kEvents:
      request.target = "/v1/events";
      break;
  }
  return request;
}

int CtlForeign(const CtlClient& client, int status) {
  std::fprintf(stderr,
               "rondo ctl: %s answered %d, and not as an admin API of Rondo does. Is this the "
               "right address?\n",
               client.address().ToString().c_str(), status);
  return kCtlUnreachable;
}

int CtlReport(const CtlClient& client, const std::optional<CtlResponse>& response) {
  const std::string where = client.address().ToString();
  if (!response) {
    std::fprintf(stderr,
                 "rondo ctl: the admin API at %s could not be reached: %s\n"
                 "Is Rondo running, and is this its admin.listen? --admin or RONDO_ADMIN says "
                 "where it is.\n",
                 where.c_str(), client.problem().c_str());
    return kCtlUnreachable;
  }
  if (response->status < 300) return kCtlOk;
  const json answer = json::parse(response->body, nullptr, false);
  const json error = answer.is_object() && answer.contains("error") ? answer["error"] : json();
  const std::string message = TextOf(error, "message");
  if (message.empty()) return CtlForeign(client, response->status);
  std::fprintf(stderr, "rondo ctl: %s\n", Printable(message).c_str());
  if (response->status != 401) return kCtlFailed;
  std::fprintf(stderr, "Give the token of admin.token by --token or RONDO_ADMIN_TOKEN.\n");
  return kCtlUnauthorised;
}

int RunCtlCommand(const CtlArguments& arguments) {
  std::string admin = arguments.admin.empty() ? Environment("RONDO_ADMIN") : arguments.admin;
  if (admin.empty()) admin = kDefaultAdmin;
  const std::string token =
      arguments.token.empty() ? Environment("RONDO_ADMIN_TOKEN") : arguments.token;
  std::string problem;
  const std::optional<CtlAddress> address = ParseCtlAddress(admin, problem);
  if (!address) return BadUsage(problem);
  if (token.find_first_of("\r\n") != std::string::npos)
    return BadUsage("the token has a line break");
  if (!arguments.timeout.empty() && !config::ParseDuration(arguments.timeout)) {
    return BadUsage("--timeout " + arguments.timeout + ": not a duration; right would be 30s");
  }
  CtlClient client(*address, token);
  if (!SetUpCtlTls(arguments, client, problem)) return BadUsage(problem);
  if (arguments.verb == CtlVerb::kStatus) return RunStatus(client, arguments);
  if (arguments.verb == CtlVerb::kEvents) return RunCtlEvents(client, arguments);
  const CtlRequest request = CtlRequestOf(arguments);
  if (arguments.verb == CtlVerb::kSet && request.body == "{}") {
    return BadUsage(
        "set what? Right would be --weight 5, --max-connections 100, --backup true or --state up");
  }
  const std::optional<CtlResponse> response = client.Send(request);
  if (const int failed = CtlReport(client, response); failed != kCtlOk) return failed;
  const bool is_json = arguments.verb != CtlVerb::kExport && arguments.verb != CtlVerb::kExplain;
  if (is_json && !response->body.starts_with('{')) return CtlForeign(client, response->status);
  if (arguments.verb == CtlVerb::kDrain && arguments.wait) return WaitForDrain(client, arguments);
  Show(arguments, response->body);
  return kCtlOk;
}

}  // namespace rondo::app
