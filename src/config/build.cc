#include "config/build.h"

#include <algorithm>

#include "config/checks.h"
#include "config/host_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

void BuildProcess(const Section& root, Process& process) {
  const std::optional<Section> section = root.ReadSection("process");
  if (!section) return;
  section->ReadWhole("workers", process.workers);
  if (auto engine = section->ReadChoice("engine")) process.engine = std::move(*engine);
  section->ReadDuration("lame_duck", process.lame_duck);
  section->ReadDuration("shutdown_grace", process.shutdown_grace);
  ReadPath(*section, "pid_file", process.pid_file);
  ReadChecked(*section, "user", CheckUser, process.user);
  ReadPath(*section, "state_file", process.state_file);
  if (!process.state_file.empty() && process.state_file == process.pid_file) {
    section->context().AddError(section->Find("state_file")->where,
                                "`state_file` and `pid_file` are the same file: write another");
  }
}

void BuildLogging(const Section& root, Logging& logging) {
  const std::optional<Section> section = root.ReadSection("logging");
  if (!section) return;
  if (const std::optional<std::string> level = section->ReadChoice("level")) {
    if (*level == "debug") logging.level = LogLevel::kDebug;
    if (*level == "warn") logging.level = LogLevel::kWarn;
    if (*level == "error") logging.level = LogLevel::kError;
  }
  const std::optional<Section> access = section->ReadSection("access");
  if (!access) return;
  if (const std::optional<Text> path = access->ReadText("path")) {
    const std::string& value = path->value;
    if (value.empty()) {
      access->context().AddError(path->where,
                                 "`path` is empty: write `stdout`, `stderr`, `off` or a file");
    }
    const bool is_word = value == "stdout" || value == "stderr" || value == "off";
    logging.access.path = is_word ? value : access->context().ResolvePath(value);
  }
  if (const std::optional<std::string> format = access->ReadChoice("format")) {
    logging.access.format = *format == "combined" ? AccessLog::kCombined : AccessLog::kJson;
  }
}

void BuildResolver(const Section& root, Resolver& resolver) {
  const std::optional<Section> section = root.ReadSection("resolver");
  if (!section) return;
  section->ReadDuration("timeout", resolver.timeout);
  section->ReadWhole("attempts", resolver.attempts);
  section->ReadDuration("max_ttl", resolver.max_ttl);
  const std::optional<std::vector<const Node*>> list = section->ReadList("servers");
  if (!list) return;
  Context& context = section->context();
  for (const Node* node : *list) {
    const std::optional<Text> text =
        ReadElement(context, *node, "servers", "an address such as 10.0.0.2:53");
    if (!text) continue;
    Checked<SocketAddress> server = CheckNameServer(text->value);
    if (!server.value) {
      context.AddError(text->where, ValueProblem("servers", text->value, server.problem));
    } else if (std::ranges::find(resolver.servers, *server.value) != resolver.servers.end()) {
      context.AddError(text->where, Cat("`servers` has ", Quoted(text->value), " twice"));
    } else {
      resolver.servers.push_back(std::move(*server.value));
    }
  }
}

void BuildTimeouts(const Section& root, Timeouts& timeouts) {
  const std::optional<Section> section = root.ReadSection("timeouts");
  if (!section) return;
  section->ReadDuration("request_header", timeouts.request_header);
  section->ReadDuration("request_body", timeouts.request_body);
  section->ReadDuration("keepalive", timeouts.keepalive);
  section->ReadDuration("handshake", timeouts.handshake);
}

void BuildLimits(const Section& root, Limits& limits) {
  const std::optional<Section> section = root.ReadSection("limits");
  if (!section) return;
  section->ReadSize("header_bytes", limits.header_bytes);
  section->ReadWhole("header_count", limits.header_count);
  section->ReadSize("body_bytes", limits.body_bytes);
  section->ReadWhole("connections", limits.connections);
  section->ReadWhole("handshakes", limits.handshakes);
}

}  // namespace

Config BuildConfig(const Section& root) {
  Config config;
  BuildProcess(root, config.process);
  BuildLogging(root, config.logging);
  config.admin = BuildAdmin(root);
  BuildResolver(root, config.resolver);
  BuildTimeouts(root, config.timeouts);
  BuildLimits(root, config.limits);
  config.upstreams = BuildUpstreams(root);
  config.listeners = BuildListeners(root, config);
  return config;
}

std::optional<Section> NamedSection(Context& context, std::string_view path, const Entry& entry) {
  if (const Checked<std::string> name = CheckName(entry.name); !name.value) {
    context.AddError(entry.where, Cat(Quoted(entry.name), " ", name.problem));
  }
  if (entry.value->kind != Node::Kind::kMap && entry.value->kind != Node::Kind::kNull) {
    context.AddError(entry.value->mark, Cat(Quoted(entry.name), " must be a map of keys"));
    return std::nullopt;
  }
  return Section(context, path, *entry.value, entry.where);
}

void ReadChecked(const Section& section, std::string_view leaf,
                 Checked<std::string> (*check)(std::string_view), std::string& out) {
  const std::optional<Text> text = section.ReadText(leaf);
  if (!text) return;
  Checked<std::string> checked = check(text->value);
  if (checked.value) {
    out = std::move(*checked.value);
  } else {
    section.context().AddError(text->where, ValueProblem(leaf, text->value, checked.problem));
  }
}

std::string ValueProblem(std::string_view key, std::string_view value, std::string_view problem) {
  return Cat("`", key, "`: ", Quoted(value), " ", problem);
}

}  // namespace rondo::config
