// Peers that make work for nothing: they are cut off, within bounded memory; busy ones are not.
#include <gtest/gtest.h>

#include <functional>

#include "http2/flood_budget.h"
#include "http2/frame_peer.h"

namespace rondo::http2 {
namespace {

using namespace wire;

class Flood : public ServerFrames {
 protected:
  // Says what `more` gives until it is cut off; how often that was.
  template <typename More>
  int Pour(const More& more, int most = 100'000) {
    const size_t before = end.memory.blocks_out();
    for (int i = 0; i < most; ++i) {
      const Session::State state = Say(more(i));
      held = std::max(held, end.memory.blocks_out() - before);
      if (state != Session::State::kFailed) continue;
      EXPECT_TRUE(SaidGoaway(ErrorCode::kEnhanceYourCalm)) << Summary();
      EXPECT_STREQ(end.session->failure(), "h2_flood");
      return i;
    }
    return most;
  }
  static uint32_t Odd(int i) { return static_cast<uint32_t>(2 * i + 1); }

  size_t held = 0;  // the most blocks that were in use beside those from before
};

TEST(Floods, RapidResetIsCutOff) {  // CVE-2023-44487
  class Case : public Flood {
   public:
    void TestBody() override {}
    void Run(ErrorCode code) {
      Meet();
      const std::string block = Block(Get());
      const int streams =
          Pour([&](int i) { return Headers(Odd(i), block) + RstStream(Odd(i), code); });
      EXPECT_LE(streams, 1000);
      EXPECT_GE(streams, 500);
      EXPECT_LT(held, 100u);
      for (const TestStream& stream : end.all) EXPECT_TRUE(stream.closed);
    }
  };
  // Its code is the client's to choose.
  for (const ErrorCode code : {ErrorCode::kCancel, ErrorCode::kNoError, ErrorCode::kInternalError,
                               static_cast<ErrorCode>(0xfffffff0)}) {
    SCOPED_TRACE(static_cast<uint32_t>(code));
    Case().Run(code);
  }
}

TEST_F(Flood, BytesDoNotBuyResets) {
  Meet();
  const std::string block = Block(Post());
  std::string bytes;
  EXPECT_LE(Pour(
                [&](int i) {
                  bytes = Headers(Odd(i), block, kEndHeaders);
                  for (int piece = 0; piece < 12; ++piece) bytes += Data(Odd(i), "x");
                  return bytes + Data(Odd(i), std::string(10'000, 'x')) +
                         RstStream(Odd(i), ErrorCode::kCancel);
                },
                2000),
            1000);
}

TEST_F(Flood, BytesForNobodyBuyNothing) {
  Meet();
  Upload(1);
  end.session->Reset(end.all.back(), ErrorCode::kCancel);
  Listen();
  std::string bytes;
  for (int i = 0; i < 10; ++i) bytes += Data(1, "x");
  bytes += Data(1, std::string(16'000, 'x'));
  EXPECT_LE(Pour([&](int) { return bytes + Ping("12345678"); }, 20'000), 5001);
}

TEST_F(Flood, HeadsOfStreamsThatWereResetAreCutOff) {
  Meet();
  const std::string trailers = Block({{"late", "trailers"}});
  // So many that nobody knows any more which they were.
  for (int i = 0; i < 65; ++i) {
    TestStream& stream = Upload(Odd(i));
    end.session->Reset(stream, ErrorCode::kCancel);
    Listen();
    // One each is what an honest client may send before it knows.
    ASSERT_EQ(Say(Headers(Odd(i), trailers)), Session::State::kOpen) << i;
  }
  EXPECT_LE(Pour([&](int) { return Headers(1, trailers); }, 20'000), 10'001);
}

TEST_F(Flood, EndsOfStreamsThatWereResetAreCutOff) {
  Meet();
  for (int i = 0; i < 65; ++i) {
    end.session->Reset(Upload(Odd(i)), ErrorCode::kCancel);
    Listen();
    // One each is what an honest client may send before it knows.
    ASSERT_EQ(Say(Data(Odd(i), "", kEndStream)), Session::State::kOpen) << i;
  }
  EXPECT_LE(Pour([](int) { return Data(1, "", kEndStream); }, 20'000), 10'001);
}

TEST_F(Flood, HeadsOfStreamsThatNobodyListensToAreCutOff) {
  Meet();
  const std::string trailers = Block({{"not", "the end"}});
  // It is refused, but its answer does not get away.
  Say(Headers(1, Block(Post({{"Upper", "case"}})), kEndHeaders));
  EXPECT_LE(Pour([&](int) { return Headers(1, trailers, kEndHeaders); }, 20'000), 10'001);
}

TEST_F(Flood, EndsOfStreamsThatAreOpenCostNothing) {
  Meet();
  // None of these is answered, which would give something back.
  for (int i = 0; i < 20'000; ++i) {
    TestStream& stream = Upload(Odd(i));
    ASSERT_EQ(Say(Data(Odd(i), "", kEndStream)), Session::State::kOpen) << i;
    ASSERT_TRUE(stream.ended);
    end.session->Reset(stream, ErrorCode::kNoError);
    Listen();
  }
}

TEST_F(Flood, TrailersOfStreamsThatAreOpenCostNothing) {
  Meet();
  for (int i = 0; i < 65; ++i) {
    end.session->Reset(Upload(Odd(i)), ErrorCode::kCancel);
    Listen();
  }
  const std::string trailers = Block({{"checksum", "1"}});
  // None of these is answered, which would give something back.
  for (int i = 65; i < 20'000; ++i) {
    TestStream& stream = Upload(Odd(i));
    ASSERT_EQ(Say(Headers(Odd(i), trailers)), Session::State::kOpen) << i;
    ASSERT_TRUE(stream.ended);
    end.session->Reset(stream, ErrorCode::kNoError);
    Listen();
  }
}

TEST_F(Flood, RapidResetIsCutOffInOneReadToo) {
  Meet();
  std::string all;
  for (int i = 0; i < 5000; ++i) {
    all += Headers(Odd(i),
                   "\x82\x87\x84\x01\x01"
                   "a") +
           RstStream(Odd(i), ErrorCode::kCancel);
  }
  EXPECT_EQ(Say(all, 16384), Session::State::kFailed);
  EXPECT_LE(end.all.size(), 1700u);
}

TEST_F(Flood, StreamsThatAreMadeToBeResetAreCutOff) {  // CVE-2025-8671
  Meet();
  const std::string block = Block(Get());
  EXPECT_LE(Pour([&](int i) { return Headers(Odd(i), block) + WindowUpdate(Odd(i), 0x7fffffff); }),
            1000);
}

TEST_F(Flood, MalformedRequestsAreCutOff) {
  Meet();
  const std::string block = Block(Get("/", {{"Upper", "case"}}));
  EXPECT_LE(Pour([&](int i) {
              std::string bytes = Headers(Odd(i), block);
              if (!end.all.empty() && !end.all.back().closed) {
                end.session->Reset(end.all.back(), ErrorCode::kProtocolError);
              }
              return bytes;
            }),
            1000);
}

TEST_F(Flood, AClientThatResetsOneStreamInTwoIsServed) {
  Meet();
  const std::string block = Block(Get());
  for (int i = 0; i < 10'000; ++i) {
    const Session::State state = Say(Headers(Odd(i), block));
    ASSERT_EQ(state, Session::State::kOpen) << i;
    if (i % 2 == 0) {
      end.Answer(end.all.back());
    } else {
      ASSERT_EQ(Say(RstStream(Odd(i), ErrorCode::kCancel)), Session::State::kOpen) << i;
    }
    Listen();
  }
}

TEST_F(Flood, AClientThatResetsNowAndThenIsServedForEver) {
  Meet();
  const std::string block = Block(Get());
  for (int i = 0; i < 5000; ++i) {
    end.now += std::chrono::milliseconds(7);
    ASSERT_EQ(Say(Headers(Odd(i), block) + RstStream(Odd(i), ErrorCode::kCancel)),
              Session::State::kOpen)
        << i;
  }
}

// -- frames without end --

struct Drops {
  const char* what;
  std::function<std::string(int)> more;
  int most;
};

TEST(Floods, FramesThatBringNobodyFurtherAreCutOff) {
  const std::string get = Block(Get());
  const Drops drops[] = {
      {"PING (CVE-2019-9512)", [](int) { return Ping("12345678"); }, 5001},
      {"acknowledgements of PING", [](int) { return Ping("12345678", kAck); }, 10'001},
      {"SETTINGS (CVE-2019-9515)", [](int) { return Settings({{kInitialWindowSize, 1}}); }, 501},
      {"empty SETTINGS", [](int) { return Settings(); }, 501},
      {"PRIORITY (CVE-2019-9513)",
       [](int i) { return Frame(kPriority, 0, 1, Number(static_cast<uint64_t>(i), 5)); }, 10'001},
      {"WINDOW_UPDATE", [](int) { return WindowUpdate(0, 1); }, 10'001},
      {"WINDOW_UPDATE of a stream", [](int) { return WindowUpdate(1, 1); }, 10'001},
      {"RST_STREAM of what is closed", [](int) { return RstStream(3, ErrorCode::kCancel); },
       10'001},
      {"empty DATA (CVE-2019-9518)", [](int) { return Data(1, ""); }, 2001},
      {"DATA that is padding", [](int) { return Data(1, std::string("\x01\0", 2), kPadded); },
       10'001},
      {"unknown frames", [](int) { return Frame(77, 0, 0, ""); }, 10'001},
      {"PRIORITY_UPDATE", [](int) { return Frame(16, 0, 0, Number(1, 4) + "u=1"); }, 10'001},
      {"GOAWAY", [](int) { return Goaway(0, ErrorCode::kNoError, "why"); }, 501},
      {"CONTINUATION (CVE-2024-27316)",
       [](int i) { return i == 0 ? Headers(5, "", 0) : Frame(kContinuation, 0, 5, ""); }, 18},
      {"CONTINUATION in heads that end",
       [&](int i) {
         const auto stream = static_cast<uint32_t>(2 * i + 5);
         return Headers(stream, "", kEndStream) + Frame(kContinuation, 0, stream, "") +
                Frame(kContinuation, kEndHeaders, stream, get) +
                RstStream(stream, ErrorCode::kCancel);
       },
       600},
  };
  for (const Drops& drop : drops) {
    SCOPED_TRACE(drop.what);
    class Case : public Flood {
     public:
      void TestBody() override {}
      void Run(const Drops& what) {
        Meet();
        Upload(1);
        end.Answer(Ask(3));
        Listen();
        EXPECT_LE(Pour(what.more), what.most);
        EXPECT_LT(held, 100u);
      }
    };
    Case().Run(drop);
  }
}

TEST_F(Flood, ManyFramesInOneReadHoldNoMoreThanABound) {
  Meet();
  std::string all;
  for (int i = 0; i < 4000; ++i) all += Ping("12345678");
  const size_t before = end.memory.blocks_out();
  end.Feed(all);
  EXPECT_LE(end.memory.blocks_out(), before + 1100);
  Listen();
  EXPECT_TRUE(SaidGoaway(ErrorCode::kEnhanceYourCalm)) << Summary();
  EXPECT_STREQ(end.session->failure(), "h2_flood");
}

TEST_F(Flood, SettingsWithMoreParametersThanThereAreAreCutOff) {
  Meet();
  std::string payload;
  for (int i = 0; i < 100; ++i) payload += Number(kInitialWindowSize, 2) + Number(7, 4);
  EXPECT_EQ(Say(Frame(kSettings, 0, 0, payload)), Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kEnhanceYourCalm)) << Summary();
}

TEST_F(Flood, AHeadThatUnfoldsToManyTimesItsSizeIsCutOff) {
  Meet();
  Say(Headers(1, Block(Get()) + Remembered("x", std::string(3900, 'x'))));
  // Each byte stands for 4 KB.
  EXPECT_EQ(Say(Headers(3, Block(Get()) + std::string(10'000, '\xbe'))), Session::State::kFailed);
  EXPECT_TRUE(SaidGoaway(ErrorCode::kEnhanceYourCalm)) << Summary();
}

TEST_F(Flood, DataDribbledThroughTinyWindowsIsCutOff) {  // CVE-2019-9511
  Say(kHello + Settings({{kInitialWindowSize, 0}}) + SettingsAck());
  TestStream& stream = Ask(1);
  stream.body = std::string(1'000'000, 'x');
  end.Answer(stream, {}, false);
  EXPECT_LE(Pour([](int) { return WindowUpdate(1, 1); }), 4000);
}

TEST_F(Flood, AReaderThatOpensItsWindowsForEachFrameIsServed) {
  Meet();
  TestStream& stream = Ask(1);
  stream.body_ends = false;
  end.Answer(stream, {}, false);
  // 80 MB in 5000 frames, whose windows are opened in three pieces.
  for (int i = 0; i < 5000; ++i) {
    stream.body = std::string(16'000, 'x');
    end.session->Resume(stream);
    Listen();
    ASSERT_EQ(Of(kData).size(), 1u) << i;
    ASSERT_EQ(Say(WindowUpdate(0, 15'999) + WindowUpdate(1, 16'000) + WindowUpdate(0, 1)),
              Session::State::kOpen)
        << i;
  }
}

TEST_F(Flood, AReaderThatOpensItsWindowsForEachSmallReadIsServed) {
  Meet();
  TestStream& stream = Ask(1);
  stream.body_ends = false;
  end.Answer(stream, {}, false);
  std::string opened;
  for (int i = 0; i < 16; ++i) opened += WindowUpdate(0, 1000) + WindowUpdate(1, 1000);
  for (int i = 0; i < 5000; ++i) {
    stream.body = std::string(16'000, 'x');
    end.session->Resume(stream);
    Listen();
    ASSERT_EQ(Say(opened), Session::State::kOpen) << i;
  }
}

TEST_F(Flood, SmallMessagesBothWaysAreServedForEver) {
  Meet();
  TestStream& stream = Upload(1);
  stream.body_ends = false;
  end.Answer(stream, {}, false);
  for (int i = 0; i < 50'000; ++i) {
    stream.body = "answer";
    end.session->Resume(stream);
    // As gRPC does it: a PING now and then, to learn how much is on its way.
    ASSERT_EQ(Say(Data(1, "message") + (i % 4 == 0 ? Ping("12345678") : "") + WindowUpdate(0, 6) +
                  WindowUpdate(1, 6)),
              Session::State::kOpen)
        << i;
  }
}

TEST_F(Flood, SmallMessagesOneWayAreServedForEver) {
  Meet();
  TestStream& stream = Upload(1);
  for (int i = 0; i < 50'000; ++i) {
    // All of it in one read, the frames beside a message in front of it.
    ASSERT_EQ(Say(WindowUpdate(0, 6) + WindowUpdate(1, 6) + Ping("12345678") + Data(1, "message")),
              Session::State::kOpen)
        << i;
  }
  EXPECT_EQ(stream.data.size(), 50'000u * 7);
}

TEST_F(Flood, AQuietConnectionMayPingForEver) {
  Meet();
  for (int i = 0; i < 50'000; ++i) {
    end.now += std::chrono::milliseconds(1);
    ASSERT_EQ(Say(Ping("12345678")), Session::State::kOpen) << i;
  }
}

class ClientFlood : public ClientFrames {};

TEST_F(ClientFlood, ABackendThatRefusesManyStreamsIsNoFlood) {
  Meet();
  for (int i = 0; i < 5000; ++i) {
    TestStream& stream = Ask();
    ASSERT_EQ(Say(RstStream(static_cast<uint32_t>(stream.id()), ErrorCode::kRefusedStream)),
              Session::State::kOpen)
        << i;
    end.now += std::chrono::milliseconds(1);
  }
}

TEST_F(ClientFlood, ABackendThatHintsBeforeEachAnswerIsNoFlood) {
  Meet();
  for (int i = 0; i < 5000; ++i) {
    TestStream& stream = Ask();
    Answer(stream, {{":status", "103"}}, false);
    Answer(stream, {{":status", "304"}});
    ASSERT_EQ(end.session->state(), Session::State::kOpen) << i;
    ASSERT_TRUE(stream.headed && stream.ended);
  }
}

TEST_F(ClientFlood, SmallMessagesBothWaysAreServedForEver) {
  Meet();
  TestStream& stream = Ask(false);
  stream.body_ends = false;
  Answer(stream, Ok(), false);
  for (int i = 0; i < 50'000; ++i) {
    stream.body = "message";
    end.session->Resume(stream);
    ASSERT_EQ(Say(Data(1, "answer") + Ping("12345678") + WindowUpdate(0, 7) + WindowUpdate(1, 7)),
              Session::State::kOpen)
        << i;
  }
}

TEST_F(ClientFlood, InterimAnswersWithoutEndAreCutOff) {
  Meet();
  TestStream& stream = Ask();
  Session::State state = Session::State::kOpen;
  int said = 0;
  while (state == Session::State::kOpen && said < 10'000) {
    state = Say(Headers(1, Block({{":status", "103"}}), kEndHeaders));
    ++said;
  }
  EXPECT_LE(said, 2001);
  EXPECT_FALSE(stream.headed);
}

TEST(FloodBudget, DataPaysForWindowsAndPingsAloneAndNotWithoutEnd) {
  using Cost = FloodBudget::Cost;
  FloodBudget budget;
  for (int i = 0; i < 1'000'000; ++i) budget.EarnBeside();
  for (int i = 0; i < FloodBudget::kBurst / 2; ++i) budget.SpendBeside(Cost::kPing);
  for (int i = 0; i < FloodBudget::kBurst; ++i) budget.SpendBeside(Cost::kFrame);
  EXPECT_FALSE(budget.exhausted());
  budget.EarnBeside();
  budget.SpendBeside(Cost::kPing);
  EXPECT_FALSE(budget.exhausted());
  budget.Spend(Cost::kFrame);
  EXPECT_TRUE(budget.exhausted());
}

TEST(FloodBudget, RefillsWithTimeUpToABurst) {
  FloodBudget budget;
  Instant now{std::chrono::seconds(1)};
  budget.Refill(now);
  for (int i = 0; i < 1000; ++i) budget.Spend(FloodBudget::Cost::kReset);
  EXPECT_FALSE(budget.exhausted());
  budget.Spend(FloodBudget::Cost::kFrame);
  EXPECT_TRUE(budget.exhausted());
  budget.Refill(now + std::chrono::microseconds(900));
  EXPECT_TRUE(budget.exhausted());
  budget.Refill(now + std::chrono::microseconds(1100));
  EXPECT_FALSE(budget.exhausted());
  budget.Refill(now + std::chrono::hours(24 * 365));
  for (int i = 0; i < 1000; ++i) budget.Spend(FloodBudget::Cost::kReset);
  EXPECT_FALSE(budget.exhausted());
  budget.Spend(FloodBudget::Cost::kFrame);
  EXPECT_TRUE(budget.exhausted());
}

}  // namespace
}  // namespace rondo::http2
