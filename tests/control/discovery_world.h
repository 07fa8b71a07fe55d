// Discovery in virtual time: a resolver whose answers a test writes down, files that are strings,
// and a listener that remembers what it was told.
#pragma once

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/discovery.h"
#include "rondo/base/log.h"
#include "rondo/io/timer_wheel.h"
#include "sim/sim_world.h"

namespace rondo::control::testing {

// Answers `delay` after it was asked, with what stands in `answers` then.
class ScriptedResolver final : public Resolver {
 public:
  explicit ScriptedResolver(rt::Loop& loop) : loop_(loop) {}

  struct Asked {
    Instant at;
    std::string name;
  };
  std::map<std::string, Answer> answers;  // a name that is not here does not exist
  Duration delay = std::chrono::milliseconds(5);
  std::vector<Asked> asked;

  size_t pending() const { return pending_.size(); }
  size_t CountOf(const std::string& name) const {
    size_t count = 0;
    for (const Asked& each : asked) count += each.name == name ? 1 : 0;
    return count;
  }

  void Resolve(Query& query) override {
    RONDO_CHECK(!query.pending());
    asked.push_back(Asked{loop_.Now(), query.name});
    pending_.push_back(std::make_unique<Pending>(*this, query));
    query.ticket = pending_.back().get();
    loop_.wheel().Arm(*pending_.back(), loop_.Now() + delay);
  }
  void Cancel(Query& query) override {
    if (query.pending()) Remove(query);
  }

  static Answer Ok(const std::vector<ResolvedRecord>& records, Duration ttl) {
    Answer answer;
    answer.status = Answer::Status::kOk;
    answer.records = records;
    answer.ttl = ttl;
    return answer;
  }
  static Answer Ok(const std::vector<std::string>& ips, Duration ttl) {
    std::vector<ResolvedRecord> records;
    for (const std::string& ip : ips) records.push_back({.ip = *IpAddress::Parse(ip)});
    return Ok(records, ttl);
  }
  static Answer Failed(std::string problem) {
    Answer answer;
    answer.problem = std::move(problem);
    return answer;
  }
  static Answer Empty() {
    Answer answer;
    answer.status = Answer::Status::kEmpty;
    answer.problem = "no such name";
    return answer;
  }

 private:
  struct Pending : io::Timer {
    Pending(ScriptedResolver& of, Query& for_query)
        : io::Timer(&Pending::OnFire), resolver(of), query(for_query) {}
    static void OnFire(io::Timer& timer) {
      auto& self = static_cast<Pending&>(timer);
      self.resolver.Finish(self.query);
    }
    ScriptedResolver& resolver;
    Query& query;
  };
  void Finish(Query& query) {
    Remove(query);
    const auto found = answers.find(query.name);
    query.answer = found == answers.end() ? Empty() : found->second;
    query.done(query);
  }
  void Remove(Query& query) {
    pending_.remove_if([&](const auto& pending) { return pending.get() == query.ticket; });
    query.ticket = nullptr;
  }

  rt::Loop& loop_;
  std::list<std::unique_ptr<Pending>> pending_;
};

class ScriptedFiles final : public FileWatcher {
 public:
  bool watchable = true;
  size_t reads = 0;

  void Put(const std::string& path, const std::string& text) {
    files_[path] = text;
    Touch(path);
  }
  void Remove(const std::string& path) {
    files_.erase(path);
    Touch(path);
  }
  void Touch(const std::string& path) {
    for (FileWatch* watch : watches_) {
      if (watch->path == path) watch->changed(*watch);
    }
  }
  size_t watches() const { return watches_.size(); }

  absl::Status Watch(FileWatch& watch) override {
    if (!watchable) return absl::UnavailableError("no inotify here");
    watches_.insert(&watch);
    return absl::OkStatus();
  }
  void Unwatch(FileWatch& watch) override { watches_.erase(&watch); }
  absl::StatusOr<std::string> Read(const std::string& path) override {
    ++reads;
    const auto found = files_.find(path);
    if (found == files_.end()) return absl::UnavailableError("No such file or directory");
    return found->second;
  }

