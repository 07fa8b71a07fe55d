#include "rondo/http2/session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "http2/session_impl.h"
#include "http2/session_memory.h"
#include "rondo/base/check.h"

namespace rondo::http2 {
namespace {

// More CONTINUATION frames than this in one head, each of up to 16 KiB, carry nothing that the
// limits on heads let through.
constexpr uint32_t kContinuationsMax = 16;
// SETTINGS has a handful of parameters.
constexpr uint32_t kSettingsBytesMax = 32 * 6;
// Pings and settings that wait to be acknowledged.
constexpr size_t kAcknowledgementsMax = 1000;
// Heads that we send were received before, within limits.header_bytes; beyond this nghttp2 gives a
// stream up.
constexpr size_t kSentHeadMax = 4 * 1024 * 1024;
// What padding may hide: RFC 9113 §6.1.
constexpr uint32_t kPaddingMax = 256;
// What the size of a list counts for each field beside its text (RFC 9113 §6.5.2).
constexpr uint32_t kFieldOverhead = 32;
// What a client of HTTP/2 opens before it knows the server's limit (RFC 9113 §6.5.2 recommends no
// smaller one).
constexpr uint32_t kStreamsBeforeSettings = 100;

nghttp2_option* MakeOptions(const SessionOptions& options) {
  nghttp2_option* made = nullptr;
  RONDO_CHECK(nghttp2_option_new(&made) == 0);
  nghttp2_option_set_no_auto_window_update(made, 1);
  // The builders check more than nghttp2 would, and say what is wrong.
  nghttp2_option_set_no_http_messaging(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);
  nghttp2_option_set_max_outbound_ack(made, kAcknowledgementsMax);
  nghttp2_option_set_max_send_header_block_length(made, kSentHeadMax);
  nghttp2_option_set_max_reserved_remote_streams(made, 0);
  nghttp2_option_set_peer_max_concurrent_streams(
      made, std::min(options.streams_max, kStreamsBeforeSettings));
  // Counted here instead: nghttp2 reads a clock of its own for the one, and counts a head that
  // comes byte by byte several times for the other.
  nghttp2_option_set_stream_reset_rate_limit(made, uint64_t{1} << 62, 1);
  nghttp2_option_set_max_continuations(made, size_t{1} << 30);
  return made;
}

}  // namespace

std::unique_ptr<Session> Session::Make(const SessionOptions& options, SessionOwner& owner,
                                       Freelist& memory) {
  return std::make_unique<SessionImpl>(options, owner, memory);
}

SessionImpl::SessionImpl(const SessionOptions& options, SessionOwner& owner, Freelist& memory)
    : options_(options),
      owner_(owner),
      preface_left_(options.role == Role::kServer ? kPrefaceBytes : 0),
      rng_(options.seed) {
  nghttp2_mem allocator = MemoryOf(memory);
  nghttp2_option* settings = MakeOptions(options);
  const int made =
      server() ? nghttp2_session_server_new3(&session_, Callbacks(), this, settings, &allocator)
               : nghttp2_session_client_new3(&session_, Callbacks(), this, settings, &allocator);
  nghttp2_option_del(settings);
  RONDO_CHECK(made == 0);
  Greet();
}

SessionImpl::~SessionImpl() { nghttp2_session_del(session_); }

const nghttp2_session_callbacks* SessionImpl::Callbacks() {
  static const nghttp2_session_callbacks* const kCallbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    RONDO_CHECK(nghttp2_session_callbacks_new(&made) == 0);
    SetReceiving(made);
    SetSending(made);
    return made;
  }();
  return kCallbacks;
}

void SessionImpl::Greet() {
  std::array<nghttp2_settings_entry, 5> settings;
  size_t count = 0;
  const auto say = [&](int32_t id, uint32_t value) { settings[count++] = {id, value}; };
  say(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.stream_window);
  say(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
      options_.header_bytes + kFieldOverhead * options_.header_count);
  if (server()) {
    say(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.streams_max);
    say(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    // So that nghttp2 keeps no tree of dependencies. Clients have no such tree anyway, but without
    // it they would serve one stream until it is done before the next.
    say(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1);
  } else {
    say(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
  }
  RONDO_CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), count) == 0);
  RONDO_CHECK(
      nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                            static_cast<int32_t>(options_.connection_window)) == 0);
}

Session::State SessionImpl::Feed(std::span<const char> bytes, Instant now) {
  if (failure_ != nullptr) return State::kFailed;
  budget_.Refill(now);
  const std::span<const char> whole = bytes;
  if (!TakePreface(&bytes)) return State::kFailed;
  walk_.Over(bytes, [this](const FrameHead& frame) { return Afford(frame); });
  if (failure_ == nullptr && budget_.exhausted()) Fail(ErrorCode::kEnhanceYourCalm, "h2_flood");
  if (failure_ != nullptr) return State::kFailed;
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const uint8_t*>(whole.data()), whole.size());
  // What ended nothing: it may have crossed a reset of ours, once for each stream; but nobody can
  // tell how often.
  for (; server() && empty_ends_ > 0; --empty_ends_) budget_.Spend(FloodBudget::Cost::kFrame);
  empty_ends_ = 0;
  if (failure_ != nullptr) return State::kFailed;
  if (taken == NGHTTP2_ERR_FLOODED) {
    FailHard(ErrorCode::kEnhanceYourCalm, "h2_flood");
  } else if (taken < 0) {
    FailHard(ErrorCode::kProtocolError, "h2_protocol_error");
  } else if (terminating()) {
    // The first thing that a server says is SETTINGS; one that says something else speaks another
    // language.
    failure_ = server() || settings_received_ ? "h2_protocol_error" : "h2_not_http2";
  }
  return state();
}

