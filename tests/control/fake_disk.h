// A file system in memory that stops at a step, as if the process or the machine died there.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "control/state_file.h"

namespace rondo::control {

// A directory whose writes reach the disk only by a sync, and where everything stops at a step.
class FakeDisk : public FileSystem {
 public:
  enum class Loss : uint8_t { kKeepsAll, kLosesUnsynced };

  absl::StatusOr<std::string> Read(const std::string& path) override {
    const auto found = seen_.find(path);
    if (found == seen_.end()) return absl::NotFoundError(path);
    return found->second;
  }
  absl::Status WriteAndSync(const std::string& path, std::string_view bytes) override {
    for (size_t part : {size_t{0}, bytes.size() / 2, bytes.size()}) {
      if (!Step()) return Dead();
      seen_[path] = std::string(bytes.substr(0, part));
    }
    if (!Step()) return Dead();
    return absl::OkStatus();
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (!Step()) return Dead();
    seen_[to] = seen_[from];
    seen_.erase(from);
    return absl::OkStatus();
  }
  absl::Status OpenDirectoryOf(const std::string&) override {
    return no_descriptors ? absl::UnavailableError("too many open files") : absl::OkStatus();
  }
  absl::Status SyncDirectoryOf(const std::string&) override {
    if (!Step()) return Dead();
    on_disk_ = seen_;
    return absl::OkStatus();
  }
  bool Exists(const std::string& path) override { return seen_.contains(path); }

  bool no_descriptors = false;
  // From now on only so many steps are taken.
  void DieAfter(int steps) { steps_left_ = steps; }
  bool dead() const { return steps_left_ == 0; }
  // The machine starts again: after a crash of the process all that was written is there, after one
  // of the machine at least what was synced.
  void Restart(Loss loss) {
    steps_left_ = -1;
    switch (loss) {
      case Loss::kKeepsAll:
        on_disk_ = seen_;
        break;
      case Loss::kLosesUnsynced:
        seen_ = on_disk_;
        break;
    }
  }
  void Put(const std::string& path, std::string bytes) {
    seen_[path] = std::move(bytes);
    on_disk_ = seen_;
  }
  const std::map<std::string, std::string>& files() const { return seen_; }

 private:
  bool Step() {
    if (steps_left_ == 0) return false;
    if (steps_left_ > 0) --steps_left_;
    return true;
  }
  static absl::Status Dead() { return absl::UnavailableError("dead"); }
  int steps_left_ = -1;
  std::map<std::string, std::string> seen_;
  std::map<std::string, std::string> on_disk_;
};

}  // namespace rondo::control
