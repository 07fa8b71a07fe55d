#include "control/cluster.h"

#include <algorithm>
#include <utility>

#include "control/json_writer.h"
#include "control/members.h"
#include "rondo/base/log.h"

namespace rondo::control {
namespace {

health::Actor SourceActor(const config::BackendSource& source) {
  return source.kind == config::BackendSource::Kind::kFile ? health::Actor::kFile
                                                           : health::Actor::kDns;
}

}  // namespace

Cluster::Cluster(rt::Loop& loop, config::Config base, ClusterOptions options, ClusterLinks& links,
                 Publisher& publisher, StateStore& store, Events& events)
    : loop_(loop),
      base_(std::move(base)),
      options_(std::move(options)),
      links_(links),
      publisher_(publisher),
      store_(store),
      events_(events),
      changed_(loop.engine()) {
  state_.revision = 1;
  started_with_ = HashOf(base_);
  members_ = std::make_unique<Members>(Members::Parts{loop_, links_, publisher_, events_, changed_,
                                                      options_.bell, options_.workers});
}

Cluster::~Cluster() = default;

absl::StatusOr<std::shared_ptr<const upstream::Snapshot>> Cluster::Start() {
  absl::StatusOr<StateStore::Loaded> loaded = store_.Load();
  if (!loaded.ok()) {
    return absl::Status(loaded.status().code(),
                        "cannot use process.state_file: " + std::string(loaded.status().message()));
  }
  if (!loaded->problem.empty()) {
    LogError("process.state_file " + store_.path() + " cannot be used: " + loaded->problem +
             "; it is kept as " + loaded->kept_as);
    std::string data;
    JsonWriter json(data);
    json.BeginObject();
    json.Key("problem").Text(loaded->problem);
    json.Key("kept_as").Text(loaded->kept_as);
    json.EndObject();
    events_.Append(EventType::kStateFile, data);
  }
  if (loaded->found) {
    state_ = std::move(loaded->state);
    ++state_.revision;
    UseSavedBase();
    // The number is used up, and what was given up does not rise again. Where this cannot be saved
    // it is as it was before: the next start does the same.
    if (absl::Status saved = Save(); !saved.ok()) LogError(std::string(saved.message()));
  }
  // A file that was edited while nobody served may contradict what is saved: then the file is
  // right, and says so.
  const Applied first = Apply(base_.upstreams, {}, state_.overlay);
  for (const EndedEntry& conflict : first.conflicts) {
    const auto entry = state_.overlay.upstreams.find(conflict.upstream);
    if (entry == state_.overlay.upstreams.end()) continue;
    if (conflict.backend.empty()) {
      state_.overlay.upstreams.erase(entry);
    } else {
      entry->second.backends.erase(conflict.backend);
      if (entry->second.empty()) state_.overlay.upstreams.erase(entry);
    }
    LogError("a change of the API cannot be kept: upstream " + conflict.upstream +
             (conflict.backend.empty() ? "" : ", backend " + conflict.backend) + ": " +
             conflict.what);
  }
  EndEntries(first.conflicts);
  if (const Result tls = PrepareTls(Wanted(base_, state_.overlay)); !tls.ok())
    return absl::InvalidArgumentError(tls.message);
  CommitTls();
  ApplyAll(health::Actor::kConfig);
  RefreshSources();
  return publisher_.current();
}

// -- reads --

std::vector<const UpstreamView*> Cluster::Upstreams() const {
  std::vector<const UpstreamView*> result;
  for (const auto& upstream : members_->upstreams()) result.push_back(upstream.get());
  return result;
}

const UpstreamView* Cluster::FindUpstream(std::string_view name) const {
  return members_->Find(name);
}

const BackendView* Cluster::FindBackend(std::string_view upstream, std::string_view id) const {
  return members_->Find(upstream, id);
}

const BackendView* Cluster::FindSerial(uint64_t serial) const { return members_->Find(serial); }

std::optional<DrainProgress> Cluster::Drain(const BackendView& backend) const {
  return members_->Drain(backend);
}

config::Config Cluster::Exported() const {
  config::Config config = base_;
  Applied applied = Apply(base_.upstreams, {}, state_.overlay);
  config.upstreams.clear();
  for (EffectiveUpstream& upstream : applied.upstreams)
    config.upstreams.push_back(std::move(upstream.settings));
  return config;
}

// -- fed by others --

void Cluster::OnCheck(uint64_t serial, bool passed, std::string_view detail) {
  members_->OnCheck(serial, passed, detail);
}

void Cluster::OnWarmedUp(uint64_t serial) { members_->OnWarmedUp(serial); }

void Cluster::Poll() { members_->Poll(); }

Instant Cluster::NextPoll() const { return members_->NextPoll(); }

void Cluster::OnAddresses(std::string_view upstream, size_t source,
                          std::vector<config::Backend> backends) {
  const UpstreamView* view = FindUpstream(upstream);
  if (view == nullptr || view->removing || source >= view->settings.sources.size()) return;
  const std::string name(upstream);
  std::vector<SourceAnswer>& answers = discovered_[name];
  answers.resize(view->settings.sources.size());
  answers[source] = SourceAnswer{std::move(backends), false};
  ApplyOneAgain(name, SourceActor(view->settings.sources[source]));
}

void Cluster::OnDiscoveryProblem(std::string_view upstream, size_t source,
                                 std::string_view problem) {
  const UpstreamView* view = FindUpstream(upstream);
  if (view == nullptr || view->removing || source >= view->settings.sources.size()) return;
  const std::string name(upstream);
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("upstream").Text(upstream);
  json.Key("source").Number(source);
  json.Key("problem").Text(problem);
  json.EndObject();
  events_.Append(EventType::kDns, data);
  std::vector<SourceAnswer>& answers = discovered_[name];
  answers.resize(view->settings.sources.size());
  if (answers[source].backends || problem.empty() || answers[source].failed) return;
  // Nobody need wait any longer for what may never come.
  answers[source].failed = true;
  ApplyOneAgain(name, SourceActor(view->settings.sources[source]));
}

void Cluster::ApplyOneAgain(const std::string& name, health::Actor actor) {
  const auto entry = state_.overlay.upstreams.find(name);
  Applied applied = ApplyOne(name, BaseOf(name), discovered_,
                             entry == state_.overlay.upstreams.end() ? nullptr : &entry->second);
  if (!applied.ended.empty()) {
    state_.overlay.upstreams.erase(name);
    state_.overlay.upstreams.merge(applied.overlay.upstreams);
    EndEntries(applied.ended);
  }
  for (EffectiveUpstream& upstream : applied.upstreams) members_->Set(std::move(upstream), actor);
  members_->Commit();
}

// Entries are out of the overlay by now: that is a change of its own. Where it cannot be saved they
// end again at the next start.
void Cluster::EndEntries(const std::vector<EndedEntry>& ended) {
  if (ended.empty()) return;
  ++state_.revision;
  if (absl::Status saved = Save(); !saved.ok()) LogError(std::string(saved.message()));
  for (const EndedEntry& entry : ended) {
    std::string data;
    JsonWriter json(data);
    json.BeginObject();
    json.Key("upstream").Text(entry.upstream);
    if (!entry.backend.empty()) json.Key("backend").Text(entry.backend);
    json.Key("what").Text(entry.what);
    json.EndObject();
    events_.Append(EventType::kOverlayEnded, data);
  }
}

absl::Status Cluster::Save() {
  absl::Status saved = store_.Save(state_);
  if (saved.ok()) return saved;
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("problem").Text(std::string_view(saved.message().data(), saved.message().size()));
  json.EndObject();
  events_.Append(EventType::kStateFile, data);
  return absl::Status(saved.code(), "process.state_file: " + std::string(saved.message()));
}

void Cluster::ApplyAll(health::Actor actor) {
  Applied applied = Apply(base_.upstreams, discovered_, state_.overlay);
  if (!applied.ended.empty()) {
    state_.overlay = std::move(applied.overlay);
    EndEntries(applied.ended);
  }
  std::vector<std::string> names;
  for (const EffectiveUpstream& upstream : applied.upstreams)
    names.push_back(upstream.settings.name);
  std::vector<std::string> gone;
  for (const auto& upstream : members_->upstreams()) {
    const std::string& name = upstream->settings.name;
    if (!std::ranges::count(names, name)) gone.push_back(name);
  }
  members_->SetConfig(base_, state_.revision);
  for (EffectiveUpstream& upstream : applied.upstreams) members_->Set(std::move(upstream), actor);
  for (const std::string& name : gone) members_->Remove(name, actor);
  members_->Order(names);
  members_->Commit();
}

// Tells discovery what to look for, and takes what it knows already: indices of sources may be
// others by now.
void Cluster::RefreshSources() {
  std::vector<const config::Upstream*> upstreams;
  for (const auto& upstream : members_->upstreams()) {
    if (!upstream->removing && !upstream->bare.sources.empty())
      upstreams.push_back(&upstream->bare);
  }
  links_.SetSources(upstreams);
  Discovered before;
  before.swap(discovered_);
  for (const config::Upstream* upstream : upstreams) {
    std::vector<SourceAnswer>& answers = discovered_[upstream->name];
    answers.resize(upstream->sources.size());
    for (size_t i = 0; i < answers.size(); ++i) {
      if (const auto* known = links_.Known(upstream->name, i)) answers[i].backends = *known;
    }
    const auto old = before.find(upstream->name);
    const auto same = [](const SourceAnswer& a, const SourceAnswer& b) {
      return a.backends == b.backends;
    };
    if (old != before.end() && old->second.size() == answers.size()) {
      for (size_t i = 0; i < answers.size(); ++i)
        answers[i].failed = old->second[i].failed && !answers[i].backends;
      if (std::ranges::equal(old->second, answers, same)) continue;
    }
    const bool known = std::ranges::any_of(
        answers, [](const auto& answer) { return answer.backends.has_value(); });
    if (known) ApplyOneAgain(upstream->name, SourceActor(upstream->sources.front()));
  }
}

}  // namespace rondo::control
