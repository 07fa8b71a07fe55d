#include "app/explain_command.h"

#include <cstdio>

#include "rondo/config/load.h"
#include "rondo/control/explain.h"
#include "rondo/http/field.h"

namespace rondo::app {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

int BadUsage(const std::string& problem) {
  std::fprintf(stderr, "rondo explain: %s\n", problem.c_str());
  return kUsage;
}

}  // namespace

void AddExplainOptions(CLI::App& command, ExplainArguments& arguments) {
  command.add_option("-c,--config", arguments.file, "Configuration file (YAML)")->required();
  command
      .add_option("url", arguments.url,
                  "Of the request: http://example.com:8080/path?query, or /path")
      ->required();
  command
      .add_option("-H,--header", arguments.headers,
                  "A header of the request: name:value (repeat it)")
      ->allow_extra_args(false);
  command.add_option("-X,--method", arguments.method, "The request's method (default GET)");
  command.add_option("--client", arguments.client, "The address the connection comes from");
  command.add_option("--listener", arguments.listener,
                     "The listener's name (default: by the port of the URL)");
  command.add_option("--output", arguments.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  command.footer(
      "Example:\n  rondo explain -c rondo.yaml http://api.example.com/v1/users -H 'X-Env: prod'");
}

int RunExplainCommand(const ExplainArguments& arguments) {
  control::ExplainQuestion question;
  question.url = arguments.url;
  question.method = arguments.method;
  question.listener = arguments.listener;
  for (const std::string& header : arguments.headers) {
    const size_t colon = header.find(':');
    if (colon == std::string::npos) {
      return BadUsage("-H " + header + ": not a header; right would be -H 'X-Env: prod'");
    }
    question.fields.emplace_back(header.substr(0, colon),
                                 http::TrimOws(std::string_view(header).substr(colon + 1)));
  }
  if (!arguments.client.empty()) {
    question.peer = IpAddress::Parse(arguments.client);
    if (!question.peer) {
      return BadUsage("--client " + arguments.client +
                      ": not an address; right would be 192.0.2.1 or 2001:db8::1");
    }
  }
  const config::LoadResult loaded = config::LoadFile(arguments.file);
  if (!loaded.config) {
    for (const config::Error& error : loaded.errors) {
      std::fprintf(stderr, "%s\n", config::FormatError(arguments.file, error).c_str());
    }
    return kFailed;
  }
  const control::ExplainResult result = control::Explain(*loaded.config, question);
  if (!result.explanation) return BadUsage(result.problem);
  const std::string text = arguments.output == "json"
                               ? control::ExplanationJson(*result.explanation, arguments.file)
                               : control::ExplanationText(*result.explanation, arguments.file);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return result.explanation->answered() ? kOk : kFailed;
}

}  // namespace rondo::app
