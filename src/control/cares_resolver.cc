#include "control/cares_resolver.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/dns_asker.h"
#include "control/resolver_files.h"
#include "rondo/base/check.h"

namespace rondo::control {
namespace {

// What the hosts file says holds until it changes; it is looked at whenever somebody asks.
constexpr Duration kHostsTtl = std::chrono::hours(1);
constexpr size_t kFileBytesMax = 4 * 1024 * 1024;

// A small file of the system, read again where it has changed.
class CachedFile {
 public:
  explicit CachedFile(std::string path) : path_(std::move(path)) {}

  // True where the content may be another than at the last call; at the first call always. A file
  // that is not there is an empty one.
  bool Changed() {
    struct stat now{};
    if (stat(path_.c_str(), &now) != 0) now = {};
    const Stamp stamp{now.st_dev, now.st_ino, now.st_size, now.st_mtim.tv_sec, now.st_mtim.tv_nsec};
    if (stamp_ == stamp) return false;
    stamp_ = stamp;
    return true;
  }
  std::string Read() const {
    std::string text;
    std::FILE* file = std::fopen(path_.c_str(), "re");
    if (file == nullptr) return text;
    char piece[4096];
    for (size_t got = 1; got > 0 && text.size() < kFileBytesMax;) {
      got = std::fread(piece, 1, sizeof(piece), file);
      text.append(piece, got);
    }
    std::fclose(file);
    return text;
  }

 private:
  using Stamp = std::tuple<dev_t, ino_t, off_t, time_t, long>;
  const std::string path_;
  std::optional<Stamp> stamp_;
};

// What to ask where resolv.conf names nobody, as glibc does.
SocketAddress LocalServer() {
  SocketAddress server;
  server.ip = IpAddress::V4(0x7f000001);
  return server;
}

}  // namespace

class CaresResolver::Impl {
 public:
  Impl(rt::Loop& loop, const config::Resolver& settings, ResolverFiles files);
  ~Impl() { RONDO_CHECK(lookups_.empty()); }

  void Resolve(Query& query);
  void Cancel(Query& query);
  void SetSettings(const config::Resolver& settings);
  void Stop();
  bool stopped() const { return lookups_.empty() && !delivery_.in_flight() && asker_.stopped(); }

 private:
  struct Lookup;
  struct Host;

  // A question of a lookup, and of a host in it where it is one for addresses.
  struct Part : DnsQuestion {
    Part(Lookup& for_lookup, Host* for_host, const std::string& asked, DnsType of_type)
        : DnsQuestion(asked, of_type, &Part::OnDone), lookup(for_lookup), host(for_host) {}
    static void OnDone(DnsQuestion& question) {
      Part& self = static_cast<Part&>(question);
      self.open = false;
      self.lookup.impl.OnPart(self);
    }
    bool failed() const { return result == Result::kRefused || result == Result::kUnreachable; }
    Lookup& lookup;
    Host* const host;
    bool open = true;
  };

  // The addresses of one host: by the first of its names that has any.
  struct Host {
    std::vector<std::string> names;
    size_t tried = 0;                    // of the names, before the one that is asked for now
    std::vector<ResolvedRecord> stamps;  // all but `ip`: a service's records of this host
    std::unique_ptr<Part> v4;
    std::unique_ptr<Part> v6;
    std::vector<IpAddress> addresses;
    std::string failure;  // of any of the names; empty: none failed
    Duration ttl = Duration::max();
    bool v4_missing = false;  // that question failed
    bool v6_missing = false;
  };

  struct Lookup {
    Lookup(Impl& of, Query& for_query) : impl(of), query(&for_query) {}
    Impl& impl;
    Query* query;  // null once given up
    std::list<std::unique_ptr<Lookup>>::iterator self = {};
    std::vector<std::string> names;  // kService: to try
    size_t tried = 0;
    std::unique_ptr<Part> service;
    std::string failure;
    std::list<Host> hosts;
    size_t hosts_open = 0;
    Duration ttl = Duration::max();
    Answer answer;
  };

