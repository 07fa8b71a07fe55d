// Whole configurations: reloads of the file, PUT config, what is saved of it, and dropping the
// overlay.
#include <algorithm>
#include <utility>

#include "control/cluster.h"
#include "control/json_writer.h"
#include "control/members.h"
#include "rondo/base/log.h"
#include "rondo/config/write.h"

namespace rondo::control {
namespace {

bool SameSource(const config::BackendSource& a, const config::BackendSource& b) {
  return a.kind == b.kind && a.name == b.name && a.port == b.port && a.path == b.path &&
         a.id == b.id;
}

std::vector<std::string> NamedUpstreams(const config::Config& config) {
  std::vector<std::string> names;
  for (const config::Listener& listener : config.listeners) {
    for (const config::RouteConfig& route : listener.routes) {
      if (!route.upstream.empty()) names.push_back(route.upstream);
      for (const auto& each : route.upstreams) names.push_back(each.name);
    }
  }
  return names;
}

std::string ReloadEvent(std::string_view result, uint64_t revision, std::string_view message) {
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("result").Text(result);
  json.Key("revision").Number(revision);
  json.Key("message").Text(message);
  json.EndObject();
  return data;
}

}  // namespace

Result Cluster::PutConfig(std::string_view text, IfMatch if_match) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  std::optional<config::Config> config;
  if (Result parsed = ParseConfig(text, &config); !parsed.ok()) return parsed;
  std::optional<Candidate> candidate;
  if (Result judged = Judge(*std::move(config), &candidate); !judged.ok()) return judged;
  std::string base_text = config::WriteYaml(candidate->config, config::Secrets::kShown);
  return Replace(*std::move(candidate), std::move(base_text), "configuration replaced");
}

Result Cluster::CheckConfig(std::string_view text) const {
  std::optional<config::Config> config;
  if (Result parsed = ParseConfig(text, &config); !parsed.ok()) return parsed;
  std::optional<Candidate> candidate;
  Result judged = Judge(*std::move(config), &candidate);
  links_.DropTls();
  return judged;
}

Result Cluster::Reload(IfMatch if_match) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  Result result;
  if (options_.config_path.empty()) {
    result = Refuse(409, "no_file", "Rondo was started without a configuration file");
  } else {
    config::LoadResult loaded = config::LoadFile(options_.config_path);
    std::optional<Candidate> candidate;
    if (!loaded.config) {
      result = Refuse(400, "invalid", AllErrors(loaded.errors, options_.config_path));
    } else {
      result = Judge(*std::move(loaded.config), &candidate);
    }
    if (candidate) result = Replace(*std::move(candidate), std::nullopt, "file reloaded");
  }
  if (result.ok()) {
    ++reloads_ok_;
    LogInfo("reloaded " + options_.config_path + ", revision " + std::to_string(result.revision));
  } else {
    ++reloads_failed_;
    LogError("reload failed, all stays as it was: " + result.message);
  }
  events_.Append(EventType::kReload,
                 ReloadEvent(result.ok() ? "ok" : "failed", result.revision, result.message));
  changed_.NotifyAll();
  return result;
}

Result Cluster::ParseConfig(std::string_view text, std::optional<config::Config>* config) const {
  const std::string file = options_.config_path.empty() ? "configuration" : options_.config_path;
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != std::string_view::npos && text[begin] == '{') {
    config::Parsed<config::Config> parsed = config::ParseConfigJson(text, file);
    if (!parsed.value) {
      const std::string field = parsed.errors.empty() ? "" : parsed.errors.front().field;
      return Refuse(400, "invalid", AllErrors(parsed.errors, file), field);
    }
    const auto unknown = config::KeepSecrets(Exported(), *parsed.value);
    if (!unknown.empty()) {
      return Refuse(400, "invalid", AllErrors(unknown, file), unknown.front().field);
    }
    *config = *std::move(parsed.value);
    return Done(200);
  }
  // Who may send a configuration is not to learn by it what the operator did not put in.
  const config::LoadResult own =
      options_.config_path.empty() ? config::LoadResult() : config::LoadFile(options_.config_path);
  config::LoadResult loaded = config::ParseSent(text, file, options_.environment, own.variables);
  if (!loaded.config) return Refuse(400, "invalid", AllErrors(loaded.errors, file));
  *config = *std::move(loaded.config);
  return Done(200);
}

// Whether `next` can take the place of the base: nothing has changed by then, but its TLS is
// prepared.
Result Cluster::Judge(config::Config next, std::optional<Candidate>* candidate) const {
  std::string keys;
  for (const std::string& key : config::UnreloadableChanges(base_, next)) {
    if (links_.CanApply(key)) continue;
    keys += (keys.empty() ? "" : ", ") + key;
  }
  if (!keys.empty()) return Refuse(409, "needs_restart", "only a restart changes " + keys, keys);
  // Without what was discovered entries about it are kept: they are judged when the sources are
  // known.
  Applied applied = Apply(next.upstreams, {}, state_.overlay);
  std::string conflicts;
  for (const EndedEntry& conflict : applied.conflicts) {
    conflicts += (conflicts.empty() ? "upstream " : "; upstream ") + conflict.upstream +
                 (conflict.backend.empty() ? "" : ", backend " + conflict.backend) + ": " +
                 conflict.what;
  }
  for (const std::string& name : NamedUpstreams(next)) {
    const bool there = std::ranges::any_of(
        applied.upstreams, [&](const auto& each) { return each.settings.name == name; });
    if (there || !applied.conflicts.empty()) continue;
    conflicts += (conflicts.empty() ? "upstream " : "; upstream ") + name +
                 ": a route names it, and it was deleted through the API";
  }
  if (!conflicts.empty())
    return Refuse(409, "conflict", conflicts + " (DELETE /v1/diff drops the API's changes)");
  if (Result tls = PrepareTls(Wanted(next, applied.overlay)); !tls.ok()) return tls;
  *candidate = Candidate{std::move(next), std::move(applied.overlay), std::move(applied.ended)};
  return Done(200);
}

