#include "control/inotify_watcher.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control/read_file.h"
#include "rondo/base/check.h"
#include "rondo/base/log.h"

namespace rondo::control {
namespace {

constexpr int kLinksMax = 40;  // as the kernel
constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM |
                             IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

// Where in which directory: what has to be watched, found part by part as the kernel does.
struct Step {
  std::string directory;  // free of links
  std::string name;
};

std::string ReadLink(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), target, sizeof(target));
  return length <= 0 ? std::string() : std::string(target, static_cast<size_t>(length));
}

std::string Join(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

std::vector<Step> StepsTo(const std::string& path) {
  std::vector<Step> steps;
  std::string at = "/";
  std::string left = path;
  if (left.empty() || left.front() != '/') {
    char here[PATH_MAX];
    if (getcwd(here, sizeof(here)) != nullptr) left = Join(here, path);
  }
  for (int links = 0; links <= kLinksMax;) {
    left.erase(0, left.find_first_not_of('/'));
    if (left.empty()) break;
    const size_t end = std::min(left.find('/'), left.size());
    const std::string name = left.substr(0, end);
    left.erase(0, end);
    if (name == ".") continue;
    if (name == "..") {
      at.erase(std::max<size_t>(at.rfind('/'), 1));
      continue;
    }
    const std::string next = Join(at, name);
    struct stat status{};
    const bool there = lstat(next.c_str(), &status) == 0;
    if (there && S_ISLNK(status.st_mode)) {
      steps.push_back(Step{at, name});
      const std::string target = ReadLink(next);
      if (!target.empty() && target.front() == '/') at = "/";
      left = target + left;
      ++links;
      continue;
    }
    // The end, or what is still to appear: its directory tells when it does.
    if (!there || left.find_first_not_of('/') == std::string::npos) {
      steps.push_back(Step{at, name});
      break;
    }
    at = next;
  }
  return steps;
}

}  // namespace

InotifyWatcher::~InotifyWatcher() { RONDO_CHECK(fd_ < 0 && watches_.empty()); }

absl::Status InotifyWatcher::Watch(FileWatch& watch) {
  if (absl::Status opened = Open(); !opened.ok()) return opened;
  absl::StatusOr<std::vector<Place>> places = PlacesOf(watch.path);
  if (!places.ok()) return places.status();
  SetPlaces(watch, *std::move(places));
  return absl::OkStatus();
}

void InotifyWatcher::Unwatch(FileWatch& watch) {
  if (!watches_.contains(&watch)) return;
  SetPlaces(watch, {});
  watches_.erase(&watch);
}

absl::StatusOr<std::string> InotifyWatcher::Read(const std::string& path) {
  return ReadWholeFile(path);
}

void InotifyWatcher::Stop() {
  stopping_ = true;
  if (ready_.in_flight()) {
    loop_.engine().Cancel(ready_);
  } else if (fd_ >= 0) {
    loop_.engine().Close(std::exchange(fd_, -1));
  }
}

absl::Status InotifyWatcher::Open() {
  if (stopping_) return absl::CancelledError("stopping");
  if (fd_ >= 0) return absl::OkStatus();
  fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd_ < 0) return absl::ErrnoToStatus(errno, "inotify");
  WaitForEvents();
  return absl::OkStatus();
}

void InotifyWatcher::WaitForEvents() {
  ready_.kind = io::Op::Kind::kWaitReadable;
  ready_.fd = fd_;
  loop_.engine().Submit(ready_);
}

void InotifyWatcher::OnReady(io::Op& op) {
  InotifyWatcher& self = static_cast<Ready&>(op).watcher;
  if (self.stopping_) {
    self.loop_.engine().Close(std::exchange(self.fd_, -1));
    return;
  }
  if (op.result < 0) {
    LogError("cannot wait for changes of files any more");
    return;
  }
  self.ReadEvents();
  self.WaitForEvents();
}

void InotifyWatcher::ReadEvents() {
  alignas(inotify_event) char buffer[16 * 1024];
  std::set<FileWatch*> touched;
  for (;;) {
    const ssize_t got = read(fd_, buffer, sizeof(buffer));
    if (got <= 0) break;
    for (const char* at = buffer; at < buffer + got;) {
      const auto& event = *reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event.len;
      for (const auto& [watch, places] : watches_) {
        const bool concerned = std::any_of(places.begin(), places.end(), [&](const Place& place) {
          return Concerns(place, event.wd, event.mask, event.len > 0 ? event.name : "");
        });
        if (concerned) touched.insert(watch);
      }
    }
  }
  for (FileWatch* watch : touched) {
    if (!watches_.contains(watch)) continue;  // one before it has ended this one
    absl::StatusOr<std::vector<Place>> places = PlacesOf(watch->path);
    if (places.ok()) {
      SetPlaces(*watch, *std::move(places));
    } else {
      LogWarn(absl::StrCat("watching files: ", places.status().message()));
    }
    watch->changed(*watch);
  }
}

bool InotifyWatcher::Concerns(const Place& place, int directory, uint32_t mask, const char* name) {
  if ((mask & IN_Q_OVERFLOW) != 0) return true;
  if (place.directory != directory) return false;
  if (*name == '\0') return true;  // of the directory itself
  if (place.name != name) return false;
  if ((mask & IN_CREATE) == 0) return true;
  // A new file has a writer, who will close it; a link, hard or symbolic, is complete at once.
  struct stat status{};
  const bool there = lstat(Join(place.path, place.name).c_str(), &status) == 0;
  return !there || !S_ISREG(status.st_mode) || status.st_nlink > 1;
}

absl::StatusOr<std::vector<InotifyWatcher::Place>> InotifyWatcher::PlacesOf(
    const std::string& path) {
  std::vector<Place> places;
  for (const Step& step : StepsTo(path)) {
    const int directory = inotify_add_watch(fd_, step.directory.c_str(), kEvents | IN_ONLYDIR);
    if (directory < 0) {
      // One that went away meanwhile: what is above it will tell.
      if (errno == ENOENT || errno == ENOTDIR) continue;
      return absl::UnavailableError(
          absl::StrCat("cannot watch ", step.directory, ": ", std::strerror(errno)));
    }
    places.push_back(Place{directory, step.directory, step.name});
  }
  if (places.empty()) return absl::UnavailableError(absl::StrCat("cannot watch ", path));
  return places;
}

// Ends the kernel's watches that nobody needs any more.
void InotifyWatcher::SetPlaces(FileWatch& watch, std::vector<Place> places) {
  std::vector<Place> before = std::exchange(watches_[&watch], std::move(places));
  for (const Place& old : before) {
    bool needed = false;
    for (const auto& [other, has] : watches_) {
      for (const Place& place : has) needed = needed || place.directory == old.directory;
    }
    if (!needed) (void)inotify_rm_watch(fd_, old.directory);
  }
}

}  // namespace rondo::control