 private:
  std::map<std::string, std::string> files_;
  std::set<FileWatch*> watches_;
};

// What a cluster would know; "api/0" is the first source of upstream api.
class RememberingListener final : public DiscoveryListener {
 public:
  struct Told {
    std::string source;
    std::vector<std::string> backends;
    std::string problem;
  };
  std::vector<Told> told;  // in order; of each either backends or a problem
  std::map<std::string, std::vector<config::Backend>> now;
  std::map<std::string, std::string> problems;  // those that last
  void (*then)(void* of) = nullptr;
  void* then_of = nullptr;

  void OnAddresses(const std::string& upstream, size_t source,
                   std::vector<config::Backend> backends) override {
    const std::string key = upstream + "/" + std::to_string(source);
    now[key] = backends;
    told.push_back(Told{key, Ids(backends), ""});
    if (then != nullptr) then(then_of);
  }
  void OnDiscoveryProblem(const std::string& upstream, size_t source,
                          const std::string& text) override {
    const std::string key = upstream + "/" + std::to_string(source);
    if (text.empty()) {
      problems.erase(key);
    } else {
      problems[key] = text;
    }
    told.push_back(Told{key, {}, text.empty() ? "over" : text});
  }
  std::vector<std::string> Now(const std::string& key) const {
    const auto found = now.find(key);
    return found == now.end() ? std::vector<std::string>{"nothing"} : Ids(found->second);
  }
  size_t TimesTold(const std::string& key) const {
    size_t count = 0;
    for (const Told& each : told) count += each.source == key && each.problem.empty() ? 1 : 0;
    return count;
  }

 private:
  static std::vector<std::string> Ids(const std::vector<config::Backend>& backends) {
    std::vector<std::string> ids;
    for (const config::Backend& backend : backends) ids.push_back(backend.id);
    return ids;
  }
};

class DiscoveryWorld {
 public:
  explicit DiscoveryWorld(uint64_t seed = 1)
      : world_(seed), engine_(world_.MakeEngine("control", EngineOptions())) {
    SetLogLevel(LogLevel::kError);  // hundreds of warnings are what these tests are about
    settings.max_ttl = std::chrono::seconds(5);
    loop_ = std::make_unique<rt::Loop>(*engine_);
    resolver = std::make_unique<ScriptedResolver>(*loop_);
    discovery = std::make_unique<Discovery>(*loop_, *resolver, files, listener, settings);
  }
  ~DiscoveryWorld() {
    discovery->Stop();
    while (!discovery->stopped()) loop_->Tick();
    discovery.reset();
  }

  rt::Loop& loop() { return *loop_; }
  Instant now() const { return loop_->Now(); }
  void RunFor(Duration duration) {
    const Instant until = loop_->Now() + duration;
    while (loop_->Now() < until) loop_->Tick(until);
  }
  // The sources of one upstream, and of no other.
  void Set(const std::vector<config::BackendSource>& sources, const std::string& name = "api") {
    config::Upstream upstream;
    upstream.name = name;
    upstream.sources = sources;
    discovery->SetSources({&upstream});
  }

  static config::BackendSource Dns(const std::string& name, uint16_t port = 80) {
    config::BackendSource source;
    source.kind = config::BackendSource::Kind::kDns;
    source.name = name;
    source.port = port;
    return source;
  }
  static config::BackendSource Host(const std::string& name, uint16_t port = 80) {
    config::BackendSource source = Dns(name, port);
    source.kind = config::BackendSource::Kind::kName;
    source.id = name + ":" + std::to_string(port);
    return source;
  }
  static config::BackendSource Service(const std::string& name) {
    config::BackendSource source = Dns(name, 0);
    source.kind = config::BackendSource::Kind::kSrv;
    return source;
  }
  static config::BackendSource File(const std::string& path) {
    config::BackendSource source;
    source.kind = config::BackendSource::Kind::kFile;
    source.path = path;
    return source;
  }

 private:
  static sim::SimEngineOptions EngineOptions() {
    sim::SimEngineOptions options;
    options.drives_world = true;
    return options;
  }

  sim::SimWorld world_;
  std::unique_ptr<sim::SimEngine> engine_;
  std::unique_ptr<rt::Loop> loop_;

 public:
  config::Resolver settings;
  ScriptedFiles files;
  RememberingListener listener;
  std::unique_ptr<ScriptedResolver> resolver;
  std::unique_ptr<Discovery> discovery;
};

}  // namespace rondo::control::testing
