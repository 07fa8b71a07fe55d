// What streams go through, and what windows let through, by section of RFC 9113.
#include <gtest/gtest.h>

#include "http2/frame_peer.h"

namespace rondo::http2 {
namespace {

using namespace wire;

class ServerStreams : public ServerFrames {};
class ClientStreams : public ClientFrames {};

// -- §5.1: states --

TEST_F(ServerStreams, S5_1_AResetStreamIsForgottenAndWhatStillComesPassedOver) {
  Meet();
  TestStream& stream = Upload(1);
  end.session->Reset(stream, ErrorCode::kInternalError);
  Listen();
  EXPECT_TRUE(SaidReset(1, ErrorCode::kInternalError)) << Summary();
  EXPECT_TRUE(stream.closed && !stream.closing.by_peer);
  EXPECT_EQ(end.session->streams(), 0u);
  // The client may not know yet.
  EXPECT_EQ(Say(Data(1, "late") + WindowUpdate(1, 5) + Headers(1, Block({{"late", "trailers"}})) +
                RstStream(1, ErrorCode::kCancel)),
            Session::State::kOpen);
  EXPECT_EQ(stream.data, "");
  // The table of the decompressor went on nevertheless.
  Ask(3);
  EXPECT_EQ(end.all.back().text, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
}

TEST_F(ServerStreams, S5_1_HeadsOfStreamsThatCannotBeOpenEndTheConnection) {
  Meet();
  TestStream& stream = Ask(1);
  end.Answer(stream);
  Listen();
  EXPECT_TRUE(stream.closed);
  EXPECT_EQ(Say(Headers(1, Block(Get()))), Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kProtocolError)) << Summary();
}

TEST_F(ServerStreams, S5_1_DataOfClosedStreamsCountsOnTheConnectionOnly) {
  Meet();
  TestStream& stream = Upload(1);
  end.session->Reset(stream, ErrorCode::kCancel);
  Listen();
  uint64_t given = 0;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(Say(Data(1, std::string(16384, 'x'))), Session::State::kOpen) << i;
    for (const Seen& frame : Of(kWindowUpdate)) {
      EXPECT_EQ(frame.stream, 0u);
      given += frame.number();
    }
  }
  EXPECT_GT(given, 1000u * 16384 - (1 << 20));
}

TEST_F(ServerStreams, S5_1_AClientMayResetAtAnyTime) {
  Meet();
  TestStream& stream = Upload(1);
  Say(RstStream(1, ErrorCode::kCancel));
  EXPECT_TRUE(stream.closed && stream.closing.by_peer);
  EXPECT_EQ(stream.closing.code, ErrorCode::kCancel);
  EXPECT_FALSE(stream.closing.unprocessed);
  EXPECT_EQ(end.Answer(stream), -1);
  EXPECT_TRUE(seen.empty()) << Summary();
}

TEST_F(ServerStreams, S5_1_AResetTakesBackAnAnswerThatHasNotGoneOut) {
  Meet();
  TestStream& stream = Ask(1);
  stream.body = std::string(100'000, 'x');
  end.Answer(stream, {}, false);
  end.Feed(RstStream(1, ErrorCode::kCancel));
  Listen();
  EXPECT_TRUE(stream.closed);
  EXPECT_TRUE(seen.empty()) << Summary();
}

TEST_F(ServerStreams, S5_1_NothingIsToldOfAStreamOnceItIsReset) {
  Meet();
  end.reset_on_data = true;
  TestStream& stream = Upload(1);
  Say(Data(1, "first") + Data(1, "second") + Data(1, "", kEndStream));
  EXPECT_EQ(stream.data, "first");
  EXPECT_TRUE(stream.closed && !stream.ended);
}

// -- §5.1.2: how many --

TEST_F(ServerStreams, S5_1_2_StreamsBeyondTheLimitAreRefusedUntilItIsKnown) {
  Say(kHello + Settings());  // ours are not acknowledged
  for (uint32_t stream = 1; stream < 2 * 128; stream += 2) Ask(stream);
  EXPECT_EQ(end.session->streams(), 128u);
  Say(Headers(257, Block(Get())));
  EXPECT_TRUE(SaidReset(257, ErrorCode::kRefusedStream)) << Summary();
  EXPECT_EQ(end.all.size(), 128u);
  Say(SettingsAck());
  EXPECT_EQ(Say(Headers(259, Block(Get()))), Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kProtocolError)) << Summary();
}

TEST_F(ServerStreams, S5_1_2_ARefusedStreamMayComeWhole) {
  Say(kHello + Settings());
  for (uint32_t stream = 1; stream < 2 * 128; stream += 2) Ask(stream);
  EXPECT_EQ(Say(Headers(257, Block(Post()), kEndHeaders) + Data(257, "body") +
                Headers(257, Block({{"x", "y"}}))),
            Session::State::kOpen);
  EXPECT_TRUE(SaidReset(257, ErrorCode::kRefusedStream)) << Summary();
  EXPECT_EQ(end.session->streams(), 128u);
}

TEST_F(ServerStreams, S5_1_2_StreamsThatAreOverMakeRoom) {
  Meet();
  for (uint32_t stream = 1; stream < 2 * 1000; stream += 2) {
    TestStream& asked = Ask(stream);
    ASSERT_EQ(end.Answer(asked), 0);
    Listen();
    ASSERT_TRUE(asked.closed);
  }
}

TEST_F(ClientStreams, S5_1_2_RequestsWaitWhereTheServerTakesNoMore) {
  Say(Settings({{kMaxConcurrentStreams, 2}}) + SettingsAck());
  EXPECT_EQ(end.session->room(), 2u);
  TestStream& first = Ask();
  Ask();
  EXPECT_EQ(end.session->room(), 0u);
  EXPECT_EQ(end.Open(GetFields()), nullptr);
  Answer(first, Ok());
  EXPECT_EQ(end.session->room(), 1u);
  Say(Settings({{kMaxConcurrentStreams, 0}}));
  EXPECT_EQ(end.session->room(), 0u);
}

TEST_F(ClientStreams, S5_1_2_ALimitThatShrinksHoldsBackWhatHasNotGoneOut) {
  Say(Settings() + SettingsAck());
  TestStream* waiting = end.Open(GetFields());
  ASSERT_NE(waiting, nullptr);
  Say(Settings({{kMaxConcurrentStreams, 0}}));
  EXPECT_TRUE(Of(kHeaders).empty());
  Say(Settings({{kMaxConcurrentStreams, 1}}));
  EXPECT_EQ(Of(kHeaders).size(), 1u);
}

// -- §5.2, §6.9: windows --

TEST_F(ServerStreams, S6_9_NothingIsSentBeyondAWindow) {
  Say(kHello + Settings({{kInitialWindowSize, 10}}) + SettingsAck());
  TestStream& stream = Ask(1);
  stream.body = std::string(100, 'x');
  end.Answer(stream, {}, false);
  Listen();
  ASSERT_EQ(Of(kData).size(), 1u);
  EXPECT_EQ(Of(kData)[0].payload.size(), 10u);
  EXPECT_FALSE(end.session->wants_fill());
  Say(WindowUpdate(1, 5));
  EXPECT_EQ(Of(kData)[0].payload.size(), 5u);
  Say(WindowUpdate(1, 1000));
  EXPECT_EQ(Of(kData)[0].payload.size(), 85u);
  EXPECT_TRUE(Of(kData).back().ends());
}

TEST_F(ServerStreams, S6_9_2_AWindowMayBecomeNegative) {
  Meet();
  TestStream& stream = Ask(1);
  stream.body = std::string(100'000, 'x');
  end.Answer(stream, {}, false);
  Say(WindowUpdate(0, 1'000'000));
  Say(Settings({{kInitialWindowSize, 0}}));
  Say(WindowUpdate(1, 65535));
  EXPECT_TRUE(Of(kData).empty()) << Summary();
  Say(WindowUpdate(1, 1));
  ASSERT_EQ(Of(kData).size(), 1u);
  EXPECT_EQ(Of(kData)[0].payload.size(), 1u);
  Say(Settings({{kInitialWindowSize, 100}}));
  EXPECT_EQ(Of(kData)[0].payload.size(), 100u);
}

TEST_F(ServerStreams, S6_9_1_AStreamsWindowBeyondTheLargestResetsIt) {
  Meet();
  TestStream& stream = Upload(1);
  EXPECT_EQ(Say(WindowUpdate(1, 0x7fffffff)), Session::State::kOpen);
  EXPECT_TRUE(SaidReset(1, ErrorCode::kFlowControlError)) << Summary();
  EXPECT_TRUE(stream.closed);
}

TEST_F(ServerStreams, S6_9_1_MoreThanAStreamsWindowResetsIt) {
  end.consume = false;
  Meet();
  TestStream& stream = Upload(1);
  for (int i = 0; i < 4; ++i) Say(Data(1, std::string(16384, 'x')));
  EXPECT_TRUE(SaidReset(1, ErrorCode::kFlowControlError)) << Summary();
  EXPECT_TRUE(stream.closed);
  // What it held is the connection's again.
  uint64_t given = 0;
  for (uint32_t next = 3; next < 200; next += 2) {
    Upload(next);
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(Say(Data(next, std::string(16384, 'x'))), Session::State::kOpen);
      for (const Seen& frame : Of(kWindowUpdate)) given += frame.number();
    }
    Say(RstStream(next, ErrorCode::kCancel));
    for (const Seen& frame : Of(kWindowUpdate)) given += frame.number();
  }
  EXPECT_GT(given, 3'000'000u);
}

TEST_F(ServerStreams, S6_9_2_SettingsThatOpenAWindowTooFarResetItsStream) {
  // RFC 9113 would have the connection end; nghttp2 ends the stream, which harms nobody.
  Meet();
  TestStream& stream = Upload(1);
  Say(WindowUpdate(1, 0x7fffffff - 65535) + Settings({{kInitialWindowSize, 65536}}));
  EXPECT_TRUE(SaidReset(1, ErrorCode::kFlowControlError)) << Summary();
  EXPECT_TRUE(stream.closed);
}

TEST_F(ServerStreams, S6_9_AnEndWithoutBytesNeedsNoWindow) {
  Say(kHello + Settings({{kInitialWindowSize, 5}}) + SettingsAck());
  TestStream& stream = Ask(1);
  stream.body = "12345";
  stream.trailing = {{"x", "y"}};
  end.Answer(stream, {}, false);
  Listen();
  EXPECT_EQ(Of(kHeaders).size(), 2u) << Summary();
  EXPECT_TRUE(stream.closed);
}

// -- §6.4, §8.7: what was not processed --

TEST_F(ClientStreams, S8_7_RefusedStreamsAndThoseBehindTheLastOneWereNotProcessed) {
  Meet();
  TestStream& refused = Ask();
  TestStream& cancelled = Ask();
  TestStream& last = Ask();
  TestStream& behind = Ask(false);
  Say(RstStream(static_cast<uint32_t>(refused.id()), ErrorCode::kRefusedStream));
  EXPECT_TRUE(refused.closed && refused.closing.unprocessed && refused.closing.by_peer);
  Say(RstStream(static_cast<uint32_t>(cancelled.id()), ErrorCode::kCancel));
  EXPECT_TRUE(cancelled.closed && !cancelled.closing.unprocessed && cancelled.closing.by_peer);
  EXPECT_EQ(Say(Goaway(static_cast<uint32_t>(last.id()), ErrorCode::kNoError)),
            Session::State::kEnding);
  EXPECT_TRUE(behind.closed && behind.closing.unprocessed);
  EXPECT_FALSE(last.closed);
  EXPECT_EQ(end.session->room(), 0u);
  Answer(last, Ok());
  EXPECT_TRUE(last.ended && last.closed);
}

TEST_F(ClientStreams, S6_8_GoawayMayOnlyTakeBack) {
  Meet();
  Ask();
  Say(Goaway(1, ErrorCode::kNoError));
  EXPECT_EQ(Say(Goaway(3, ErrorCode::kNoError)), Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kProtocolError)) << Summary();
}

