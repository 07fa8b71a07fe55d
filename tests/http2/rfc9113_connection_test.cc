// What ends a connection, by section of RFC 9113: each is said whole and byte by byte.
#include <gtest/gtest.h>

#include "http2/frame_peer.h"

namespace rondo::http2 {
namespace {

using namespace wire;

using Server = ServerFrames;
using Client = ClientFrames;

TEST_F(Server, S3_4_SettingsAreTheFirstThingSaid) {
  Listen();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].type, kSettings);
  EXPECT_EQ(seen[0].flags, 0);
  EXPECT_EQ(seen[1].type, kWindowUpdate);  // the connection's, which SETTINGS cannot set
  EXPECT_EQ(seen[1].number(), (1u << 20) - 65535);
  std::string parameters;
  for (size_t at = 0; at < seen[0].payload.size(); at += 6) {
    parameters += std::to_string(seen[0].number(at) >> 16) + "=" +
                  std::to_string(seen[0].number(at + 2)) + " ";
  }
  EXPECT_EQ(parameters, "4=65535 6=35968 3=128 8=1 9=1 ");
}

TEST_F(Client, S3_4_ThePrefaceIsTheFirstThingSaid) {
  Listen();
  ASSERT_GE(seen.size(), 1u);
  EXPECT_EQ(seen[0].type, kSettings);
  EXPECT_NE(seen[0].payload.find(Number(kEnablePush, 2) + Number(0, 4)), std::string::npos);
}

TEST_F(Server, S3_4_APrefaceMayComeInAnyPieces) {
  EXPECT_EQ(Say(kHello + Settings(), 1), Session::State::kOpen);
  EXPECT_EQ(end.settings, 1);
  EXPECT_TRUE(end.session->settings_received());
}

TEST(Preface, S3_4_WhateverElseIsSaidIsNotHttp2) {
  const std::string texts[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/1.1\r\n",
                               std::string(24, '\0'), "\x16\x03\x01"};
  for (const std::string& text : texts) {
    for (const size_t cut : {size_t{1}, SIZE_MAX}) {
      SessionEnd server(ServerOptions());
      Session::State state = Session::State::kOpen;
      for (size_t at = 0; at < text.size() && state == Session::State::kOpen;
           at += std::min(cut, text.size())) {
        state = server.Feed(std::string_view(text).substr(at, cut));
      }
      EXPECT_EQ(state, Session::State::kFailed);
      EXPECT_STREQ(server.session->failure(), "h2_not_http2");
    }
  }
}

TEST_F(Client, S3_4_AServerThatSpeaksHttp1IsNotHttp2) {
  EXPECT_EQ(Say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), Session::State::kFailed);
  EXPECT_STREQ(end.session->failure(), "h2_not_http2");
}

TEST_F(Server, S3_4_TheFirstFrameIsSettings) {
  EXPECT_EQ(Say(kHello + Ping("12345678")), Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kProtocolError)) << Summary();
}

// -- errors that end a connection --

struct Offence {
  const char* section;
  std::string bytes;
  ErrorCode code;
};

