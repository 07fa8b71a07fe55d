#include "control/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace rondo::control {

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return absl::UnavailableError(std::strerror(errno));
  std::string text;
  std::string piece(64 * 1024, '\0');
  ssize_t got = 0;
  do {
    got = read(fd, piece.data(), piece.size());
    if (got > 0) text.append(piece, 0, static_cast<size_t>(got));
  } while ((got > 0 && text.size() <= kReadFileMax) || (got < 0 && errno == EINTR));
  const int error = errno;
  close(fd);
  // It may have been a private key.
  explicit_bzero(piece.data(), piece.size());
  if (got < 0) return absl::UnavailableError(std::strerror(error));
  if (text.size() > kReadFileMax) return absl::UnavailableError("is larger than 4 MiB");
  return text;
}

}  // namespace rondo::control
