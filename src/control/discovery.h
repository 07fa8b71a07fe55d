// Backends from outside of the configuration: host names, {dns: ...}, {srv: ...} and {file: ...}
// sources of upstreams, asked again as their TTL ends or read again as the file changes. Knows
// nothing of backends' lives: it says which addresses a source has now, and the cluster does the
// rest. Nothing wakes up where there is no source. Control thread only; reads no clock but the
// loop's.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/file_watcher.h"
#include "control/resolver.h"
#include "rondo/config/config.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

class DiscoveryListener {
 public:
  // The first answer of a source, or one that differs from the last in more than its order.
  // `source`: index in the upstream's `sources` of the last SetSources. `backends`: in order of
  // their addresses (a file's: as they stand there); no id twice. Empty only for a file that says
  // so: a name that has no address any more keeps its last.
  virtual void OnAddresses(const std::string& upstream, size_t source,
                           std::vector<config::Backend> backends) = 0;
  // The source cannot be asked, has no address, or its file cannot be read: what it gave last is
  // kept. Called when that begins, when the text changes, and with an empty text when it is over.
  // (The process log has it by then.)
  virtual void OnDiscoveryProblem(const std::string& upstream, size_t source,
                                  const std::string& text) = 0;

 protected:
  ~DiscoveryListener() = default;
};

class Discovery {
 public:
  // All four outlive it.
  Discovery(rt::Loop& loop, Resolver& resolver, FileWatcher& files, DiscoveryListener& listener,
            const config::Resolver& settings);
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;
  ~Discovery();  // REQUIRES: stopped

  // From now on these are all the sources. A new one is asked at once. One that was there before
  // keeps what is known, also where its index, weight or the like is another now. The listener is
  // never called from within: what is known already and must be told (new settings, a new index)
  // comes in the next tick, and can be had from Known now.
  void SetSources(const std::vector<const config::Upstream*>& upstreams);
  // Takes effect for what is asked from now on.
  void SetSettings(const config::Resolver& settings);

  // What the source gave last; null where it has not given anything yet. For a publication that
  // must not wait for the listener: a reload.
  const std::vector<config::Backend>* Known(std::string_view upstream, size_t source) const;
  // Whether every source has had an answer, of whatever kind: false for a while after a start.
  bool settled() const;

  // Asks the upstream's names again now, one second after the last time at the earliest (a backend
  // is suspect: its name may mean others by now).
  void ResolveNow(std::string_view upstream);

  // Ends all questions and timers; the listener is not called any more. May be called again.
  void Stop();
  bool stopped() const;

 private:
  struct Source;  // one source of one upstream
  class Name;     // one question, for all sources that need its answer
  class File;     // one file, for all sources that name it
  class Teller;   // tells the listener in the next tick what it must know
  using NameKey = std::pair<Query::Type, std::string>;

  void Reconcile(const std::string& upstream, std::vector<std::unique_ptr<Source>>& have,
                 const std::vector<config::BackendSource>& wanted, Source* parent);
  void Attach(Source& source);
  void Detach(Source& source);
  // Takes up what the source's file says now.
  void AdoptList(Source& source);
  // Makes what is known of the source what its name or file says.
  void Refresh(Source& source);
  void OnNews(Source& source);
  void SetKnown(Source& source, std::vector<config::Backend> backends);
  void SetProblem(Source& source, const std::string& problem);
  void TellLater(Source& source, bool known, bool problem);
  void Tell();

  rt::Loop& loop_;
  Resolver& resolver_;
  FileWatcher& files_;
  DiscoveryListener& listener_;
  config::Resolver settings_;
  bool stopping_ = false;
  std::map<NameKey, std::unique_ptr<Name>> names_;
  std::map<std::string, std::unique_ptr<File>> watched_files_;
  std::map<std::string, std::vector<std::unique_ptr<Source>>, std::less<>>
      sources_;  // by upstream, by index
  std::unique_ptr<Teller> teller_;
};

}  // namespace rondo::control