Result Cluster::Replace(Candidate candidate, std::optional<std::string> base_text,
                        std::string_view what) {
  if (absl::Status prepared = links_.PrepareConfig(base_, candidate.config); !prepared.ok()) {
    links_.DropTls();
    return Refuse(409, "cannot_apply", std::string(prepared.message()));
  }
  SavedState before = state_;
  state_.overlay = std::move(candidate.overlay);
  state_.file_hash = base_text ? FileHash() : "";
  state_.base_text = std::move(base_text);
  ++state_.revision;
  if (absl::Status saved = Save(); !saved.ok()) {
    state_ = std::move(before);
    links_.DropPrepared();
    links_.DropTls();
    return Refuse(503, "not_saved", std::string(saved.message()));
  }
  for (const config::Upstream& upstream : candidate.config.upstreams) {
    const auto entry = state_.overlay.upstreams.find(upstream.name);
    const bool written = entry != state_.overlay.upstreams.end() && entry->second.written;
    CarryAnswers(written ? *entry->second.written : upstream);
  }
  // Members look at the base in place: it must be the new one before they are told of anything.
  const config::Config old = std::exchange(base_, std::move(candidate.config));
  CommitTls();
  links_.CommitConfig(old, base_);
  EndEntries(candidate.ended);
  ApplyAll(health::Actor::kConfig);
  RefreshSources();
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("revision").Number(state_.revision);
  json.Key("what").Text(what);
  json.EndObject();
  events_.Append(EventType::kConfig, data);
  return Done(200);
}

Result Cluster::DropOverlay(IfMatch if_match) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  if (state_.overlay.empty()) return Done(200);
  Overlay before;
  std::swap(before, state_.overlay);
  ++state_.revision;
  if (absl::Status saved = Save(); !saved.ok()) {
    std::swap(before, state_.overlay);
    --state_.revision;
    return Refuse(503, "not_saved", std::string(saved.message()));
  }
  for (const config::Upstream& upstream : base_.upstreams) CarryAnswers(upstream);
  ApplyAll(health::Actor::kApi);
  RefreshSources();
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("revision").Number(state_.revision);
  json.Key("what").Text("overlay dropped");
  json.EndObject();
  events_.Append(EventType::kConfig, data);
  return Done(200);
}

// The settings of an upstream are about to be these: what its sources have answered follows them to
// their new places.
void Cluster::CarryAnswers(const config::Upstream& next) {
  const auto found = discovered_.find(next.name);
  const Members::Upstream* now = members_->Find(next.name);
  if (found == discovered_.end() || now == nullptr) return;
  std::vector<SourceAnswer> carried(next.sources.size());
  for (size_t i = 0; i < next.sources.size(); ++i) {
    const auto same = std::ranges::find_if(
        now->bare.sources, [&](const auto& each) { return SameSource(each, next.sources[i]); });
    const auto index = static_cast<size_t>(same - now->bare.sources.begin());
    if (index < found->second.size()) carried[i] = found->second[index];
  }
  found->second = std::move(carried);
}

std::string Cluster::HashOf(const config::Config& config) {
  config::Config copy = config;
  copy.process = {};
  return StateStore::HashOf(config::WriteYaml(copy, config::Secrets::kShown));
}

// Of the file as it is now; empty where it cannot be used.
std::string Cluster::FileHash() const {
  if (options_.config_path.empty()) return started_with_;
  const config::LoadResult loaded = config::LoadFile(options_.config_path);
  return loaded.config ? HashOf(*loaded.config) : "";
}

// A configuration that was put through the API stays in place of the file until that is another
// one.
void Cluster::UseSavedBase() {
  if (!state_.base_text) return;
  if (started_with_ != state_.file_hash) {
    GiveUpSavedBase("the file has changed since, and is used");
    return;
  }
  const std::string file = options_.config_path.empty() ? "configuration" : options_.config_path;
  config::LoadResult loaded = config::Parse(
      *state_.base_text, file, [](std::string_view) { return std::optional<std::string>(); });
  if (!loaded.config) {
    const absl::StatusOr<std::string> kept = store_.KeepAside(*state_.base_text);
    GiveUpSavedBase(AllErrors(loaded.errors, "saved configuration") +
                    (kept.ok() ? "; it is kept as " + *kept : ""));
    return;
  }
  // A process is started by its file and arguments: what only a start can change is taken from
  // there.
  loaded.config->process = base_.process;
  loaded.config->logging.access.path = base_.logging.access.path;
  loaded.config->admin_optional = base_.admin_optional;
  if (loaded.config->admin && base_.admin) {
    loaded.config->admin->listen = base_.admin->listen;
  } else {
    loaded.config->admin = base_.admin;
  }
  base_ = *std::move(loaded.config);
  LogInfo("serving the configuration that was put through the API; the file has not changed since");
}

void Cluster::GiveUpSavedBase(const std::string& problem) {
  LogWarn("the configuration that was put through the API is given up: " + problem);
  state_.base_text.reset();
  state_.file_hash.clear();
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("what").Text("configuration put through the API: " + problem);
  json.EndObject();
  events_.Append(EventType::kOverlayEnded, data);
}

}  // namespace rondo::control