Session::State SessionImpl::state() const {
  if (failure_ != nullptr) return State::kFailed;
  return goaway_finished_ || goaway_received_ ? State::kEnding : State::kOpen;
}

bool SessionImpl::TakePreface(std::span<const char>* bytes) {
  const size_t taken = std::min(preface_left_, bytes->size());
  if (taken == 0) return true;
  if (std::memcmp(kPreface + kPrefaceBytes - preface_left_, bytes->data(), taken) != 0) {
    Fail(ErrorCode::kProtocolError, "h2_not_http2");
    return false;
  }
  preface_left_ -= taken;
  *bytes = bytes->subspan(taken);
  return true;
}

bool SessionImpl::Afford(const FrameHead& frame) {
  using Cost = FloodBudget::Cost;
  switch (frame.type) {
    case FrameType::kData:
      if (frame.length == 0) {
        if ((frame.flags & kFlagEndStream) == 0) {
          budget_.Spend(Cost::kEmptyData);
        } else {
          ++empty_ends_;
        }
      } else if ((frame.flags & kFlagPadded) != 0 && frame.length <= kPaddingMax) {
        budget_.Spend(Cost::kFrame);
      }
      break;
    case FrameType::kHeaders:
      continuations_ = 0;
      if (goaway_finished_) budget_.Spend(Cost::kFrame);
      break;
    case FrameType::kPriority:
      // nghttp2 does not look at them any more (RFC 9113 §6.3).
      if (server() && frame.stream == 0) Fail(ErrorCode::kProtocolError, "h2_protocol_error");
      budget_.Spend(Cost::kFrame);
      break;
    case FrameType::kSettings:
      budget_.Spend((frame.flags & kFlagAck) != 0 ? Cost::kFrame : Cost::kSettings);
      if (frame.length > kSettingsBytesMax) Fail(ErrorCode::kEnhanceYourCalm, "h2_flood");
      break;
    case FrameType::kPing:
      budget_.SpendBeside((frame.flags & kFlagAck) != 0 ? Cost::kFrame : Cost::kPing);
      break;
    case FrameType::kContinuation:
      budget_.Spend(Cost::kContinuation);
      if (++continuations_ > kContinuationsMax) Fail(ErrorCode::kEnhanceYourCalm, "h2_flood");
      break;
    case FrameType::kPushPromise:
    case FrameType::kGoaway:
      budget_.Spend(Cost::kSettings);
      break;
    case FrameType::kRstStream:
      budget_.Spend(Cost::kFrame);
      break;
    case FrameType::kWindowUpdate:
      budget_.SpendBeside(Cost::kFrame);
      break;
  }
  if (frame.type > FrameType::kContinuation) budget_.Spend(Cost::kFrame);  // an extension
  return failure_ == nullptr && !budget_.exhausted();
}

void SessionImpl::Fail(ErrorCode code, const char* reason) {
  if (failure_ != nullptr) return;
  failure_ = reason;
  nghttp2_session_terminate_session(session_, static_cast<uint32_t>(code));
}

void SessionImpl::FailHard(ErrorCode code, const char* reason) {
  if (failure_ == nullptr) failure_ = reason;
  dead_ = true;
  const auto last = static_cast<uint32_t>(nghttp2_session_get_last_proc_stream_id(session_));
  const auto number = static_cast<uint32_t>(code);
  const auto byte = [](uint32_t value, int shift) { return static_cast<uint8_t>(value >> shift); };
  last_words_ = {0,
                 0,
                 8,
                 static_cast<uint8_t>(FrameType::kGoaway),
                 0,
                 0,
                 0,
                 0,
                 0,
                 byte(last, 24),
                 byte(last, 16),
                 byte(last, 8),
                 byte(last, 0),
                 byte(number, 24),
                 byte(number, 16),
                 byte(number, 8),
                 byte(number, 0)};
}

bool SessionImpl::terminating() const {
  // A number that is no last stream for a GOAWAY of ours is refused, unless nghttp2 has decided to
  // end the connection: then it does not look at it any more. There is no other way to ask.
  const int32_t impossible = server() ? 2 : 1;
  return nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, impossible, 0, nullptr, 0) == 0;
}

void SessionImpl::BeginGoaway() {
  if (!server() || goaway_begun_ || failure_ != nullptr) return;
  goaway_begun_ = true;
  nghttp2_submit_shutdown_notice(session_);
}

void SessionImpl::FinishGoaway(ErrorCode code) {
  if ((goaway_finished_ && code == ErrorCode::kNoError) || failure_ != nullptr) return;
  goaway_begun_ = true;
  // The last stream never grows (RFC 9113 §6.8).
  if (!std::exchange(goaway_finished_, true)) {
    goaway_last_ = nghttp2_session_get_last_proc_stream_id(session_);
  }
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, goaway_last_, static_cast<uint32_t>(code),
                        nullptr, 0);
}

size_t SessionImpl::room() const {
  if (server() || failure_ != nullptr || goaway_finished_ || goaway_received_) return 0;
  if (nghttp2_session_get_next_stream_id(session_) > INT32_MAX) return 0;
  const size_t most = std::min(
      options_.streams_max,
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
  return most > streams_ ? most - streams_ : 0;
}

bool SessionImpl::takes_tunnels() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
         1;
}

void SessionImpl::Ping() {
  if (failure_ == nullptr) nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
}

SessionStream* SessionImpl::Find(int32_t stream_id) const {
  return static_cast<SessionStream*>(nghttp2_session_get_stream_user_data(session_, stream_id));
}

}  // namespace rondo::http2
