#include "rondo/http/websocket.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rondo::http {
namespace {

using From = FrameCursor::From;

// A frame with a payload of `size` bytes that look like heads of frames.
std::string Frame(From from, uint8_t first, size_t size) {
  std::string frame(1, static_cast<char>(first));
  const char masked = static_cast<char>(from == From::kClient ? 0x80 : 0);
  if (size < 126) {
    frame += static_cast<char>(masked | static_cast<char>(size));
  } else {
    const int bytes = size < 65536 ? 2 : 8;
    frame += static_cast<char>(masked | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; --i) frame += static_cast<char>(size >> (8 * i));
  }
  if (from == From::kClient) frame += "\x12\x34\x56\x78";
  return frame + std::string(size, '\x88');
}

// What becomes of a cursor that is given `bytes` in pieces of `piece`.
FrameCursor Fed(From from, const std::string& bytes, size_t piece) {
  FrameCursor cursor(from);
  for (size_t at = 0; at < bytes.size(); at += piece) {
    cursor.Advance(std::string_view(bytes).substr(at, piece));
  }
  return cursor;
}

constexpr From kBoth[] = {From::kClient, From::kServer};

TEST(FrameCursor, BeginsAtABoundary) {
  for (const From from : kBoth) {
    EXPECT_TRUE(FrameCursor(from).at_boundary());
    EXPECT_FALSE(FrameCursor(from).closed());
    EXPECT_FALSE(FrameCursor(from).broken());
  }
}

TEST(FrameCursor, FindsTheEndOfAFrameOfAnySizeHoweverItIsCut) {
  for (const From from : kBoth) {
    for (const size_t size : {0u, 1u, 2u, 125u, 126u, 127u, 300u, 65535u, 65536u, 70000u}) {
      const std::string frame = Frame(from, 0x82, size);
      for (const size_t piece : {size_t{1}, size_t{3}, size_t{1000}, frame.size()}) {
        SCOPED_TRACE(std::to_string(size) + " in pieces of " + std::to_string(piece));
        EXPECT_FALSE(Fed(from, frame.substr(0, frame.size() - 1), piece).at_boundary());
        EXPECT_TRUE(Fed(from, frame, piece).at_boundary());
        EXPECT_FALSE(Fed(from, frame + '\x82', piece).at_boundary());
      }
    }
  }
}

TEST(FrameCursor, StopsAtEachEndOfAFrameAndNowhereElse) {
  for (const From from : kBoth) {
    // A fragmented message with a ping between its parts, as a compressing extension would mark it.
    const std::vector<std::string> frames = {Frame(from, 0x41, 10), Frame(from, 0x89, 4),
                                             Frame(from, 0x00, 200), Frame(from, 0x80, 0),
                                             Frame(from, 0xc2, 126)};
    std::string all;
    for (const std::string& frame : frames) all += frame;
    for (size_t piece = 1; piece <= all.size(); ++piece) {
      FrameCursor cursor(from);
      std::vector<size_t> ends;
      size_t at = 0;
      while (at < all.size()) {
        if (cursor.at_boundary()) cursor.Advance(std::string_view(all).substr(at++, 1));
        const std::string_view rest = std::string_view(all).substr(at, piece);
        const size_t taken = cursor.AdvanceToBoundary(rest);
        at += taken;
        if (cursor.at_boundary()) {
          ends.push_back(at);
        } else {
          ASSERT_EQ(taken, rest.size());
        }
      }
      std::vector<size_t> expected;
      for (const std::string& frame : frames) {
        expected.push_back((expected.empty() ? 0 : expected.back()) + frame.size());
      }
      ASSERT_EQ(ends, expected) << piece;
    }
  }
}

TEST(FrameCursor, AtABoundaryThereIsNothingToGoOverTo) {
  FrameCursor cursor(From::kServer);
  EXPECT_EQ(cursor.AdvanceToBoundary(Frame(From::kServer, 0x81, 5)), 0u);
  cursor.Advance(Frame(From::kServer, 0x81, 5));
  EXPECT_EQ(cursor.AdvanceToBoundary("abc"), 0u);
  EXPECT_TRUE(cursor.at_boundary());
}

TEST(FrameCursor, SeesAWholeCloseFrameAndFollowsNothingBehindIt) {
  for (const From from : kBoth) {
    for (const size_t size : {0u, 2u, 20u}) {
      const std::string bytes = Frame(from, 0x82, 30) + Frame(from, 0x88, size);
      for (const size_t piece : {1u, 7u, 1000u}) {
        EXPECT_FALSE(Fed(from, bytes.substr(0, bytes.size() - 1), piece).closed());
        const FrameCursor cursor = Fed(from, bytes + "anything", piece);
        EXPECT_TRUE(cursor.closed());
        EXPECT_FALSE(cursor.at_boundary());
        EXPECT_FALSE(cursor.broken());
      }
    }
  }
}

TEST(FrameCursor, KnowsWhatIsNoFrame) {
  const auto client = [](const std::string& bytes) {
    return Frame(From::kClient, 0x81, 3) + bytes;
  };
  using namespace std::string_literals;
  struct Case {
    const char* what;
    From from;
    std::string bytes;
  };
  const Case cases[] = {
      {"a reserved opcode", From::kServer, "\x83"},
      {"a reserved control opcode", From::kServer, "\x8b"},
      {"a control frame in parts", From::kServer, "\x09"},
      {"a long control frame", From::kServer, "\x89\x7e"},
      {"a client's frame without a mask", From::kClient, client("\x81\x05")},
      {"a server's frame with a mask", From::kServer, "\x81\x85"},
      {"a size in two bytes that fits one", From::kServer, "\x82\x7e\x00\x7d"s},
      {"a size in eight bytes that fits two", From::kServer, "\x82\x7f\0\0\0\0\0\0\xff\xff"s},
      {"a size beyond 63 bits", From::kServer, "\x82\x7f\x80\0\0\0\0\0\0\0"s},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    for (const size_t piece : {1u, 100u}) {
      EXPECT_FALSE(Fed(each.from, each.bytes.substr(0, each.bytes.size() - 1), piece).broken());
      FrameCursor cursor = Fed(each.from, each.bytes, piece);
      EXPECT_TRUE(cursor.broken());
      EXPECT_FALSE(cursor.at_boundary());
      // It takes whatever comes.
      EXPECT_EQ(cursor.AdvanceToBoundary("abc"), 3u);
      EXPECT_TRUE(cursor.broken());
    }
  }
}

TEST(FrameCursor, TheLargestSizeIsASize) {
  using namespace std::string_literals;
  FrameCursor cursor(From::kServer);
  cursor.Advance("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"s);
  EXPECT_FALSE(cursor.broken());
  cursor.Advance(std::string(100000, 'x'));
  EXPECT_FALSE(cursor.broken());
  EXPECT_FALSE(cursor.at_boundary());
}

TEST(FrameCursor, IsSmall) { EXPECT_LE(sizeof(FrameCursor), 16u); }

TEST(CloseFrame, IsWhatACursorTakesForOne) {
  char frame[kCloseFrameMax];
  const std::string_view plain(frame, WriteCloseFrame(kCloseGoingAway, std::nullopt, frame));
  EXPECT_EQ(plain, "\x88\x02\x03\xe9");
  FrameCursor server(From::kServer);
  server.Advance(plain);
  EXPECT_TRUE(server.closed());

  char masked_frame[kCloseFrameMax];
  const std::string_view masked(masked_frame,
                                WriteCloseFrame(kCloseGoingAway, 0x01020304u, masked_frame));
  EXPECT_EQ(masked, "\x88\x82\x01\x02\x03\x04\x02\xeb");
  FrameCursor client(From::kClient);
  client.Advance(masked);
  EXPECT_TRUE(client.closed());
}

TEST(WebSocketHandshake, HasTheTextsOfItsSpecification) {
  // RFC 6455 §1.3.
  char accept[kWebSocketAcceptBytes];
  WriteWebSocketAccept("dGhlIHNhbXBsZSBub25jZQ==", accept);
  EXPECT_EQ(std::string_view(accept, sizeof(accept)), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  char key[kWebSocketKeyBytes];
  WriteWebSocketKey("the sample nonce", key);
  EXPECT_EQ(std::string_view(key, sizeof(key)), "dGhlIHNhbXBsZSBub25jZQ==");
}

TEST(WebSocketHandshake, AnswersKeysOfAnyLength) {
  // The blocks of the hash end before, within and behind the padding; as OpenSSL says.
  struct Case {
    size_t size;
    const char* accept;
  };
  const Case cases[] = {
      {0, "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="},   {19, "tWclcP21hrR+xgjYVswtQRW71GQ="},
      {20, "tSsjsIAvEVIQ+IC5K8+T/OkG8nU="},  {27, "qUNe7W8rvas6tQS5F4QBTf/JpvE="},
      {28, "x9bmfLYIxLMaaT5h0sFuRlAhhb8="},  {29, "23YR1Db+zw7wlQpr5c9wffHlaIs="},
      {91, "Mxd/SwBPfhz1zQHW7M6srlOA0TM="},  {92, "LY9EluoxzTck+ySKVLqXrQNaqCc="},
      {300, "0epks0nN8rNytIigCrEHZPQGWfI="},
  };
  for (const Case& c : cases) {
    char accept[kWebSocketAcceptBytes];
    WriteWebSocketAccept(std::string(c.size, 'k'), accept);
    EXPECT_EQ(std::string_view(accept, sizeof(accept)), c.accept) << c.size;
  }
}

}  // namespace
}  // namespace rondo::http