  struct Delivery : io::Op {
    explicit Delivery(Impl& of)
        : io::Op([](io::Op& op) { static_cast<Delivery&>(op).impl.Deliver(); }), impl(of) {}
    Impl& impl;
  };

  void ReadFiles();
  std::optional<std::vector<IpAddress>> FromHosts(const std::string& name) const;
  void AskService(Lookup& lookup);
  void AskHost(Lookup& lookup, Host& host);
  void OnPart(Part& part);
  void OnService(Lookup& lookup);
  void OnHost(Lookup& lookup, Host& host);
  void Take(Host& host, const Part& part, bool& missing);
  void HostDone(Lookup& lookup);
  void Compose(Lookup& lookup);
  void Fail(Lookup& lookup, const std::string& failure, const std::string& otherwise);
  void Finish(Lookup& lookup);
  void Deliver();

  rt::Loop& loop_;
  config::Resolver settings_;
  const uint16_t port_;
  CachedFile resolv_conf_file_;
  CachedFile hosts_file_;
  bool settings_changed_ = true;
  ResolvConf conf_;
  Hosts hosts_;
  DnsAsker asker_;
  std::list<std::unique_ptr<Lookup>> lookups_;
  std::deque<Lookup*> finished_;
  Delivery delivery_;
};

CaresResolver::Impl::Impl(rt::Loop& loop, const config::Resolver& settings, ResolverFiles files)
    : loop_(loop),
      settings_(settings),
      port_(files.port),
      resolv_conf_file_(std::move(files.resolv_conf)),
      hosts_file_(std::move(files.hosts)),
      asker_(loop, DnsAsker::Limits{kQuestionsMax, kRecordsMax}),
      delivery_(*this) {}

// -- asking --

void CaresResolver::Impl::Resolve(Query& query) {
  RONDO_CHECK(!query.pending());
  ReadFiles();
  lookups_.push_back(std::make_unique<Lookup>(*this, query));
  Lookup& lookup = *lookups_.back();
  lookup.self = std::prev(lookups_.end());
  query.ticket = &lookup;
  std::vector<std::string> names = NamesToTry(query.name, conf_);
  switch (query.type) {
    case Query::Type::kAddresses: {
      // The hosts file first, for all names that are to be tried.
      const auto in_hosts = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
        return FromHosts(name).has_value();
      });
      Host& host = lookup.hosts.emplace_back();
      if (in_hosts == names.end()) {
        host.names = std::move(names);
      } else {
        host.names = {*in_hosts};
      }
      host.stamps.emplace_back();
      lookup.hosts_open = 1;
      AskHost(lookup, host);
      break;
    }
    case Query::Type::kService:
      lookup.names = std::move(names);
      AskService(lookup);
      break;
  }
}

void CaresResolver::Impl::ReadFiles() {
  bool changed = std::exchange(settings_changed_, false);
  if (settings_.servers.empty()) {
    if (resolv_conf_file_.Changed() || changed) {
      conf_ = ParseResolvConf(resolv_conf_file_.Read());
      if (conf_.servers.empty()) conf_.servers.push_back(LocalServer());
      for (SocketAddress& server : conf_.servers) server.port = port_;
      changed = true;
    }
    if (hosts_file_.Changed()) hosts_ = ParseHosts(hosts_file_.Read());
  } else if (changed) {
    conf_ = ResolvConf{.servers = settings_.servers, .search = {}};
  }
  if (changed) asker_.Use({conf_.servers, settings_.timeout, settings_.attempts});
}

std::optional<std::vector<IpAddress>> CaresResolver::Impl::FromHosts(
    const std::string& name) const {
  if (settings_.servers.empty()) {
    const auto found = hosts_.find(name);
    if (found != hosts_.end()) return found->second;
  }
  if (!IsLocalhost(name)) return std::nullopt;
  IpAddress v6;
  v6.bytes[15] = 1;
  return std::vector<IpAddress>{IpAddress::V4(0x7f000001), v6};
}

