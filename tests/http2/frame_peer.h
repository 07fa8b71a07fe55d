// One session, and a peer that is frames written by hand.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "http2/session_end.h"
#include "http2/wire.h"

namespace rondo::http2 {

class FramePeer : public ::testing::Test {
 protected:
  explicit FramePeer(const SessionOptions& options) : end(options) {}

  // Says these bytes, so many at a time; what the session says then is in `seen`.
  Session::State Say(std::string_view bytes, size_t cut = SIZE_MAX) {
    Session::State state = end.session->state();
    for (size_t at = 0; at < bytes.size() && state != Session::State::kFailed;
         at += std::min(cut, bytes.size() - at)) {
      state = end.Feed(bytes.substr(at, cut));
    }
    Listen();
    return state;
  }
  void Listen() {
    unread += end.Drain();
    if (end.options.role == Role::kClient && !greeted_) {
      ASSERT_TRUE(unread.starts_with(wire::kHello));
      unread.erase(0, wire::kHello.size());
      greeted_ = true;
    }
    seen = wire::TakeFrames(unread);
  }
  // Both have said SETTINGS and have acknowledged them.
  void Meet() {
    Say((end.options.role == Role::kServer ? wire::kHello : "") + wire::Settings() +
        wire::SettingsAck());
  }

  // The frames of that type among those seen.
  std::vector<wire::Seen> Of(uint8_t type) const {
    std::vector<wire::Seen> found;
    for (const wire::Seen& frame : seen) {
      if (frame.type == type) found.push_back(frame);
    }
    return found;
  }
  bool SaidGoaway(ErrorCode code) const {
    const std::vector<wire::Seen> said = Of(wire::kGoaway);
    return said.size() == 1 && said[0].stream == 0 &&
           said[0].number(4) == static_cast<uint32_t>(code);
  }
  bool SaidReset(uint32_t stream, ErrorCode code) const {
    const std::vector<wire::Seen> said = Of(wire::kRstStream);
    return said.size() == 1 && said[0].stream == stream &&
           said[0].number() == static_cast<uint32_t>(code);
  }
  std::string Summary() const {
    std::string text = end.session->failure() == nullptr ? "" : end.session->failure();
    for (const wire::Seen& frame : seen) {
      text += " type=" + std::to_string(frame.type) + " flags=" + std::to_string(frame.flags) +
              " stream=" + std::to_string(frame.stream) +
              " size=" + std::to_string(frame.payload.size());
      if (frame.type == wire::kGoaway) text += " code=" + std::to_string(frame.number(4));
      if (frame.type == wire::kRstStream) text += " code=" + std::to_string(frame.number());
    }
    return text;
  }

  SessionEnd end;
  std::vector<wire::Seen> seen;
  std::string unread;

 private:
  bool greeted_ = false;
};

class ServerFrames : public FramePeer {
 protected:
  ServerFrames() : ServerFrames(ServerOptions()) {}
  explicit ServerFrames(const SessionOptions& options) : FramePeer(options) {}

  // A request without a body.
  TestStream& Ask(uint32_t stream) {
    Say(wire::Headers(stream, wire::Block(wire::Get())));
    return end.all.back();
  }
  // One whose body is still to come.
  TestStream& Upload(uint32_t stream, const wire::Fields& more = {}) {
    Say(wire::Headers(stream, wire::Block(wire::Post(more)), wire::kEndHeaders));
    return end.all.back();
  }
};

class ClientFrames : public FramePeer {
 protected:
  ClientFrames() : FramePeer(ClientOptions()) {}

  TestStream& Ask(bool ends = true) {
    TestStream* stream = end.Open(ends ? GetFields() : PostFields(), ends);
    EXPECT_NE(stream, nullptr);
    stream->body_ends = false;
    Listen();
    stream->number = stream->id();
    return *stream;
  }
  void Answer(const TestStream& stream, const wire::Fields& fields, bool ends = true) {
    Say(wire::Headers(static_cast<uint32_t>(stream.id()), wire::Block(fields),
                      wire::kEndHeaders | (ends ? wire::kEndStream : 0)));
  }
};

}  // namespace rondo::http2
