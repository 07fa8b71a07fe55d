// Looks after what files of TLS change by themselves: reads them again when one has changed, and
// now and then; warns before certificates end; gives tickets a fresh key. Control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/certificates.h"
#include "control/file_watcher.h"
#include "rondo/io/timer_wheel.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

// Which certificates end soon, each said once for 30 days, once for 7 and once when it has ended.
// Pure.
class ExpiryWarnings {
 public:
  struct Warning {
    std::string text;
    bool ended = false;
  };
  std::vector<Warning> Due(const std::vector<ServedCertificate>& served, WallTime now);

 private:
  enum class Said : uint8_t { kNothing, kMonth, kWeek, kEnded };
  std::map<std::string, Said> said_;  // by listener and fingerprint
};

class CertificateKeeper {
 public:
  // A pair is two files, which are rarely replaced in one moment.
  static constexpr Duration kSettle = std::chrono::milliseconds(300);
  static constexpr Duration kSettleMax = std::chrono::seconds(3);
  static constexpr Duration kLookEvery = std::chrono::hours(1);
  static constexpr Duration kTicketsEvery = std::chrono::hours(8);

  // `refresh`: reads all files again and uses what is new. References outlive the keeper.
  CertificateKeeper(rt::Loop& loop, FileWatcher& watcher, Certificates& certificates,
                    std::function<void()> refresh);
  CertificateKeeper(const CertificateKeeper&) = delete;
  CertificateKeeper& operator=(const CertificateKeeper&) = delete;
  ~CertificateKeeper();  // REQUIRES: Stop, or Follow was never called

  // Timers run from now on.
  void Start();
  // Other files may be in force: watches those. Before Start too.
  void Follow();
  void Stop();

 private:
  struct Watched : FileWatch {
    Watched(std::string watched, CertificateKeeper& owner)
        : FileWatch(std::move(watched), &OnChanged), keeper(owner) {}
    CertificateKeeper& keeper;
  };
  struct Timer : io::Timer {
    Timer(Fire fire, CertificateKeeper& owner) : io::Timer(fire), keeper(owner) {}
    CertificateKeeper& keeper;
  };
  static void OnChanged(FileWatch& watch);
  static void OnSettled(io::Timer& timer);
  static void OnLook(io::Timer& timer);
  static void OnTickets(io::Timer& timer);
  void Warn();

  rt::Loop& loop_;
  FileWatcher& watcher_;
  Certificates& certificates_;
  const std::function<void()> refresh_;
  std::map<std::string, std::unique_ptr<Watched>> watched_;  // by path
  Timer settle_;
  Timer look_;
  Timer tickets_;
  Instant changed_since_ = kNever;
  ExpiryWarnings expiry_;
  bool stopped_ = false;
};

}  // namespace rondo::control