void CaresResolver::Impl::AskService(Lookup& lookup) {
  lookup.service =
      std::make_unique<Part>(lookup, nullptr, lookup.names[lookup.tried], DnsType::kSrv);
  asker_.Ask(*lookup.service);
}

void CaresResolver::Impl::AskHost(Lookup& lookup, Host& host) {
  const std::string& name = host.names[host.tried];
  if (auto addresses = FromHosts(name)) {
    host.addresses = *std::move(addresses);
    host.ttl = kHostsTtl;
    return HostDone(lookup);
  }
  host.v4 = std::make_unique<Part>(lookup, &host, name, DnsType::kA);
  host.v6 = std::make_unique<Part>(lookup, &host, name, DnsType::kAaaa);
  asker_.Ask(*host.v4);
  asker_.Ask(*host.v6);
}

// -- what comes back --

void CaresResolver::Impl::OnPart(Part& part) {
  Lookup& lookup = part.lookup;
  if (part.host == nullptr) return OnService(lookup);
  if (!part.host->v4->open && !part.host->v6->open) OnHost(lookup, *part.host);
}

void CaresResolver::Impl::OnService(Lookup& lookup) {
  const Part& part = *lookup.service;
  if (part.failed()) lookup.failure = part.problem;
  if (part.result == DnsQuestion::Result::kAnswered && !part.answer.records.empty()) {
    lookup.ttl = part.answer.ttl;
    std::map<std::string, Host*> by_name;
    for (const ResolvedRecord& record : part.answer.records) {
      Host*& host = by_name[record.target];
      if (host == nullptr) {
        host = &lookup.hosts.emplace_back();
        host->names = {record.target};
      }
      host->stamps.push_back(record);
    }
    lookup.hosts_open = lookup.hosts.size();
    for (Host& host : lookup.hosts) AskHost(lookup, host);
    return;
  }
  const bool hopeless = part.result == DnsQuestion::Result::kUnreachable;
  if (!hopeless && ++lookup.tried < lookup.names.size()) return AskService(lookup);
  Fail(lookup, lookup.failure,
       part.result == DnsQuestion::Result::kNoName ? "no such name" : "it has no service records");
  Finish(lookup);
}

void CaresResolver::Impl::OnHost(Lookup& lookup, Host& host) {
  Take(host, *host.v4, host.v4_missing);
  Take(host, *host.v6, host.v6_missing);
  if (!host.addresses.empty()) return HostDone(lookup);
  const bool hopeless = host.v4->result == DnsQuestion::Result::kUnreachable ||
                        host.v6->result == DnsQuestion::Result::kUnreachable;
  if (!hopeless && ++host.tried < host.names.size()) return AskHost(lookup, host);
  HostDone(lookup);
}

void CaresResolver::Impl::Take(Host& host, const Part& part, bool& missing) {
  missing = part.failed();
  if (missing) host.failure = part.problem;
  if (part.result != DnsQuestion::Result::kAnswered || part.answer.records.empty()) return;
  host.ttl = std::min(host.ttl, part.answer.ttl);
  for (const ResolvedRecord& record : part.answer.records) host.addresses.push_back(record.ip);
}

void CaresResolver::Impl::HostDone(Lookup& lookup) {
  if (--lookup.hosts_open > 0) return;
  Compose(lookup);
  Finish(lookup);
}

