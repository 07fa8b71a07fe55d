// What discovery is made of: sources of upstreams, and the names and files that they share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/discovery.h"
#include "rondo/config/edit.h"
#include "rondo/io/timer_wheel.h"

namespace rondo::control {

// Linked while the listener has to be told.
struct Discovery::Source : ListHook<> {
  Source(std::string of, size_t at, config::BackendSource what, Source* within)
      : upstream(std::move(of)), index(at), settings(std::move(what)), parent(within) {}
  ~Source() { Unlink(); }

  const std::string upstream;
  size_t index;
  config::BackendSource settings;
  Source* const parent;  // of a host name in a file: the file's source

  Name* name = nullptr;  // exactly one of the two is set
  File* file = nullptr;
  std::vector<std::unique_ptr<Source>> children;  // the host names in the file

  bool answered = false;
  std::optional<std::vector<config::Backend>> known = {};
  std::optional<IpAddress> chosen = {};  // kName: the address its backend is at
  std::string problem = {};
  bool tell_known = false;
  bool tell_problem = false;
};

// Asks for one name as long as it lives, one question at a time.
class Discovery::Name final : private Query, private io::Timer {
 public:
  Name(Discovery& discovery, Query::Type query_type, const std::string& query_name);
  ~Name();

  void Ask();
  // Now, or as soon as the last time is one second ago.
  void AskSoon();
  NameKey key() const { return NameKey(Query::type, Query::name); }

  std::vector<Source*> sources;
  bool answered = false;                                  // in whatever way
  std::optional<std::vector<ResolvedRecord>> known = {};  // by the last good answer
  std::string problem = {};                               // with the last answer; empty: none

 private:
  static void OnDone(Query& query);
  static void OnTime(io::Timer& timer);
  void Take();
  void SetProblem(const std::string& text);

  Discovery& discovery_;
  Instant asked_{};
  uint32_t failures_ = 0;  // in a row
};

// Reads one file as long as it lives, whenever it may have changed.
class Discovery::File final : private FileWatch, private io::Timer {
 public:
  File(Discovery& discovery, const std::string& file_path);
  ~File();

  void Start();  // watches, and reads for the first time
  const std::string& path() const { return FileWatch::path; }

  std::vector<Source*> sources;
  std::optional<config::BackendList> list = {};  // by the last good reading
  std::string problem = {};                      // with the last reading; empty: none

 private:
  static void OnChanged(FileWatch& watch);
  static void OnTime(io::Timer& timer);
  void Watch();
  // True where something is another than before.
  bool Read();
  void SetProblem(const std::string& text);

  Discovery& discovery_;
  bool watched_ = false;
  bool warned_ = false;                       // that it is not
  std::optional<Instant> first_change_ = {};  // of those that were not looked at yet
  std::optional<std::string> text_ = {};      // as last read
};

// Posted, so that the listener is never called from within a call of ours.
class Discovery::Teller final : public io::Op {
 public:
  explicit Teller(Discovery& discovery) : io::Op(&Teller::OnDeliver), discovery_(discovery) {}
  IntrusiveList<Source> waiting;

 private:
  static void OnDeliver(io::Op& op) { static_cast<Teller&>(op).discovery_.Tell(); }
  Discovery& discovery_;
};

}  // namespace rondo::control
