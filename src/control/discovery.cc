#include "control/discovery.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "control/discovery_parts.h"
#include "control/source_backends.h"
#include "rondo/base/log.h"

namespace rondo::control {
namespace {

using config::BackendSource;

// Whether both name the same thing in the world, however its backends are weighted.
bool SameOrigin(const BackendSource& a, const BackendSource& b) {
  return a.kind == b.kind && a.name == b.name && a.port == b.port && a.path == b.path &&
         a.id == b.id;
}

}  // namespace

Discovery::Discovery(rt::Loop& loop, Resolver& resolver, FileWatcher& files,
                     DiscoveryListener& listener, const config::Resolver& settings)
    : loop_(loop),
      resolver_(resolver),
      files_(files),
      listener_(listener),
      settings_(settings),
      teller_(std::make_unique<Teller>(*this)) {}

Discovery::~Discovery() { RONDO_CHECK(sources_.empty() && !teller_->in_flight()); }

void Discovery::SetSources(const std::vector<const config::Upstream*>& upstreams) {
  if (stopping_) return;
  for (auto each = sources_.begin(); each != sources_.end();) {
    const bool stays = std::any_of(upstreams.begin(), upstreams.end(), [&](const auto* upstream) {
      return upstream->name == each->first && !upstream->sources.empty();
    });
    if (stays) {
      ++each;
      continue;
    }
    Reconcile(each->first, each->second, {}, nullptr);
    each = sources_.erase(each);
  }
  for (const config::Upstream* upstream : upstreams) {
    if (upstream->sources.empty()) continue;
    Reconcile(upstream->name, sources_[upstream->name], upstream->sources, nullptr);
  }
}

void Discovery::SetSettings(const config::Resolver& settings) { settings_ = settings; }

// Makes `have` what `wanted` says: those of the same origin stay who they are, the others come and
// go. New ones are attached first, so that a name that moves from one to another is not forgotten
// in between.
void Discovery::Reconcile(const std::string& upstream, std::vector<std::unique_ptr<Source>>& have,
                          const std::vector<BackendSource>& wanted, Source* parent) {
  std::vector<std::unique_ptr<Source>> next;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto found = std::find_if(have.begin(), have.end(), [&](const auto& source) {
      return source != nullptr && SameOrigin(source->settings, wanted[i]);
    });
    if (found == have.end()) {
      next.push_back(std::make_unique<Source>(upstream, i, wanted[i], parent));
      Attach(*next.back());
      continue;
    }
    Source& kept = **found;
    next.push_back(std::move(*found));
    const bool moved = kept.index != i;
    kept.index = i;
    kept.settings = wanted[i];
    if (moved) TellLater(kept, /*known=*/kept.known.has_value(), /*problem=*/!kept.problem.empty());
    Refresh(kept);
  }
  for (auto& gone : have) {
    if (gone != nullptr) Detach(*gone);
  }
  have = std::move(next);
}

void Discovery::Attach(Source& source) {
  if (source.settings.kind == BackendSource::Kind::kFile) {
    auto& file = watched_files_[source.settings.path];
    if (file == nullptr) file = std::make_unique<File>(*this, source.settings.path);
    source.file = file.get();
    file->sources.push_back(&source);
    if (file->sources.size() == 1) file->Start();
    AdoptList(source);
    return;
  }
  const auto type = source.settings.kind == BackendSource::Kind::kSrv ? Query::Type::kService
                                                                      : Query::Type::kAddresses;
  auto& name = names_[NameKey(type, source.settings.name)];
  if (name == nullptr) {
    name = std::make_unique<Name>(*this, type, source.settings.name);
    name->Ask();
  }
  source.name = name.get();
  name->sources.push_back(&source);
  Refresh(source);
}

void Discovery::Detach(Source& source) {
  if (source.name != nullptr) {
    std::erase(source.name->sources, &source);
    if (source.name->sources.empty()) names_.erase(source.name->key());
    source.name = nullptr;
  }
  if (source.file != nullptr) {
    Reconcile(source.upstream, source.children, {}, &source);
    std::erase(source.file->sources, &source);
    if (source.file->sources.empty()) watched_files_.erase(source.file->path());
    source.file = nullptr;
  }
}

