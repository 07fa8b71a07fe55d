#include "control/log_writer.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "rondo/base/log.h"

namespace rondo::control {

LogWriter::LogWriter(std::string path, size_t workers) : path_(std::move(path)) {
  for (size_t i = 0; i < workers; ++i) slots_.push_back(std::make_unique<Slot>());
}

LogWriter::~LogWriter() {
  if (thread_.joinable()) {
    stop_.store(true, std::memory_order_release);
    Signal();
    thread_.join();
  }
  if (fd_ > 2) close(fd_);
}

absl::Status LogWriter::Start() {
  if (absl::Status opened = Open(); !opened.ok()) return opened;
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status LogWriter::Open() {
  int fd = -1;
  if (path_ == "stdout") {
    fd = STDOUT_FILENO;
  } else if (path_ == "stderr") {
    fd = STDERR_FILENO;
  } else {
    fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
      return absl::UnavailableError("cannot open the access log " + path_ + ": " + std::strerror(errno));
    }
  }
  if (fd_ > 2) close(fd_);
  fd_ = fd;
  struct stat info {};
  may_block_ = fstat(fd_, &info) == 0 && !S_ISREG(info.st_mode);
  return absl::OkStatus();
}

bool LogWriter::Offer(size_t worker, std::string& lines) {
  Slot& slot = *slots_[worker];
  if (slot.full.load(std::memory_order_acquire)) return false;
  slot.lines.swap(lines);
  lines.clear();
  slot.full.store(true, std::memory_order_release);
  Signal();
  return true;
}

void LogWriter::Reopen() {
  reopen_.store(true, std::memory_order_release);
  Signal();
}

void LogWriter::Signal() {
  events_.fetch_add(1, std::memory_order_release);
  events_.notify_one();
}

void LogWriter::Run() {
  uint32_t seen = 0;
  for (;;) {
    const bool stopping = stop_.load(std::memory_order_acquire);
    if (reopen_.exchange(false, std::memory_order_acq_rel)) {
      // Where that fails the old file is still open: better there than nowhere.
      if (absl::Status opened = Open(); !opened.ok()) LogError(std::string(opened.message()));
    }
    bool stuck = false;
    for (auto& slot : slots_) {
      if (!slot->full.load(std::memory_order_acquire)) continue;
      // Where the process ends and nobody reads, the rest is not waited for either.
      if (!stuck && !WriteAll(slot->lines)) stuck = stopping;
      slot->lines.clear();
      slot->full.store(false, std::memory_order_release);
    }
    if (stopping) return;
    const uint32_t now = events_.load(std::memory_order_acquire);
    if (now == seen) events_.wait(seen, std::memory_order_acquire);
    seen = now;
  }
}

// At most once a minute: a full disk fails for every piece.
void LogWriter::ReportFailure(int error) {
  const auto now = std::chrono::steady_clock::now();
  if (now < report_after_) return;
  report_after_ = now + std::chrono::minutes(1);
  LogError("the access log loses lines: " + path_ + ": " + std::strerror(error));
}

// False where not all could be written: the disk is full, or nobody reads and the process ends.
bool LogWriter::WriteAll(const std::string& bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    size_t piece = bytes.size() - written;
    if (may_block_) {
      // What poll calls writable takes PIPE_BUF bytes without blocking.
      piece = std::min<size_t>(piece, PIPE_BUF);
      pollfd poll_fd{fd_, POLLOUT, 0};
      const int ready = poll(&poll_fd, 1, 200);
      if (ready == 0 && stop_.load(std::memory_order_acquire)) return false;
      if (ready <= 0) continue;
    }
    const ssize_t result = write(fd_, bytes.data() + written, piece);
    if (result >= 0) {
      written += static_cast<size_t>(result);
    } else if (errno != EINTR && errno != EAGAIN) {
      ReportFailure(errno);
      return false;
    }
  }
  return true;
}

}  // namespace rondo::control
