// The access log of one worker: a line for each request, gathered in memory and handed over in big pieces,
// so that no loop ever waits for a disk or a pipe. What cannot be handed over is dropped and counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rondo/base/address.h"
#include "rondo/base/time.h"
#include "rondo/config/config.h"
#include "rondo/rt/loop.h"

namespace rondo::tls {
struct HandshakeResult;
}  // namespace rondo::tls

namespace rondo::proxy {

// Where full pieces go. Called on the worker's thread; must not block.
class AccessLogSink {
 public:
  virtual ~AccessLogSink() = default;
  // Takes the bytes of `lines` (leaving it empty, perhaps with another capacity), or refuses for now
  // (false, `lines` untouched) because the earlier piece is still being written.
  virtual bool Offer(size_t worker, std::string& lines) = 0;
};

// One request, as it will be written. Views need to hold only during AccessLog::Write.
struct AccessRecord {
  WallTime finished;
  std::string_view listener;
  std::string_view client;  // address as text; "unix" for a unix peer
  std::string_view method;
  std::string_view target;
  std::string_view host;
  int version_minor = 1;  // of HTTP/1
  bool http2 = false;     // it came on a stream of HTTP/2
  int status = 0;  // 0: nothing was answered
  std::string_view request_id;
  std::string_view user_agent;
  std::string_view referer;
  std::string_view upstream;
  std::string_view backend;  // the last one tried
  uint32_t retries = 0;
  uint64_t received_bytes = 0;  // of the request's body
  uint64_t sent_bytes = 0;      // to the client, head included
  Duration queue{};
  Duration connect{};
  Duration first_byte{};  // from the request's head to the first byte of the answer's; negative: never came
  Duration total{};
  std::string_view sticky;  // "new", "kept", "moved", "overflowed"; empty without stickiness; JSON only
  std::string_view reason;  // why, where it is not simply the backend's answer
  std::string_view detail;  // what exactly was wrong, where the reason says less; JSON only
  const tls::HandshakeResult* tls = nullptr;  // null: plain; JSON only
};

class AccessLog {
 public:
  static constexpr size_t kOfferBytes = 32 * 1024;     // offered at once when this much has gathered
  static constexpr size_t kHeldBytesMax = 1024 * 1024; // beyond this, lines are dropped
  static constexpr Duration kOfferDelay = std::chrono::milliseconds(100);

  // `sink` null: no access log. Otherwise it outlives this.
  AccessLog(rt::Loop& loop, config::AccessLog::Format format, AccessLogSink* sink, size_t worker);
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  bool enabled() const { return sink_ != nullptr; }
  // Of lines written from now on.
  void set_format(config::AccessLog::Format format) { format_ = format; }
  void Write(const AccessRecord& record);
  // Offers what is left; false while the sink does not take it.
  bool Flush();
  uint64_t dropped() const { return dropped_; }

 private:
  struct OfferTimer : io::Timer {
    OfferTimer(Fire fire, AccessLog& of) : io::Timer(fire), log(of) {}
    AccessLog& log;
  };
  static void OnTimer(io::Timer& timer);
  void ReportDropped();

  rt::Loop& loop_;
  config::AccessLog::Format format_;
  AccessLogSink* sink_;
  size_t worker_;
  std::string lines_;
  OfferTimer timer_;
  uint64_t dropped_ = 0;
  uint64_t reported_ = 0;
};

// One line with its newline, appended to `out`. Control characters, quotes and bytes that are not UTF-8 are
// escaped: a request cannot forge a line. Pure.
void AppendJson(const AccessRecord& record, std::string& out);
void AppendCombined(const AccessRecord& record, std::string& out);

}  // namespace rondo::proxy
