#include "proxy/http2_client.h"

#include <algorithm>
#include <new>
#include <string>

#include "proxy/connection.h"
#include "proxy/listeners.h"
#include "rondo/base/log.h"

namespace rondo::proxy {
namespace {

// Connections that began together (a deploy, a reconnecting fleet) are not to end together: the
// last tenth of their time is drawn.
Duration Age(Duration max_age, Rng& rng) {
  constexpr int64_t kSteps = 1024;
  const auto drawn = static_cast<int64_t>(rng.Below(kSteps));
  return max_age - max_age / 10 / kSteps * drawn;
}

bool IsOver(Instant since, Duration patience, Instant now) {
  return since != kNever && now - since >= patience;
}

}  // namespace

void Http2Client::Begin(Worker& worker, int fd, uint32_t slot, Origin origin) {
  void* memory = worker.frames().Allocate(sizeof(Http2Client));
  auto* client = new (memory) Http2Client(worker, slot, origin);
  client->Start(fd, std::move(origin.early));
  worker.Add(*client);
}

Http2Client::Http2Client(Worker& worker, uint32_t slot, Origin& origin)
    : worker_(worker),
      facts_(origin.facts != nullptr ? std::move(origin.facts) : MakeFacts(worker)),
      timer_(&OnTimer, *this),
      quiet_since_(worker.loop().Now()),
      slot_(slot),
      peer_(origin.peer),
      peer_port_(origin.port),
      has_peer_(origin.has_peer),
      unknown_(origin.unknown) {}

void Http2Client::Start(int fd, io::BufferRef early) {
  const config::Http2& settings = worker_.listeners().Find(slot_)->settings.http2;
  const http::HeadLimits& limits = worker_.head_limits();
  http2::SessionOptions options;
  options.role = http2::Role::kServer;
  options.streams_max = settings.max_streams;
  options.stream_window = settings.stream_window;
  options.connection_window = settings.connection_window;
  options.header_bytes = static_cast<uint32_t>(limits.header_bytes);
  options.header_count = static_cast<uint32_t>(limits.header_count);
  if (settings.max_age > Duration::zero()) {
    age_until_ = quiet_since_ + Age(settings.max_age, worker_.rng());
  }
  draining_ = worker_.draining() || worker_.listeners().gone(slot_);
  traffic().http2_connections.Add(1);
  connection_ = &worker_.loop().streams().Start(fd, options, std::move(early), *this);
  Arm();
}

void Http2Client::OnStream(io::Http2Connection&, int fd) {
  asked_ = true;
  Origin origin;
  origin.has_peer = has_peer_;
  origin.unknown = unknown_;
  origin.peer = peer_;
  origin.port = peer_port_;
  origin.facts = Share(facts_);
  worker_.LetInStream(fd, slot_, std::move(origin));
  if (draining_) Leave();
}

void Http2Client::OnChange(io::Http2Connection& connection) {
  const size_t streams = connection.streams();
  if (streams != streams_) CountStreams(streams);
  // While it has streams its timer comes round by itself.
  if (streams == 0 || !timer_.armed() || connection.in_head_since() != kNever) Arm();
}

void Http2Client::CountStreams(size_t streams) {
  traffic().http2_streams.Add(static_cast<int64_t>(streams) - static_cast<int64_t>(streams_));
  streams_ = streams;
  if (streams == 0) quiet_since_ = worker_.loop().Now();
}

void Http2Client::OnEnded(io::Http2Connection&, const char* reason) {
  if (streams_ > 0) CountStreams(0);
  traffic().http2_connections.Add(-1);
  // That its client went away with answers under way is known of these.
  if (reason != nullptr && std::string_view(reason) != "peer_gone") {
    traffic().rejected.Add(reason);
    if (LogEnabled(LogLevel::kDebug)) {
      std::string line = "HTTP/2 on listener " + worker_.listeners().Find(slot_)->settings.name;
      if (has_peer_) line += " with " + peer_.ToString();
      LogDebug(line + " ended: " + reason);
    }
  }
  worker_.Ended(*this);
}

// -- its time --

// The timer is not moved with every stream: it looks when it fires.
void Http2Client::OnTimer(io::Timer& timer) { static_cast<LookTimer&>(timer).client.Look(); }

void Http2Client::Look() {
  const Instant now = worker_.loop().Now();
  if (const char* reason = Overdue(now); reason != nullptr) {
    traffic().rejected.Add(reason);
    End(http2::ErrorCode::kEnhanceYourCalm);
    return;
  }
  if (now >= age_until_) {
    age_until_ = kNever;
    Leave();
  }
  if (streams_ == 0 && now - quiet_since_ >= Patience()) {
    // Who does not even take its GOAWAY is not waited for any longer.
    if (leaving_ || !connection_->settings_received()) {
      End(http2::ErrorCode::kNoError);
      return;
    }
    Leave();
    quiet_since_ = now;
  }
  Arm();
}

const char* Http2Client::Overdue(Instant now) const {
  const config::Timeouts& timeouts = worker_.snapshot().config.timeouts;
  if (IsOver(connection_->in_head_since(), timeouts.request_header, now)) {
    return "request_header_timeout";
  }
  return IsOver(connection_->stalled_since(), timeouts.request_body, now) ? "client_stalled"
                                                                          : nullptr;
}

// How long it may have no stream.
Duration Http2Client::Patience() const {
  const config::Timeouts& timeouts = worker_.snapshot().config.timeouts;
  if (draining_ || leaving_) return kDrainIdle;
  return connection_->settings_received() ? timeouts.keepalive : timeouts.request_header;
}

void Http2Client::Arm() {
  if (ended_) return;
  const config::Timeouts& timeouts = worker_.snapshot().config.timeouts;
  // With streams, whether what it is sent still gets away.
  Instant due =
      streams_ == 0 ? quiet_since_ + Patience() : worker_.loop().Now() + timeouts.request_body;
  due = std::min(due, age_until_);
  if (const Instant since = connection_->in_head_since(); since != kNever) {
    due = std::min(due, since + timeouts.request_header);
  }
  if (!timer_.armed() || timer_.deadline() > due) worker_.loop().wheel().Arm(timer_, due);
}

void Http2Client::Drain() {
  if (draining_) return;
  draining_ = true;
  if (asked_) {
    Leave();
  } else {
    quiet_since_ = worker_.loop().Now();
    Arm();
  }
}

void Http2Client::Leave() {
  if (leaving_ || ended_) return;
  leaving_ = true;
  if (streams_ == 0) quiet_since_ = worker_.loop().Now();
  connection_->Drain();
  Arm();
}

void Http2Client::Cancel() { End(http2::ErrorCode::kNoError); }

void Http2Client::End(http2::ErrorCode code) {
  if (ended_) return;
  ended_ = true;
  timer_.Cancel();
  connection_->End(code);
}

}  // namespace rondo::proxy