// Each begins with stream 1, whose request is whole, and stream 3, whose body is to come.
std::vector<Offence> Offences() {
  const std::string get = Block(Get());
  constexpr ErrorCode kProtocol = ErrorCode::kProtocolError;
  constexpr ErrorCode kSize = ErrorCode::kFrameSizeError;
  constexpr ErrorCode kClosed = ErrorCode::kStreamClosed;
  constexpr ErrorCode kFlow = ErrorCode::kFlowControlError;
  constexpr ErrorCode kCompression = ErrorCode::kCompressionError;
  const std::string long_block = Block(Get("/", {{"x", std::string(100, 'x')}}));
  return {
      {"4.2 DATA larger than allowed", Data(3, std::string(16385, 'x')), kSize},
      {"4.2 HEADERS larger than allowed", Headers(5, std::string(16385, 'x')), kSize},
      {"4.2 an unknown frame larger than allowed", Frame(99, 0, 0, std::string(16385, 'x')), kSize},
      {"4.3 a block that is none", Headers(5, "\x80"), kCompression},
      {"4.3 another frame between a head's", Headers(5, get, kEndStream) + Ping("12345678"),
       kProtocol},
      {"4.3 another stream's CONTINUATION between",
       Headers(5, get, kEndStream) + Frame(kContinuation, kEndHeaders, 7, ""), kProtocol},
      {"4.3 another HEADERS between", Headers(5, get, kEndStream) + Headers(7, get), kProtocol},
      {"4.3 an unknown frame between", Headers(5, get, kEndStream) + Frame(99, 0, 5, ""),
       kProtocol},
      {"5.1 DATA on an idle stream", Data(5, "x"), kProtocol},
      {"5.1 RST_STREAM on an idle stream", RstStream(5, ErrorCode::kCancel), kProtocol},
      {"5.1 WINDOW_UPDATE on an idle stream", WindowUpdate(5, 1), kProtocol},
      {"5.1 CONTINUATION on an idle stream", Frame(kContinuation, kEndHeaders, 5, get), kProtocol},
      {"5.1 DATA behind the end", Data(1, "x"), kClosed},
      {"5.1 HEADERS behind the end", Headers(1, get), kClosed},
      {"5.1.1 an even number", Headers(2, get), kProtocol},
      {"5.1.1 a number that was passed over", Headers(9, get) + Headers(5, get), kProtocol},
      {"6.1 DATA on no stream", Data(0, "x"), kProtocol},
      {"6.1 more padding than there is", Data(3, "\x05wxyz", kPadded), kProtocol},
      {"6.1 no padding length", Data(3, "", kPadded), kProtocol},
      {"6.2 HEADERS on no stream", Headers(0, get), kProtocol},
      {"6.2 more padding than there is",
       Headers(5,
               "\x05"
               "abc",
               kPadded | kEndHeaders),
       kProtocol},
      {"6.2 no room for a priority", Headers(5, "abc", kWithPriority | kEndHeaders), kSize},
      {"6.3 PRIORITY on no stream", Frame(kPriority, 0, 0, "12345"), kProtocol},
      {"6.3 PRIORITY of another size", Frame(kPriority, 0, 3, "1234"), kSize},
      {"6.4 RST_STREAM on no stream", RstStream(0, ErrorCode::kCancel), kProtocol},
      {"6.4 RST_STREAM of another size", Frame(kRstStream, 0, 3, "123"), kSize},
      {"6.5 SETTINGS on a stream", Frame(kSettings, 0, 1, ""), kProtocol},
      {"6.5 SETTINGS of another size", Frame(kSettings, 0, 0, "12345"), kSize},
      {"6.5 an acknowledgement that says something", Frame(kSettings, kAck, 0, Number(0, 6)),
       kSize},
      {"6.5 an acknowledgement of nothing", SettingsAck(), kProtocol},
      {"6.5.2 ENABLE_PUSH of 2", Settings({{kEnablePush, 2}}), kProtocol},
      {"6.5.2 INITIAL_WINDOW_SIZE of 2^31", Settings({{kInitialWindowSize, 1u << 31}}), kFlow},
      {"6.5.2 MAX_FRAME_SIZE too small", Settings({{kMaxFrameSize, 16383}}), kProtocol},
      {"6.5.2 MAX_FRAME_SIZE too large", Settings({{kMaxFrameSize, 1u << 24}}), kProtocol},
      {"6.6 PUSH_PROMISE from a client", Frame(kPushPromise, kEndHeaders, 3, Number(2, 4) + get),
       kProtocol},
      {"6.7 PING on a stream", Frame(kPing, 0, 1, "12345678"), kProtocol},
      {"6.7 PING of another size", Frame(kPing, 0, 0, "1234567"), kSize},
      {"6.8 GOAWAY on a stream", Frame(kGoaway, 0, 1, Number(0, 8)), kProtocol},
      {"6.8 GOAWAY of another size", Frame(kGoaway, 0, 0, "1234567"), kSize},
      {"6.9 WINDOW_UPDATE of nothing", WindowUpdate(0, 0), kProtocol},
      {"6.9 a stream's WINDOW_UPDATE of nothing", WindowUpdate(3, 0), kProtocol},
      {"6.9 WINDOW_UPDATE of another size", Frame(kWindowUpdate, 0, 0, "123"), kSize},
      {"6.9.1 the connection's window beyond 2^31 - 1", WindowUpdate(0, 0x7fffffff), kFlow},
      {"6.10 CONTINUATION behind a whole head", Frame(kContinuation, kEndHeaders, 3, ""),
       kProtocol},
      {"RFC 8441 3 ENABLE_CONNECT_PROTOCOL of 2", Settings({{kEnableConnectProtocol, 2}}),
       kProtocol},
  };
}

