// The file that says which process this is. Control thread.
#pragma once

#include <string>

namespace rondo::control {

class PidFile {
 public:
  explicit PidFile(std::string path) : path_(std::move(path)) {}
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  ~PidFile();

  // Makes it, empty: before a right that this needs is given up. Write does it too.
  void Open();
  // A warning in the log where that fails.
  void Write();
  void Remove();

 private:
  const std::string path_;  // empty: none is wanted
  int fd_ = -1;
};

}  // namespace rondo::control
