// Being told when a file may have changed. Two watchers: inotify's (inotify_watcher.h) and the
// tests'. Control thread only.
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace rondo::control {

// Somebody's interest in one path; owned by him.
class FileWatch {
 public:
  // The file may have been written, replaced, removed or have appeared: also by a change of a link
  // on the way to it. Called too often rather than not. It may watch and unwatch others, but not
  // itself.
  using Changed = void (*)(FileWatch&);
  FileWatch(std::string watched, Changed on_changed)
      : path(std::move(watched)), changed(on_changed) {}
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  const std::string path;
  const Changed changed;
};

class FileWatcher {
 public:
  virtual ~FileWatcher() = default;
  // From now on; says nothing about how the file is now. An error: it cannot be watched, with the
  // reason; then it is not watched, and need not be unwatched.
  virtual absl::Status Watch(FileWatch& watch) = 0;
  // No effect on one that is not watched.
  virtual void Unwatch(FileWatch& watch) = 0;
  // The whole file as it is now: at most 4 MiB.
  virtual absl::StatusOr<std::string> Read(const std::string& path) = 0;
};

}  // namespace rondo::control
