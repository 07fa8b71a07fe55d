// Messages of HTTP/1.1 as tests write them, and read back from the text of a stream.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "rondo/http/body.h"

namespace rondo::io::testing {

struct MessageText {
  bool whole = false;
  std::string head;
  std::string body;
  std::string trailers;
  size_t size = 0;  // in the text
};

// Reads one message from the front of `text`; interim heads are left to the caller. `bodiless`: an
// answer to HEAD.
inline MessageText ReadMessage(std::string_view text, bool bodiless = false) {
  MessageText message;
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return message;
  message.head = std::string(text.substr(0, end + 4));
  message.size = end + 4;
  std::string lower = message.head;
  for (char& c : lower) c = static_cast<char>(tolower(c));
  http::Framing framing = http::Framing::kNone;
  uint64_t length = 0;
  if (const size_t at = lower.find("\r\ncontent-length:"); at != std::string::npos) {
    framing = http::Framing::kLength;
    length = std::stoull(lower.substr(at + 17));
  }
  if (lower.find("\r\ntransfer-encoding: chunked\r\n") != std::string::npos) {
    EXPECT_EQ(framing, http::Framing::kNone) << message.head;
    framing = http::Framing::kChunked;
  }
  if (bodiless) framing = http::Framing::kNone;
  http::BodyDecoder decoder;
  decoder.Begin(framing, length, http::HeadLimits{}, 400);
  std::string rest(text.substr(message.size));
  const http::BodyDecoder::Step step = decoder.Decode(rest.data(), rest.size());
  EXPECT_FALSE(step.refusal) << step.refusal.what() << " in " << text.substr(0, 300);
  message.body.assign(step.data == nullptr ? "" : step.data, step.size);
  message.trailers = std::string(decoder.trailers());
  message.size += step.consumed;
  message.whole = step.done;
  return message;
}

inline std::string Chunked(std::string_view body, size_t piece, std::string_view trailers = {}) {
  std::string text;
  for (size_t at = 0; at < body.size(); at += piece) {
    const std::string_view part = body.substr(at, piece);
    char head[http::kChunkHeadMax];
    text.append(head, http::WriteChunkHead(head, part.size()));
    text += part;
    text += "\r\n";
  }
  text += "0\r\n";
  text += trailers;
  return text + "\r\n";
}

}  // namespace rondo::io::testing