// Every host has been asked for: puts the answer together.
void CaresResolver::Impl::Compose(Lookup& lookup) {
  Answer& answer = lookup.answer;
  const bool is_service = !lookup.names.empty();
  std::set<std::tuple<std::array<uint8_t, 16>, uint16_t, uint16_t, uint16_t, std::string>> seen;
  std::string failure;
  for (const Host& host : lookup.hosts) {
    if (!host.failure.empty()) failure = host.failure;
    lookup.ttl = std::min(lookup.ttl, host.ttl);
    for (ResolvedRecord record : host.stamps) {
      if (host.v4_missing) answer.holes.push_back({false, record});
      if (host.v6_missing) answer.holes.push_back({true, record});
      for (const IpAddress& ip : host.addresses) {
        record.ip = ip;
        const bool is_new =
            seen.emplace(ip.bytes, record.port, record.priority, record.weight, record.target)
                .second;
        if (is_new && answer.records.size() < kRecordsMax) answer.records.push_back(record);
      }
    }
  }
  // What failed for a service's hosts can be filled with what was known of them; a name that failed
  // altogether has nothing to be filled into.
  if (answer.records.empty() && (!is_service || answer.holes.empty())) {
    const bool no_name = !is_service && lookup.hosts.front().v4 != nullptr &&
                         lookup.hosts.front().v4->result == DnsQuestion::Result::kNoName;
    answer.holes.clear();
    return Fail(lookup, failure, no_name ? "no such name" : "it has no address");
  }
  answer.status = Answer::Status::kOk;
  answer.problem = failure;
  answer.ttl = lookup.ttl == Duration::max() ? Duration::zero() : lookup.ttl;
}

void CaresResolver::Impl::Fail(Lookup& lookup, const std::string& failure,
                               const std::string& otherwise) {
  lookup.answer.status = failure.empty() ? Answer::Status::kEmpty : Answer::Status::kFailed;
  lookup.answer.problem = failure.empty() ? otherwise : failure;
}

// -- delivering --

void CaresResolver::Impl::Finish(Lookup& lookup) {
  finished_.push_back(&lookup);
  if (!delivery_.in_flight()) loop_.engine().Post(delivery_, 0);
}

void CaresResolver::Impl::Deliver() {
  std::deque<Lookup*> finished;
  finished.swap(finished_);
  for (Lookup* lookup : finished) {
    Query* query = lookup->query;
    Answer answer = std::move(lookup->answer);
    lookups_.erase(lookup->self);
    if (query == nullptr) continue;
    query->ticket = nullptr;
    query->answer = std::move(answer);
    query->done(*query);
  }
}

void CaresResolver::Impl::Cancel(Query& query) {
  if (!query.pending()) return;
  Lookup& lookup = *static_cast<Lookup*>(query.ticket);
  query.ticket = nullptr;
  lookup.query = nullptr;
  bool asking = false;
  const auto give_up = [&](const std::unique_ptr<Part>& part) {
    if (part == nullptr || !part->asked()) return;
    asker_.GiveUp(*part);
    asking = true;
  };
  give_up(lookup.service);
  for (const Host& host : lookup.hosts) {
    give_up(host.v4);
    give_up(host.v6);
  }
  // Without a question on its way it is finished, and waits to be delivered.
  if (asking) lookups_.erase(lookup.self);
}

void CaresResolver::Impl::SetSettings(const config::Resolver& settings) {
  if (settings == settings_) return;
  settings_ = settings;
  settings_changed_ = true;
}

void CaresResolver::Impl::Stop() { asker_.Stop(); }

// -- the resolver --

CaresResolver::CaresResolver(rt::Loop& loop, const config::Resolver& settings, ResolverFiles files)
    : impl_(std::make_unique<Impl>(loop, settings, std::move(files))) {}
CaresResolver::~CaresResolver() { RONDO_CHECK(impl_->stopped()); }
void CaresResolver::Resolve(Query& query) { impl_->Resolve(query); }
void CaresResolver::Cancel(Query& query) { impl_->Cancel(query); }
void CaresResolver::SetSettings(const config::Resolver& settings) { impl_->SetSettings(settings); }
void CaresResolver::Stop() { impl_->Stop(); }
bool CaresResolver::stopped() const { return impl_->stopped(); }

}  // namespace rondo::control
