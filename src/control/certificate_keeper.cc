#include "control/certificate_keeper.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "control/events.h"
#include "rondo/base/check.h"
#include "rondo/base/log.h"

namespace rondo::control {

std::vector<ExpiryWarnings::Warning> ExpiryWarnings::Due(
    const std::vector<ServedCertificate>& served, WallTime now) {
  std::vector<Warning> due;
  std::map<std::string, Said> said;
  for (const ServedCertificate& each : served) {
    const WallTime end(std::chrono::seconds(each.not_after));
    const auto days = std::chrono::duration_cast<std::chrono::days>(end - now).count();
    Said level = Said::kNothing;
    if (end - now <= std::chrono::days(30)) level = Said::kMonth;
    if (end - now <= std::chrono::days(7)) level = Said::kWeek;
    if (end <= now) level = Said::kEnded;
    const std::string key = each.listener + '\n' + each.fingerprint;
    const auto before = said_.find(key);
    // Reading one that has ended already says so by itself.
    const bool is_new = before == said_.end() && level == Said::kEnded;
    const Said until_now = before == said_.end() ? Said::kNothing : before->second;
    said[key] = level;
    if (is_new || level <= until_now) continue;
    const std::string whose =
        each.listener == kAdminScope ? std::string("the admin API") : "listener " + each.listener;
    const std::string when = level == Said::kEnded ? " has ended, at "
                                                   : " ends in " + std::to_string(days) +
                                                         (days == 1 ? " day, at " : " days, at ");
    due.push_back(
        {whose + ": the certificate " + each.file + when + Rfc3339(end), level == Said::kEnded});
  }
  // One that was replaced is forgotten: it may come back.
  said_ = std::move(said);
  return due;
}

CertificateKeeper::CertificateKeeper(rt::Loop& loop, FileWatcher& watcher,
                                     Certificates& certificates, std::function<void()> refresh)
    : loop_(loop),
      watcher_(watcher),
      certificates_(certificates),
      refresh_(std::move(refresh)),
      settle_(&OnSettled, *this),
      look_(&OnLook, *this),
      tickets_(&OnTickets, *this) {}

CertificateKeeper::~CertificateKeeper() { RONDO_CHECK(watched_.empty()); }

void CertificateKeeper::Start() {
  const Instant now = loop_.Now();
  loop_.wheel().Arm(look_, now + kLookEvery);
  loop_.wheel().Arm(tickets_, now + kTicketsEvery);
  Warn();
}

void CertificateKeeper::Follow() {
  if (stopped_) return;
  const std::vector<std::string>& paths = certificates_.paths();
  const std::set<std::string> wanted(paths.begin(), paths.end());
  std::erase_if(watched_, [&](const auto& each) {
    if (wanted.contains(each.first)) return false;
    watcher_.Unwatch(*each.second);
    return true;
  });
  for (const std::string& path : wanted) {
    if (watched_.contains(path)) continue;
    auto watched = std::make_unique<Watched>(path, *this);
    if (const absl::Status status = watcher_.Watch(*watched); !status.ok()) {
      LogWarn("changes of " + path +
              " are seen by a reload only: " + std::string(status.message()));
      continue;
    }
    watched_.emplace(path, std::move(watched));
  }
}

void CertificateKeeper::Stop() {
  stopped_ = true;
  settle_.Cancel();
  look_.Cancel();
  tickets_.Cancel();
  for (auto& [path, watched] : watched_) watcher_.Unwatch(*watched);
  watched_.clear();
}

void CertificateKeeper::OnChanged(FileWatch& watch) {
  CertificateKeeper& self = static_cast<Watched&>(watch).keeper;
  const Instant now = self.loop_.Now();
  if (self.changed_since_ == kNever) self.changed_since_ = now;
  self.loop_.wheel().Arm(self.settle_, std::min(now + kSettle, self.changed_since_ + kSettleMax));
}

void CertificateKeeper::OnSettled(io::Timer& timer) {
  CertificateKeeper& self = static_cast<Timer&>(timer).keeper;
  self.changed_since_ = kNever;
  self.refresh_();
  self.Warn();
}

// Also for what no watch tells of (a network file system), and for OCSP answers, whose time ends.
void CertificateKeeper::OnLook(io::Timer& timer) {
  CertificateKeeper& self = static_cast<Timer&>(timer).keeper;
  self.loop_.wheel().Arm(self.look_, self.loop_.Now() + kLookEvery);
  if (self.certificates_.paths().empty()) return;
  self.refresh_();
  self.Warn();
}

void CertificateKeeper::OnTickets(io::Timer& timer) {
  CertificateKeeper& self = static_cast<Timer&>(timer).keeper;
  self.loop_.wheel().Arm(self.tickets_, self.loop_.Now() + kTicketsEvery);
  self.certificates_.RotateTickets();
}

void CertificateKeeper::Warn() {
  for (const auto& warning : expiry_.Due(certificates_.served(), loop_.engine().WallNow())) {
    if (warning.ended) {
      LogError(warning.text);
    } else {
      LogWarn(warning.text);
    }
  }
}

}  // namespace rondo::control
