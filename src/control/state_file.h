// process.state_file: the overlay (and a base that was put through the API) on disk. A save is done
// when a restart would find it: written beside, fsynced, renamed over, directory fsynced. That
// takes milliseconds and blocks the control thread, never a worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/overlay.h"

namespace rondo::control {

// What is kept over a restart.
struct SavedState {
  uint64_t revision = 0;
  Overlay overlay;
  // A configuration that PUT /v1/config put in place of the file, and a hash of the file as it was
  // then: once the file is another, it wins.
  std::optional<std::string> base_text;
  std::string file_hash;
  friend bool operator==(const SavedState&, const SavedState&) = default;
};

// The steps to disk, for tests that let the process die, or the disk fail, at each of them.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual absl::StatusOr<std::string> Read(
      const std::string& path) = 0;  // kNotFound where there is none
  // Creates or truncates, mode 0600, writes all, fsyncs, closes.
  virtual absl::Status WriteAndSync(const std::string& path, std::string_view bytes) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Done before anything is written, so that the sync after it cannot fail for want of a
  // descriptor.
  virtual absl::Status OpenDirectoryOf(const std::string& path) = 0;
  // REQUIRES: it is open.
  virtual absl::Status SyncDirectoryOf(const std::string& path) = 0;
  virtual bool Exists(const std::string& path) = 0;
};
std::unique_ptr<FileSystem> MakeFileSystem();

// Two lines: a header "rondo-state VERSION HASH-OF-THE-REST", and one JSON object.
std::string EncodeState(const SavedState& state);
// kDataLoss: torn or damaged; kUnimplemented: of a newer version; kInvalidArgument: not ours, or
// does not parse.
absl::StatusOr<SavedState> DecodeState(std::string_view bytes);

// Where states are kept; a null path: in memory only, and every save succeeds.
class StateStore {
 public:
  StateStore(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  struct Loaded {
    SavedState state;  // empty where there was none, or it could not be used
    bool found = false;
    std::string problem;  // what was wrong with the file; it was set aside as `kept_as`
    std::string kept_as;
  };
  // An error where a file is there that can neither be used nor set aside: then starting would lose
  // it.
  absl::StatusOr<Loaded> Load();
  // On an error the file is as it was (or, where the directory could not be synced, either of the
  // two).
  absl::Status Save(const SavedState& state);
  // Writes `text`, which was part of a state and cannot be used, beside the file; where it is now.
  absl::StatusOr<std::string> KeepAside(std::string_view text);
  static std::string HashOf(std::string_view text);
  bool persistent() const { return !path_.empty(); }
  const std::string& path() const { return path_; }

 private:
  absl::StatusOr<std::string> SetAside();
  std::string FreeName() const;

  FileSystem& files_;
  const std::string path_;
};

}  // namespace rondo::control