void Discovery::AdoptList(Source& source) {
  if (source.file->list) {
    Reconcile(source.upstream, source.children, source.file->list->sources, &source);
  }
  Refresh(source);
}

void Discovery::Refresh(Source& source) {
  if (source.name != nullptr) {
    const Name& name = *source.name;
    source.answered = name.answered;
    std::string problem = name.problem;
    if (name.known) {
      std::vector<config::Backend> backends =
          BackendsOf(source.settings, *name.known, source.chosen);
      if (backends.empty()) {
        if (problem.empty()) problem = source.settings.name + ": no record has a port";
      } else {
        SetKnown(source, std::move(backends));
      }
    }
    SetProblem(source, problem);
    return;
  }
  if (source.file == nullptr) return;
  const File& file = *source.file;
  source.answered = true;
  std::string problem = file.problem;
  if (file.list) {
    std::vector<config::Backend> backends = file.list->backends;
    for (const auto& child : source.children) {
      source.answered = source.answered && child->answered;
      if (problem.empty()) problem = child->problem;
      if (child->known) backends.insert(backends.end(), child->known->begin(), child->known->end());
    }
    DropDuplicates(backends);
    SetKnown(source, std::move(backends));
  }
  SetProblem(source, problem);
}

void Discovery::OnNews(Source& source) {
  Refresh(source);
  if (source.parent != nullptr) Refresh(*source.parent);
}

void Discovery::SetKnown(Source& source, std::vector<config::Backend> backends) {
  if (source.known == backends) return;
  source.known = std::move(backends);
  TellLater(source, /*known=*/true, /*problem=*/false);
}

void Discovery::SetProblem(Source& source, const std::string& problem) {
  if (source.problem == problem) return;
  source.problem = problem;
  TellLater(source, /*known=*/false, /*problem=*/true);
}

void Discovery::TellLater(Source& source, bool known, bool problem) {
  if (source.parent != nullptr) return;  // the file's source speaks for it
  source.tell_known |= known;
  source.tell_problem |= problem;
  if (!source.linked()) teller_->waiting.PushBack(source);
  if (!teller_->in_flight()) loop_.engine().Post(*teller_, 0);
}

// The listener may call SetSources: what it is told is copied, and each source is looked for anew.
void Discovery::Tell() {
  while (!teller_->waiting.empty()) {
    Source& source = teller_->waiting.PopFront();
    const std::string upstream = source.upstream;
    const size_t index = source.index;
    const bool tell_problem = std::exchange(source.tell_problem, false);
    const std::string problem = source.problem;
    if (std::exchange(source.tell_known, false)) {
      listener_.OnAddresses(upstream, index, *source.known);
    }
    if (tell_problem) listener_.OnDiscoveryProblem(upstream, index, problem);
  }
}

const std::vector<config::Backend>* Discovery::Known(std::string_view upstream,
                                                     size_t source) const {
  const auto found = sources_.find(upstream);
  if (found == sources_.end() || source >= found->second.size()) return nullptr;
  const auto& known = found->second[source]->known;
  return known ? &*known : nullptr;
}

bool Discovery::settled() const {
  for (const auto& [upstream, sources] : sources_) {
    for (const auto& source : sources) {
      if (!source->answered) return false;
    }
  }
  return true;
}

void Discovery::ResolveNow(std::string_view upstream) {
  const auto found = sources_.find(upstream);
  if (found == sources_.end()) return;
  for (const auto& source : found->second) {
    if (source->name != nullptr) source->name->AskSoon();
    for (const auto& child : source->children) child->name->AskSoon();
  }
}

void Discovery::Stop() {
  stopping_ = true;
  for (auto& [upstream, sources] : sources_) Reconcile(upstream, sources, {}, nullptr);
  sources_.clear();
}

bool Discovery::stopped() const { return stopping_ && !teller_->in_flight(); }

}  // namespace rondo::control
