#include "control/discovery_parts.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control/source_backends.h"
#include "rondo/base/log.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kAskAgainMin = seconds(1);
// A file is read once its changes have paused, but not much later where they never do.
constexpr Duration kQuiet = milliseconds(100);
constexpr Duration kQuietMax = seconds(1);
// How often a file is read that cannot be watched.
constexpr Duration kUnwatched = seconds(5);

std::string Count(size_t count, std::string_view what) {
  return absl::StrCat(count, " ", absl::string_view(what.data(), what.size()),
                      count == 1 ? "" : "es");
}

}  // namespace

// -- names --

Discovery::Name::Name(Discovery& discovery, Query::Type query_type, const std::string& query_name)
    : Query(query_type, query_name, &Name::OnDone),
      io::Timer(&Name::OnTime),
      discovery_(discovery) {}

Discovery::Name::~Name() { discovery_.resolver_.Cancel(*this); }

void Discovery::Name::Ask() {
  if (pending()) return;
  io::Timer::Cancel();
  asked_ = discovery_.loop_.Now();
  discovery_.resolver_.Resolve(*this);
}

void Discovery::Name::AskSoon() {
  if (pending()) return;
  const Instant earliest = asked_ + kAskAgainMin;
  if (discovery_.loop_.Now() >= earliest) return Ask();
  if (!armed() || deadline() > earliest) discovery_.loop_.wheel().Arm(*this, earliest);
}

void Discovery::Name::OnTime(io::Timer& timer) { static_cast<Name&>(timer).Ask(); }

void Discovery::Name::OnDone(Query& query) { static_cast<Name&>(query).Take(); }

void Discovery::Name::Take() {
  const Duration max_ttl = discovery_.settings_.max_ttl;
  answered = true;
  FillHoles(answer, known ? *known : std::vector<ResolvedRecord>());
  Duration wait{};
  switch (answer.status) {
    case Answer::Status::kOk:
      failures_ = 0;
      known = std::move(answer.records);
      wait = UntilNextAsk(answer.ttl, max_ttl);
      SetProblem("");
      break;
    case Answer::Status::kEmpty:
    case Answer::Status::kFailed:
      ++failures_;
      wait = UntilRetry(failures_, max_ttl);
      SetProblem(answer.problem);
      break;
  }
  answer = Answer();
  discovery_.loop_.wheel().Arm(*this, discovery_.loop_.Now() + wait);
  for (Source* source : sources) discovery_.OnNews(*source);
}

void Discovery::Name::SetProblem(const std::string& text) {
  const std::string whole = text.empty() ? "" : absl::StrCat(Query::name, ": ", text);
  if (problem == whole) return;
  problem = whole;
  if (problem.empty()) {
    LogInfo(absl::StrCat("discovery: ", Query::name, " is resolved now, ",
                         Count(known->size(), "address")));
  } else if (known) {
    LogWarn(absl::StrCat("discovery: ", problem, "; keeping what it was, ",
                         Count(known->size(), "address")));
  } else {
    LogWarn(absl::StrCat("discovery: ", problem, "; it has no backend yet"));
  }
}

// -- files --

Discovery::File::File(Discovery& discovery, const std::string& file_path)
    : FileWatch(file_path, &File::OnChanged), io::Timer(&File::OnTime), discovery_(discovery) {}

Discovery::File::~File() { discovery_.files_.Unwatch(*this); }

void Discovery::File::Start() {
  Watch();
  Read();
}

// Watched first and read then, so that no change falls in between.
void Discovery::File::Watch() {
  const absl::Status status = discovery_.files_.Watch(*this);
  if (status.ok()) {
    watched_ = true;
    return;
  }
  if (!std::exchange(warned_, true)) {
    LogWarn(absl::StrCat("discovery: ", path(),
                         " is read every 5 s, since it cannot be watched: ", status.message()));
  }
  discovery_.loop_.wheel().Arm(*this, discovery_.loop_.Now() + kUnwatched);
}

void Discovery::File::OnChanged(FileWatch& watch) {
  File& self = static_cast<File&>(watch);
  const Instant now = self.discovery_.loop_.Now();
  if (!self.first_change_) self.first_change_ = now;
  self.discovery_.loop_.wheel().Arm(self, std::min(now + kQuiet, *self.first_change_ + kQuietMax));
}

void Discovery::File::OnTime(io::Timer& timer) {
  File& self = static_cast<File&>(timer);
  self.first_change_.reset();
  if (!self.watched_) self.Watch();
  if (!self.Read()) return;
  for (Source* source : self.sources) self.discovery_.AdoptList(*source);
}

bool Discovery::File::Read() {
  absl::StatusOr<std::string> text = discovery_.files_.Read(path());
  if (!text.ok()) {
    // Its return is news, even where it says what it said before.
    text_.reset();
    SetProblem(absl::StrCat(path(), ": ", text.status().message()));
    return true;
  }
  if (text_ && *text_ == *text) return false;
  text_ = *std::move(text);
  config::Parsed<config::BackendList> parsed =
      config::ParseBackendsFile(*text_, path(), config::ProcessEnvironment());
  if (parsed.value) {
    list = *std::move(parsed.value);
    SetProblem("");
  } else if (parsed.errors.empty()) {
    SetProblem(absl::StrCat(path(), ": is no list of backends"));
  } else {
    const size_t more = parsed.errors.size() - 1;
    SetProblem(absl::StrCat(config::FormatError(path(), parsed.errors.front()),
                            more == 0 ? "" : absl::StrCat(" (and ", more, " more)")));
  }
  return true;
}

void Discovery::File::SetProblem(const std::string& text) {
  if (problem == text) return;
  problem = text;
  if (problem.empty()) {
    LogInfo(absl::StrCat("discovery: ", path(), " can be read now, ", list->backends.size(),
                         " backends and ", list->sources.size(), " names"));
  } else if (list) {
    LogWarn(absl::StrCat("discovery: ", problem, "; keeping what it said before"));
  } else {
    LogWarn(absl::StrCat("discovery: ", problem, "; it has no backend yet"));
  }
}

}  // namespace rondo::control
