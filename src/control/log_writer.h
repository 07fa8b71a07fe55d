// The thread that writes the access log: workers hand it full pieces and never wait for it. A pipe that
// nobody reads holds up this thread alone.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "rondo/proxy/access_log.h"

namespace rondo::control {

class LogWriter : public proxy::AccessLogSink {
 public:
  // `path`: stdout, stderr or a file, which is created (0644) or appended to.
  LogWriter(std::string path, size_t workers);
  ~LogWriter() override;  // writes what is left, as long as that does not block

  // Opens the destination and starts the thread.
  absl::Status Start();
  // Worker's thread, each with its own number. Wait-free.
  bool Offer(size_t worker, std::string& lines) override;
  // Opens the file anew (it was moved away). Any thread; takes effect before the next piece is written.
  void Reopen();

 private:
  struct alignas(64) Slot {
    std::atomic<bool> full{false};
    std::string lines;  // the worker's while !full, the writer's while full
  };
  absl::Status Open();
  void Run();
  bool WriteAll(const std::string& bytes);
  void Signal();
  void ReportFailure(int error);

  const std::string path_;
  int fd_ = -1;
  bool may_block_ = false;  // a pipe, terminal or socket: written in pieces that fit
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<uint32_t> events_{0};
  std::atomic<bool> reopen_{false};
  std::atomic<bool> stop_{false};
  std::chrono::steady_clock::time_point report_after_{};
  std::thread thread_;
};

}  // namespace rondo::control
