// A session with an owner that writes down what it is told, and answers as a test says.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http2/refusal_text.h"
#include "rondo/base/freelist.h"
#include "rondo/http2/session.h"

namespace rondo::http2 {

struct TestStream final : SessionStream {
  // What was told.
  std::string text;  // of the last head
  std::string interim;
  std::string data;
  std::string trailers;
  std::string refusal;
  http::Framing framing = http::Framing::kNone;
  bool headed = false;
  bool ended = false;
  bool closed = false;
  SessionOwner::Closing closing;
  int32_t number = 0;  // id(), also once it is closed
  size_t taken = 0;    // bytes of `data` that were consumed

  // What is said.
  std::string body;  // still to be supplied
  bool body_ends = true;
  bool fails = false;
  std::vector<OutgoingField> trailing;
  size_t supplies = 0;
};

// One end of a connection.
class SessionEnd final : public SessionOwner {
 public:
  explicit SessionEnd(const SessionOptions& options)
      : options(options), session(Session::Make(options, *this, memory)) {}
  ~SessionEnd() {
    session.reset();
    EXPECT_EQ(memory.blocks_out(), 0u);
  }

  // -- what is told --
  SessionStream* OnRequest(const IncomingHead& head, bool ends) override {
    if (refuse_streams) return nullptr;
    TestStream& stream = Add();
    stream.text = head.text;
    stream.refusal = RefusalText(head.refusal);
    stream.framing = head.framing;
    stream.headed = true;
    stream.ended = ends;
    return &stream;
  }
  void OnResponse(SessionStream& to, const IncomingHead& head, bool ends) override {
    auto& stream = static_cast<TestStream&>(to);
    EXPECT_FALSE(stream.closed);
    if (head.interim) {
      stream.interim += head.text;
      return;
    }
    EXPECT_FALSE(stream.headed);
    stream.text = head.text;
    stream.refusal = RefusalText(head.refusal);
    stream.framing = head.framing;
    stream.headed = true;
    stream.ended = ends;
  }
  void OnData(SessionStream& to, std::string_view bytes) override {
    auto& stream = static_cast<TestStream&>(to);
    EXPECT_TRUE(stream.headed && !stream.ended && !stream.closed);
    stream.data += bytes;
    if (consume) Take(stream, bytes.size());
    if (reset_on_data) session->Reset(stream, ErrorCode::kCancel);
  }
  void OnEnd(SessionStream& to, std::string_view trailers) override {
    auto& stream = static_cast<TestStream&>(to);
    EXPECT_TRUE(stream.headed && !stream.ended && !stream.closed);
    stream.trailers = trailers;
    stream.ended = true;
  }
  Supply OnSupply(SessionStream& to, std::span<char> out, size_t* count) override {
    auto& stream = static_cast<TestStream&>(to);
    EXPECT_FALSE(stream.closed);
    ++stream.supplies;
    if (stream.fails) return Supply::kFailed;
    *count = std::min(out.size(), stream.body.size());
    std::memcpy(out.data(), stream.body.data(), *count);
    stream.body.erase(0, *count);
    if (!stream.body.empty()) return Supply::kMore;
    if (!stream.body_ends) return Supply::kWait;
    if (!stream.trailing.empty()) session->SubmitTrailers(stream, stream.trailing);
    return Supply::kEnd;
  }
  void OnClosed(SessionStream& to, const Closing& closing) override {
    auto& stream = static_cast<TestStream&>(to);
    EXPECT_FALSE(stream.closed);
    stream.closed = true;
    stream.closing = closing;
    // What it did not take must not be missing from the connection's window.
    session->Consume(stream.id(), stream.data.size() - stream.taken);
  }
  void OnGoaway(ErrorCode code) override { goaways.push_back(code); }
  void OnSettings() override { ++settings; }

  // -- what is done --
  TestStream& Add() { return all.emplace_back(); }
  void Take(TestStream& stream, size_t bytes) {
    stream.taken += bytes;
    session->Consume(stream.id(), bytes);
  }
  // Begins a stream; null: there was no room.
  TestStream* Open(const std::vector<OutgoingField>& fields, bool ends = true) {
    OutgoingHead head;
    head.fields = fields;
    head.ends = ends;
    return Open(head);
  }
  TestStream* Open(const OutgoingHead& head) {
    TestStream& stream = Add();
    if (session->OpenStream(stream, head)) return &stream;
    all.pop_back();
    return nullptr;
  }
  int Answer(TestStream& stream, std::vector<OutgoingField> more = {}, bool ends = true,
             bool interim = false, std::string_view status = "200") {
    more.insert(more.begin(), OutgoingField{":status", status});
    OutgoingHead head;
    head.fields = more;
    head.ends = ends;
    head.interim = interim;
    return session->SubmitHead(stream, head);
  }
  Session::State Feed(std::string_view bytes) { return session->Feed(bytes, now); }
  // All that is to be sent.
  std::string Drain(size_t room = 16384) {
    std::string out;
    std::vector<char> buffer(room);
    while (true) {
      const size_t size = session->Fill(buffer);
      EXPECT_LE(size, room);
      if (size == 0) break;
      out.append(buffer.data(), size);
    }
    EXPECT_FALSE(session->wants_fill());
    return out;
  }

  Freelist memory;
  SessionOptions options;
  std::deque<TestStream> all;
  std::vector<ErrorCode> goaways;
  int settings = 0;
  bool consume = true;
  bool reset_on_data = false;
  bool refuse_streams = false;
  Instant now{std::chrono::seconds(100)};
  std::unique_ptr<Session> session;
};

inline SessionOptions ServerOptions() {
  SessionOptions options;
  options.role = Role::kServer;
  return options;
}
inline SessionOptions ClientOptions() {
  SessionOptions options;
  options.role = Role::kClient;
  return options;
}

inline const std::vector<OutgoingField>& GetFields() {
  static const std::vector<OutgoingField> fields = {
      {":method", "GET"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", "/"}};
  return fields;
}
inline const std::vector<OutgoingField>& PostFields() {
  static const std::vector<OutgoingField> fields = {
      {":method", "POST"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", "/"}};
  return fields;
}

}  // namespace rondo::http2
