#include "control/pid_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "rondo/base/log.h"

namespace rondo::control {

PidFile::~PidFile() {
  if (fd_ >= 0) close(fd_);
}

void PidFile::Open() {
  if (path_.empty() || fd_ >= 0) return;
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) LogWarn("cannot write process.pid_file " + path_ + ": " + std::strerror(errno));
}

void PidFile::Write() {
  Open();
  if (fd_ < 0) return;
  const std::string text = std::to_string(getpid()) + "\n";
  if (write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    LogWarn("cannot write process.pid_file " + path_ + ": " + std::strerror(errno));
}

void PidFile::Remove() {
  if (fd_ < 0) return;
  // Who has given up root may not be able to remove it: then it names nobody.
  if (unlink(path_.c_str()) != 0) (void)!ftruncate(fd_, 0);
  close(std::exchange(fd_, -1));
}

}  // namespace rondo::control
