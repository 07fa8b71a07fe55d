// Watches files by inotify on their directories, so that also a replacement by rename and a
// switched symbolic link (a Kubernetes ConfigMap) are seen. Control thread only.
#pragma once

#include <map>
#include <string>

#include "control/file_watcher.h"
#include "rondo/io/op.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

class InotifyWatcher final : public FileWatcher {
 public:
  // Opens nothing before the first Watch. REQUIRES: the loop's engine takes real descriptors.
  explicit InotifyWatcher(rt::Loop& loop);
  InotifyWatcher(const InotifyWatcher&) = delete;
  InotifyWatcher& operator=(const InotifyWatcher&) = delete;
  ~InotifyWatcher() override;  // REQUIRES: stopped, nothing watched

  absl::Status Watch(FileWatch& watch) override;
  void Unwatch(FileWatch& watch) override;
  absl::StatusOr<std::string> Read(const std::string& path) override;

  // Watches nothing any more: `stopped` some ticks later.
  void Stop();
  bool stopped() const { return fd_ < 0; }

 private:
  struct Ready : io::Op {
    explicit Ready(InotifyWatcher& of) : io::Op(&InotifyWatcher::OnReady), watcher(of) {}
    InotifyWatcher& watcher;
  };
  static void OnReady(io::Op& op);

  absl::Status Open();
  void WaitForEvents();
  void ReadEvents();
  // Watches the directories that matter now, and no others.
  absl::Status WatchDirectories();

  rt::Loop& loop_;
  int fd_ = -1;
  bool stopping_ = false;
  Ready ready_;
  IntrusiveList<FileWatch> watches_;
  std::map<std::string, int> directories_;  // path to watch descriptor
};

}  // namespace rondo::control