TEST_F(ClientStreams, S6_8_ARequestThatHasNotGoneOutWhenGoawayComesWasNotProcessed) {
  Meet();
  TestStream* waiting = end.Open(GetFields());
  end.Feed(Goaway(0x7fffffff, ErrorCode::kNoError));
  Listen();
  EXPECT_TRUE(waiting->closed && waiting->closing.unprocessed);
  EXPECT_TRUE(Of(kHeaders).empty());
}

TEST_F(ClientStreams, ARequestThatIsResetBeforeItGoesOutIsNeverSeen) {
  Meet();
  TestStream* waiting = end.Open(GetFields());
  end.session->Reset(*waiting, ErrorCode::kCancel);
  Listen();
  EXPECT_TRUE(waiting->closed && !waiting->closing.unprocessed);
  EXPECT_TRUE(seen.empty()) << Summary();
  EXPECT_EQ(end.session->streams(), 0u);
}

// -- §6.6, §8.4: pushes --

TEST_F(ClientStreams, S6_6_APushIsRefusedUntilSettingsAreAcknowledgedAndAnErrorThen) {
  Say(Settings());
  TestStream& stream = Ask(false);
  const std::string push =
      Frame(kPushPromise, kEndHeaders, 1, Number(2, 4) + Block(Get("/pushed")));
  EXPECT_EQ(Say(push), Session::State::kOpen);
  EXPECT_TRUE(SaidReset(2, ErrorCode::kCancel)) << Summary();
  Say(SettingsAck());
  EXPECT_EQ(Say(Frame(kPushPromise, kEndHeaders, 1, Number(4, 4) + Block(Get("/pushed")))),
            Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kProtocolError)) << Summary();
  EXPECT_FALSE(stream.headed);
}

TEST_F(ClientStreams, S8_4_AServerAsksNothing) {
  Meet();
  EXPECT_EQ(Say(Headers(2, Block(Get()))), Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kProtocolError)) << Summary();
}

TEST_F(ClientStreams, S6_5_2_AServerThatPushesByItsSettingsIsWrong) {
  EXPECT_EQ(Say(Settings({{kEnablePush, 1}})), Session::State::kFailed);
}

TEST_F(ClientStreams, Rfc8441_3_TunnelsMayNotBeTakenBack) {
  Say(Settings({{kEnableConnectProtocol, 1}}));
  EXPECT_TRUE(end.session->takes_tunnels());
  EXPECT_EQ(Say(Settings({{kEnableConnectProtocol, 0}})), Session::State::kFailed);
}

}  // namespace
}  // namespace rondo::http2
