// Bytes into an HTTP/2 session, as a server and as a client: whatever they are, what is told of
// them is the same however they are cut, bodies never exceed what their heads say, each stream is
// closed once, nothing is left of them, and what is said in answer is frames.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_check.h"
#include "http2/frame_walk.h"
#include "rondo/base/freelist.h"
#include "rondo/http2/session.h"

namespace {

using namespace rondo;
using namespace rondo::http2;

// The first byte of an input.
struct Manner {
  explicit Manner(uint8_t byte)
      : role((byte & 1) != 0 ? Role::kClient : Role::kServer),
        greets((byte & 2) != 0),
        answers((byte & 4) != 0),
        consumes((byte & 8) != 0),
        resets((byte & 16) != 0),
        ends((byte & 32) != 0),
        goes((byte & 64) != 0) {}
  Role role;
  bool greets;    // the preface and empty SETTINGS stand in front of the input
  bool answers;   // heads and bodies are sent
  bool consumes;  // what comes is taken
  bool resets;    // a stream is reset when its first byte comes
  bool ends;      // bodies that are sent end
  bool goes;      // GOAWAY is said half way
};

struct Stream final : SessionStream {
  uint64_t limit = UINT64_MAX;
  size_t told = 0;
  size_t given = 0;
  bool headed = false;
  bool ended = false;
  bool reset = false;
  bool closed = false;
};

class End final : public SessionOwner {
 public:
  explicit End(const Manner& manner) : manner_(manner) {
    SessionOptions options;
    options.role = manner.role;
    options.streams_max = 8;
    options.header_bytes = 1024;
    options.header_count = 16;
    session_ = Session::Make(options, *this, memory_);
    if (manner.role == Role::kClient) Open();
  }
  ~End() {
    session_.reset();
    FUZZ_CHECK(memory_.blocks_out() == 0);
  }

  SessionStream* OnRequest(const IncomingHead& head, bool ends) override {
    Log("request", head.text, head.refusal.what());
    if (streams_.size() % 7 == 6) return nullptr;
    Stream& stream = streams_.emplace_back();
    TakeHead(stream, head, ends);
    unanswered_.push_back(&stream);
    return &stream;
  }
  void OnResponse(SessionStream& to, const IncomingHead& head, bool ends) override {
    auto& stream = static_cast<Stream&>(to);
    Log("response", head.text, head.refusal.what());
    FUZZ_CHECK(!stream.closed && !stream.headed && !stream.reset);
    if (!head.interim) TakeHead(stream, head, ends);
  }
  void OnData(SessionStream& to, std::string_view bytes) override {
    auto& stream = static_cast<Stream&>(to);
    FUZZ_CHECK(stream.headed && !stream.ended && !stream.closed && !stream.reset);
    stream.told += bytes.size();
    FUZZ_CHECK(stream.told <= stream.limit);
    data_ += bytes;
    if (manner_.consumes) {
      session_->Consume(stream.id(), bytes.size());
      stream.told -= bytes.size();
      if (stream.limit != UINT64_MAX) stream.limit -= bytes.size();
    }
    if (manner_.resets) {
      stream.reset = true;
      session_->Reset(stream, ErrorCode::kCancel);
    }
  }
  void OnEnd(SessionStream& to, std::string_view trailers) override {
    auto& stream = static_cast<Stream&>(to);
    FUZZ_CHECK(stream.headed && !stream.ended && !stream.closed && !stream.reset);
    FUZZ_CHECK(stream.limit == UINT64_MAX || stream.told == stream.limit);
    stream.ended = true;
    Log("end", trailers, nullptr);
  }
  Supply OnSupply(SessionStream& to, std::span<char> out, size_t* count) override {
    auto& stream = static_cast<Stream&>(to);
    FUZZ_CHECK(!stream.closed && !out.empty());
    constexpr size_t kBody = 40'000;
    *count = std::min(out.size(), kBody - stream.given);
    std::memset(out.data(), 'x', *count);
    stream.given += *count;
    if (stream.given < kBody) return Supply::kMore;
    if (!manner_.ends) return Supply::kWait;
    if (manner_.consumes) {
      const OutgoingField trailer{"x-sum", "1"};
      session_->SubmitTrailers(stream, {&trailer, 1});
    }
    return Supply::kEnd;
  }
  void OnClosed(SessionStream& to, const Closing& closing) override {
    auto& stream = static_cast<Stream&>(to);
    FUZZ_CHECK(!stream.closed);
    stream.closed = true;
    session_->Consume(stream.id(), stream.told);
    log_ += " closed " + std::to_string(static_cast<uint32_t>(closing.code));
  }
  void OnGoaway(ErrorCode code) override {
    log_ += " goaway " + std::to_string(static_cast<uint32_t>(code));
  }
  void OnSettings() override { log_ += " settings"; }

