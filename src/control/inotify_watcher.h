// Watches files by inotify on the directories that decide what is at their paths: so a replacement
// by rename and a switched symbolic link (a Kubernetes ConfigMap) are seen too. Control thread
// only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/file_watcher.h"
#include "rondo/io/op.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

class InotifyWatcher final : public FileWatcher {
 public:
  // Opens nothing before the first Watch. REQUIRES: the loop's engine takes real descriptors.
  explicit InotifyWatcher(rt::Loop& loop) : loop_(loop), ready_(*this) {}
  InotifyWatcher(const InotifyWatcher&) = delete;
  InotifyWatcher& operator=(const InotifyWatcher&) = delete;
  ~InotifyWatcher() override;  // REQUIRES: stopped, nothing watched

  // A file that is being written is reported when its writer has closed it.
  absl::Status Watch(FileWatch& watch) override;
  void Unwatch(FileWatch& watch) override;
  absl::StatusOr<std::string> Read(const std::string& path) override;

  // Watches nothing any more: `stopped` a tick later.
  void Stop();
  bool stopped() const { return fd_ < 0; }

 private:
  // One name in one directory that decides what is at a watched path: its last part, or a link on
  // the way to it.
  struct Place {
    int directory;  // the kernel's number of its watch
    std::string path;
    std::string name;
  };
  struct Ready : io::Op {
    explicit Ready(InotifyWatcher& of) : io::Op(&InotifyWatcher::OnReady), watcher(of) {}
    InotifyWatcher& watcher;
  };
  static void OnReady(io::Op& op);

  absl::Status Open();
  void WaitForEvents();
  void ReadEvents();
  static bool Concerns(const Place& place, int directory, uint32_t mask, const char* name);
  absl::StatusOr<std::vector<Place>> PlacesOf(const std::string& path);
  void SetPlaces(FileWatch& watch, std::vector<Place> places);

  rt::Loop& loop_;
  int fd_ = -1;
  bool stopping_ = false;
  Ready ready_;
  std::map<FileWatch*, std::vector<Place>> watches_;
};

}  // namespace rondo::control