void Offend(const Offence& offence, size_t cut) {
  SCOPED_TRACE(offence.section);
  class Case : public ServerFrames {
   public:
    void TestBody() override {}
    void Run(const Offence& what, size_t cut_at) {
      Meet();
      Ask(1);
      Upload(3);
      EXPECT_EQ(Say(what.bytes, cut_at), Session::State::kFailed) << Summary();
      EXPECT_TRUE(SaidGoaway(what.code)) << Summary();
      EXPECT_STREQ(end.session->failure(), "h2_protocol_error");
      // Whatever comes then is passed over.
      EXPECT_EQ(Say(Ping("12345678")), Session::State::kFailed);
      EXPECT_TRUE(seen.empty());
    }
  };
  Case().Run(offence, cut);
}

TEST(Connection, ErrorsEndItWithTheirCode) {
  for (const Offence& offence : Offences()) {
    Offend(offence, SIZE_MAX);
    Offend(offence, 1);
  }
}

TEST_F(Server, S6_9_1_MoreThanTheConnectionsWindowEndsIt) {
  end.consume = false;
  Meet();
  for (uint32_t stream = 1; stream <= 33; stream += 2) Upload(stream);
  // 17 streams' windows are more than the connection's.
  std::string all;
  for (uint32_t stream = 1; stream <= 33; stream += 2) {
    for (int i = 0; i < 3; ++i) all += Data(stream, std::string(16384, 'x'));
    all += Data(stream, std::string(16383, 'x'));
  }
  const Session::State state = Say(all, 16384);
  EXPECT_EQ(state, Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kFlowControlError)) << Summary();
}

// -- what does not end it --

TEST_F(Server, S4_1_WhatIsNotKnownIsPassedOver) {
  Meet();
  EXPECT_EQ(Say(Frame(99, 0xff, 0, "whatever") + Frame(0xfe, 0, 77, "") +
                    Frame(kPing, 0xfe, 0x80000000, "12345678"),
                1),
            Session::State::kOpen);
  EXPECT_EQ(Of(kPing).size(), 1u) << Summary();
  Ask(1);
  EXPECT_EQ(end.all.size(), 1u);
}

TEST_F(Server, S4_2_FramesOfTheLargestSizeAreTaken) {
  Meet();
  TestStream& stream = Upload(1);
  EXPECT_EQ(Say(Data(1, std::string(16384, 'x'))), Session::State::kOpen);
  EXPECT_EQ(stream.data.size(), 16384u);
}

TEST_F(Server, S4_3_AHeadMayComeInAnyPieces) {
  Meet();
  const std::string block = Block(Get("/long", {{"x", "y"}}));
  uint32_t stream = 1;
  for (size_t at = 0; at <= block.size(); ++at) {
    for (const size_t cut : {size_t{1}, SIZE_MAX}) {
      ASSERT_EQ(Say(Headers(stream, block.substr(0, at), kEndStream) +
                        Frame(kContinuation, 0, stream, "") +
                        Frame(kContinuation, kEndHeaders, stream, block.substr(at)),
                    cut),
                Session::State::kOpen);
      ASSERT_EQ(end.all.back().text, "GET /long HTTP/1.1\r\nHost: example.com\r\nx: y\r\n\r\n");
      end.Answer(end.all.back());
      stream += 2;
    }
  }
}

TEST_F(Server, S5_3_PrioritiesAreIgnored) {
  Meet();
  const std::string on_itself = Number(1, 4) + Number(255, 1);
  EXPECT_EQ(Say(Frame(kPriority, 0, 1, on_itself) + Frame(kPriority, 0, 99, Number(7, 5)) +
                Frame(16, 0, 0, Number(1, 4) + "u=0")),
            Session::State::kOpen);
  Say(Headers(1, Number(0x80000063, 4) + Number(1, 1) + Block(Get()),
              kEndHeaders | kEndStream | kWithPriority));
  ASSERT_EQ(end.all.size(), 1u);
  EXPECT_EQ(end.Answer(end.all[0]), 0);
  Listen();
  EXPECT_EQ(Of(kHeaders).size(), 1u);
}