  // `step`: bytes at a time. `talks`: says what there is to say in between.
  void Run(std::string_view input, size_t step, bool talks) {
    std::string greeting;
    if (manner_.greets && manner_.role == Role::kServer) greeting.assign(kPreface, kPrefaceBytes);
    if (manner_.greets) greeting += std::string("\0\0\0\4\0\0\0\0\0", 9);
    Feed(greeting);
    for (size_t at = 0; at < input.size(); at += std::min(step, input.size() - at)) {
      Feed(input.substr(at, step));
      if (talks && manner_.goes && at >= input.size() / 2) {
        session_->BeginGoaway();
        if (at >= input.size() * 3 / 4) session_->FinishGoaway(ErrorCode::kNoError);
      }
      if (talks) Talk();
    }
    Talk();
    Talk();
    FUZZ_CHECK(!session_->wants_fill());
    size_t open = 0;
    for (const Stream& stream : streams_) open += stream.closed ? 0 : 1;
    FUZZ_CHECK(session_->streams() == open);
  }

  const char* failure() const { return session_->failure(); }
  const std::string& told() const { return log_; }
  const std::string& data() const { return data_; }
  bool left() const { return log_.find(" goaway") != std::string::npos; }
  // How much was told of a body depends on its pieces where it is given up in its middle.
  bool told_parts() const { return manner_.resets || log_.find(" closed 1") != std::string::npos; }

 private:
  void Feed(std::string_view bytes) {
    // In memory of its exact size, so that a byte too far is noticed.
    const std::vector<char> copy(bytes.begin(), bytes.end());
    const bool failed = session_->failure() != nullptr;
    const Session::State state = session_->Feed(copy, Instant{std::chrono::seconds(1)});
    FUZZ_CHECK(!failed || state == Session::State::kFailed);
    FUZZ_CHECK((state == Session::State::kFailed) == (session_->failure() != nullptr));
    FUZZ_CHECK(memory_.blocks_out() < 5000);
  }
  void Talk() {
    if (manner_.answers && manner_.role == Role::kServer) {
      for (Stream* stream : unanswered_) Answer(*stream);
      unanswered_.clear();
    }
    std::vector<char> buffer(Session::kFillMin + 700);
    while (const size_t size = session_->Fill(buffer)) {
      FUZZ_CHECK(size <= buffer.size());
      walk_.Over(Said({buffer.data(), size}), [](const FrameHead& frame) {
        FUZZ_CHECK(frame.length <= 16384 && frame.type <= FrameType::kContinuation);
        return true;
      });
    }
  }
  // Without the preface.
  std::span<const char> Said(std::span<const char> bytes) {
    const size_t preface = manner_.role == Role::kClient && !greeted_ ? kPrefaceBytes : 0;
    greeted_ = true;
    return bytes.subspan(preface);
  }
  void Answer(Stream& stream) {
    const OutgoingField fields[] = {{":status", "200"}, {"x", "y"}};
    OutgoingHead head;
    head.fields = fields;
    head.ends = streams_.size() % 2 == 0;
    if (stream.closed) return;
    session_->SubmitHead(stream, head);
    if (head.ends && !stream.ended) session_->Reset(stream, ErrorCode::kNoError);
  }
  void Open() {
    const OutgoingField fields[] = {
        {":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}};
    for (int i = 0; i < 5; ++i) {
      OutgoingHead head;
      head.fields = fields;
      head.ends = i % 2 == 0;
      head.head_method = i == 2;
      head.tunnel = i == 3;
      head.websocket_key = "dGhlIHNhbXBsZSBub25jZQ==";
      FUZZ_CHECK(session_->OpenStream(streams_.emplace_back(), head));
    }
    // They are on their way when the answers come.
    Talk();
  }
  void TakeHead(Stream& stream, const IncomingHead& head, bool ends) {
    stream.headed = true;
    stream.ended = ends;
    if (head.refusal) stream.reset = true;
    if (head.data_bytes >= 0) stream.limit = static_cast<uint64_t>(head.data_bytes);
  }
  void Log(const char* what, std::string_view text, const char* refusal) {
    log_.append(" ").append(what).append(" ").append(text);
    if (refusal != nullptr) log_.append(refusal);
  }

  Freelist memory_;
  Manner manner_;
  std::deque<Stream> streams_;
  std::vector<Stream*> unanswered_;
  std::string log_;
  std::string data_;
  FrameWalk walk_;
  bool greeted_ = false;
  std::unique_ptr<Session> session_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 65536) return 0;
  const Manner manner(data[0]);
  const size_t step = 1 + data[1] % 32;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  End talking(manner);
  talking.Run(input, step, true);
  End whole(manner);
  whole.Run(input, SIZE_MAX, false);
  End pieces(manner);
  pieces.Run(input, step, false);
  // Behind GOAWAY and the last stream nothing is looked at, but for what came in the same piece.
  if (whole.left()) return 0;
  // What fails is found earlier where more is seen at once.
  if (whole.failure() == nullptr) {
    FUZZ_CHECK(pieces.told() == whole.told());
    FUZZ_CHECK(whole.told_parts() || pieces.data() == whole.data());
  }
  FUZZ_CHECK((whole.failure() == nullptr) == (pieces.failure() == nullptr));
  return 0;
}