TEST_F(Server, S6_1_PaddingIsTakenOffAndGivenBack) {
  Meet();
  TestStream& stream = Upload(1);
  uint32_t windows[2] = {0, 0};
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(Say(Data(1,
                       "\xff"
                       "abc" +
                           std::string(255, '\0'),
                       kPadded)),
              Session::State::kOpen);
    for (const Seen& frame : Of(kWindowUpdate)) windows[frame.stream] += frame.number();
  }
  EXPECT_EQ(stream.data.size(), 3000u);
  // All but what is below half of the window.
  EXPECT_GT(windows[1], 259'000u - 40'000u);
}

TEST_F(Server, S6_2_PaddingAndPriorityOfAHeadAreTakenOff) {
  Meet();
  Say(Headers(1, "\x03" + Number(0, 4) + "\x10" + Block(Get()) + std::string(3, '\0'),
              kEndHeaders | kEndStream | kPadded | kWithPriority),
      1);
  ASSERT_EQ(end.all.size(), 1u);
  EXPECT_EQ(end.all[0].text, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
}

TEST_F(Server, S6_5_SettingsAreAcknowledgedEachAndUnknownOnesPassedOver) {
  Meet();
  Say(Settings({{0x1234, 5}, {kHeaderTableSize, 100}}) + Settings() + Settings());
  ASSERT_EQ(Of(kSettings).size(), 3u);
  for (const Seen& frame : seen) {
    EXPECT_EQ(frame.flags, kAck);
    EXPECT_EQ(frame.payload, "");
  }
}

TEST_F(Server, S6_7_APingIsAnsweredWithWhatItSaid) {
  Meet();
  Say(Ping("12345678") + Ping("abcdefgh", kAck));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].flags, kAck);
  EXPECT_EQ(seen[0].payload, "12345678");
}

TEST_F(Server, S6_8_AClientThatGoesGetsItsAnswers) {
  Meet();
  TestStream& stream = Ask(1);
  EXPECT_EQ(Say(Goaway(0, ErrorCode::kNoError, "bye")), Session::State::kEnding);
  EXPECT_EQ(end.goaways.size(), 1u);
  EXPECT_EQ(end.Answer(stream), 0);
  Listen();
  EXPECT_EQ(Of(kHeaders).size(), 1u);
  EXPECT_EQ(end.session->streams(), 0u);
}

TEST_F(Server, S6_8_GoawaySaysWhichWasTheLast) {
  Meet();
  Ask(1);
  Ask(7);
  end.session->BeginGoaway();
  Listen();
  ASSERT_TRUE(SaidGoaway(ErrorCode::kNoError));
  EXPECT_EQ(Of(kGoaway)[0].number(), 0x7fffffffu);
  Ask(9);
  EXPECT_EQ(end.all.size(), 3u);
  end.session->FinishGoaway(ErrorCode::kNoError);
  Listen();
  ASSERT_TRUE(SaidGoaway(ErrorCode::kNoError));
  EXPECT_EQ(Of(kGoaway)[0].number(), 9u);
  Say(Headers(11, Block(Get())) + Headers(13, Block(Post()), kEndHeaders) + Data(13, "x"));
  EXPECT_EQ(end.all.size(), 3u);
  for (TestStream& stream : end.all) EXPECT_EQ(end.Answer(stream), 0);
  Listen();
  EXPECT_EQ(Of(kHeaders).size(), 3u);
}

TEST_F(Server, S6_8_AnErrorIsStillSaidBehindTheLastGoawayAndItsStreamsAreNoMore) {
  Meet();
  Ask(1);
  end.session->FinishGoaway(ErrorCode::kNoError);
  // Behind the last stream, before that could be said.
  Say(Headers(3, Block(Get())));
  ASSERT_TRUE(SaidGoaway(ErrorCode::kNoError)) << Summary();
  EXPECT_TRUE(SaidReset(3, ErrorCode::kRefusedStream)) << Summary();
  end.session->FinishGoaway(ErrorCode::kNoError);
  Listen();
  EXPECT_TRUE(seen.empty()) << Summary();
  end.session->FinishGoaway(ErrorCode::kEnhanceYourCalm);
  Listen();
  ASSERT_TRUE(SaidGoaway(ErrorCode::kEnhanceYourCalm)) << Summary();
  EXPECT_EQ(Of(kGoaway)[0].number(), 1u);
  Say(Headers(5, Block(Get())));
  EXPECT_EQ(end.all.size(), 1u);
  // The one that it names is answered.
  EXPECT_EQ(end.Answer(end.all[0]), 0);
  Listen();
  EXPECT_EQ(Of(kHeaders).size(), 1u);
}

}  // namespace
}  // namespace rondo::http2
