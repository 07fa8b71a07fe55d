// What records say that are no data: alerts, key updates, and what has no place there.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tls/channel_pair.h"
#include "tls/hex.h"
#include "tls/record_channel.h"

namespace rondo::tls {
namespace {

constexpr uint8_t kChangeCipherSpec = 20;
constexpr uint8_t kAlert = 21;
constexpr uint8_t kHandshake = 22;
constexpr uint8_t kData = 23;

const Suite kSuite13{Version::kTls13, Aead::kAes128Gcm, Hash::kSha256};
const Suite kSuite12{Version::kTls12, Aead::kAes128Gcm, Hash::kSha256};
const std::string kKeyUpdate = FromHex("18 00 00 01 00");
const std::string kKeyUpdateAsking = FromHex("18 00 00 01 01");

// The server's answer, as a client that uses `suite` reads its first record: level and number of an
// alert in hexadecimal, "" where there is none.
std::string AlertOf(const Suite& suite, RecordChannel& server) {
  const std::string sealed = TakeAll(server);
  if (sealed.empty()) return "";
  // Tried out: an alert is two bytes, and its record has no other content.
  for (int level = 1; level <= 2; ++level) {
    for (int number = 0; number < 256; ++number) {
      TrafficKeys keys = KeysFor(suite, 2);
      const std::string alert{static_cast<char>(level), static_cast<char>(number)};
      if (SealRaw(suite, keys, kAlert, alert) == sealed) return ToHex(alert.data(), 2);
    }
  }
  return "something else";
}

struct Refusal {
  const char* what;
  Suite suite;
  std::string (*record)(const Suite& suite, TrafficKeys& keys);
  const char* alert;
};

class RecordChannelRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(RecordChannelRefuses, It) {
  const Refusal& test = GetParam();
  ChannelPair pair(test.suite);
  TrafficKeys keys = KeysFor(test.suite, 1);
  std::string bytes = SealRaw(test.suite, keys, kData, "before");
  bytes += test.record(test.suite, keys);
  bytes += SealRaw(test.suite, keys, kData, "behind");
  const OpenedBytes opened = OpenInPlace(pair.server, bytes);
  EXPECT_EQ(opened.plain, "before");
  EXPECT_EQ(opened.incoming, Incoming::kFailed);
  EXPECT_EQ(AlertOf(test.suite, pair.server), test.alert);
  EXPECT_EQ(pair.server.Seal({}, 0, 1, nullptr), 0u);
  pair.server.Close();
  EXPECT_EQ(pair.server.pending(), 0u);
  const OpenedBytes later = OpenInPlace(pair.server, SealRaw(test.suite, keys, kData, "later"));
  EXPECT_EQ(later.plain, "");
  EXPECT_EQ(later.incoming, Incoming::kFailed);
}

const Refusal kRefusals[] = {
    {"plain data", kSuite13,
     [](const Suite&, TrafficKeys&) { return std::string("\x17\x03\x03\x00\x05hello", 10); },
     "0232"},
    {"a plain alert", kSuite13,
     [](const Suite&, TrafficKeys&) { return std::string("\x15\x03\x03\x00\x02\x01\x00", 7); },
     "020a"},
    {"ChangeCipherSpec", kSuite13,
     [](const Suite&, TrafficKeys&) { return std::string("\x14\x03\x03\x00\x01\x01", 6); }, "020a"},
    {"a ClientHello", kSuite13,
     [](const Suite&, TrafficKeys&) { return std::string("\x16\x03\x01\x00\x05\x01\0\0\0\0", 10); },
     "020a"},
    {"HTTP", kSuite13,
     [](const Suite&, TrafficKeys&) { return std::string("GET / HTTP/1.1\r\n\r\n"); }, "020a"},
    {"a header of too long a record", kSuite13,
     [](const Suite&, TrafficKeys&) { return std::string("\x17\x03\x03\x40\x12", 5); }, "0216"},
    {"a record that is too long", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kData, std::string(kRecordPlainMax + 1, 'x'));
     },
     "0216"},
    {"padding that is too long", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kData, "x", kRecordPlainMax);
     },
     "0216"},
    {"a record of zeros", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) { return SealRaw(suite, keys, 0, "", 100); },
     "020a"},
    {"a record of one zero", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) { return SealRaw(suite, keys, 0, ""); }, "020a"},
    {"an unknown inner type", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) { return SealRaw(suite, keys, 24, "heartbeat"); },
     "020a"},
    {"a protected ChangeCipherSpec", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kChangeCipherSpec, "\x01");
     },
     "020a"},
    {"renegotiation", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kHandshake, FromHex("01 00 00 04 03 03 00 00"));
     },
     "020a"},
    {"a certificate that nobody asked for", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kHandshake, FromHex("0b 00 00 04 00 00 00 00"));
     },
     "020a"},
    {"an empty handshake record", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) { return SealRaw(suite, keys, kHandshake, ""); },
     "020a"},
    {"a key update that is too long", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kHandshake, FromHex("18 00 00 02 00 00"));
     },
     "0232"},
    {"a key update with a request that does not exist", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kHandshake, FromHex("18 00 00 01 02"));
     },
     "022f"},
    {"a key update that does not end its record", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kHandshake, kKeyUpdate + kKeyUpdate);
     },
     "020a"},
    {"data in the middle of a key update", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kHandshake, FromHex("18 00 00")) +
              SealRaw(suite, keys, kData, "x");
     },
     "020a"},
    {"half an alert", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) { return SealRaw(suite, keys, kAlert, "\x01"); },
     "0232"},
    {"two alerts in one", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kAlert, FromHex("01 5a 01 00"));
     },
     "0232"},
    {"a record under the keys before a key update", kSuite13,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kHandshake, kKeyUpdate) + SealRaw(suite, keys, kData, "old");
     },
     "0214"},
    {"renegotiation in TLS 1.2", kSuite12,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kHandshake, FromHex("01 00 00 04 03 03 00 00"));
     },
     "0264"},
    {"a ClientHello in the clear", kSuite12,
     [](const Suite&, TrafficKeys&) {
       return std::string("\x16\x03\x03\x00\x20", 5) + std::string(32, '\x01');
     },
     "0214"},
    {"an older version", kSuite12,
     [](const Suite&, TrafficKeys&) {
       return std::string("\x17\x03\x01\x00\x20", 5) + std::string(32, '\x01');
     },
     "0246"},
    {"ChangeCipherSpec in TLS 1.2", kSuite12,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kChangeCipherSpec, "\x01");
     },
     "020a"},
    {"a record that is too long in TLS 1.2", kSuite12,
     [](const Suite& suite, TrafficKeys& keys) {
       return SealRaw(suite, keys, kData, std::string(kRecordPlainMax + 1, 'x'));
     },
     "0216"},
    {"a record without room for its tag", kSuite12,
     [](const Suite&, TrafficKeys&) {
       return std::string("\x17\x03\x03\x00\x17", 5) + std::string(23, 'x');
     },
     "0232"},
    {"half an alert in TLS 1.2", kSuite12,
     [](const Suite& suite, TrafficKeys& keys) { return SealRaw(suite, keys, kAlert, "\x02"); },
     "0232"},
};

INSTANTIATE_TEST_SUITE_P(EachOf, RecordChannelRefuses, testing::ValuesIn(kRefusals),
                         [](const testing::TestParamInfo<Refusal>& info) {
                           std::string name;
                           for (const char c : std::string(info.param.what)) {
                             name += c == ' ' || c == '.' ? '_' : c;
                           }
                           return name;
                         });

TEST(RecordProtocol, PaddingIsTakenOff) {
  TrafficKeys keys = KeysFor(kSuite13, 1);
  ChannelPair pair(kSuite13);
  for (const size_t padding : {1u, 15u, 255u, 16000u}) {
    const OpenedBytes opened =
        OpenInPlace(pair.server, SealRaw(kSuite13, keys, kData, "text", padding));
    EXPECT_EQ(opened.plain, "text");
    const OpenedBytes apart =
        OpenApart(pair.server, SealRaw(kSuite13, keys, kData, "text", padding), kRecordPlainMax);
    EXPECT_EQ(apart.plain, "text");
  }
  EXPECT_EQ(OpenInPlace(pair.server, SealRaw(kSuite13, keys, kData, "", 100)).incoming,
            Incoming::kOpen);
}

TEST(RecordProtocol, FatalAlertsEndIt) {
  for (const Suite& suite : AllSuites()) {
    for (const int number : {10, 20, 40, 80}) {
      TrafficKeys keys = KeysFor(suite, 1);
      ChannelPair pair(suite);
      const std::string alert{2, static_cast<char>(number)};
      EXPECT_EQ(OpenInPlace(pair.server, SealRaw(suite, keys, kAlert, alert)).incoming,
                Incoming::kFailed);
      EXPECT_EQ(pair.server.pending(), 0u);  // an alert is not answered
      EXPECT_EQ(pair.server.Seal({}, 0, 1, nullptr), 0u);
    }
  }
}

TEST(RecordProtocol, WarningsAreReadOverButNotForEver) {
  for (const Suite& suite : AllSuites()) {
    TrafficKeys keys = KeysFor(suite, 1);
    ChannelPair pair(suite);
    const std::string canceled = FromHex("01 5a");
    for (int i = 0; i < RecordChannel::kQuietRecordsMax; ++i) {
      EXPECT_EQ(OpenInPlace(pair.server, SealRaw(suite, keys, kAlert, canceled)).incoming,
                Incoming::kOpen);
    }
    EXPECT_EQ(OpenInPlace(pair.server, SealRaw(suite, keys, kAlert, canceled)).incoming,
              Incoming::kFailed);
  }
}

TEST(RecordProtocol, AWarningIsFatalInTls13WhateverItsLevel) {
  TrafficKeys keys = KeysFor(kSuite13, 1);
  ChannelPair pair(kSuite13);
  EXPECT_EQ(OpenInPlace(pair.server, SealRaw(kSuite13, keys, kAlert, FromHex("01 70"))).incoming,
            Incoming::kFailed);
}

TEST(RecordProtocol, KeyUpdatesAreFollowed) {
  for (const Suite& suite : AllSuites()) {
    if (suite.version != Version::kTls13) continue;
    TrafficKeys keys = KeysFor(suite, 1);
    ChannelPair pair(suite);
    for (int update = 0; update < 40; ++update) {
      std::string bytes = SealRaw(suite, keys, kHandshake, kKeyUpdate);
      ASSERT_TRUE(AdvanceKeys(suite, keys));
      bytes += SealRaw(suite, keys, kData, "after " + std::to_string(update));
      EXPECT_EQ(OpenInPlace(pair.server, bytes).plain, "after " + std::to_string(update));
    }
    EXPECT_EQ(pair.server.pending(), 0u);
  }
}

TEST(RecordProtocol, AKeyUpdateMayComeInPieces) {
  TrafficKeys keys = KeysFor(kSuite13, 1);
  ChannelPair pair(kSuite13);
  std::string bytes;
  for (const char byte : kKeyUpdate) {
    bytes += SealRaw(kSuite13, keys, kHandshake, std::string_view(&byte, 1));
  }
  ASSERT_TRUE(AdvanceKeys(kSuite13, keys));
  bytes += SealRaw(kSuite13, keys, kData, "after");
  EXPECT_EQ(OpenInPlace(pair.server, bytes).plain, "after");
}

TEST(RecordProtocol, AKeyUpdateThatAsksIsAnsweredOnceBeforeItIsSent) {
  TrafficKeys keys = KeysFor(kSuite13, 1);
  ChannelPair pair(kSuite13);
  std::string bytes;
  for (int i = 0; i < 3; ++i) {
    bytes += SealRaw(kSuite13, keys, kHandshake, kKeyUpdateAsking);
    ASSERT_TRUE(AdvanceKeys(kSuite13, keys));
  }
  bytes += SealRaw(kSuite13, keys, kData, "x");
  EXPECT_EQ(OpenInPlace(pair.server, bytes).plain, "x");
  TrafficKeys answer = KeysFor(kSuite13, 2);
  EXPECT_EQ(TakeAll(pair.server), SealRaw(kSuite13, answer, kHandshake, kKeyUpdate));
  // What is sealed from then on is under the new keys; the next one that asks is answered again.
  ASSERT_TRUE(AdvanceKeys(kSuite13, answer));
  EXPECT_EQ(SealAll(pair.server, "y"), SealRaw(kSuite13, answer, kData, "y"));
  OpenInPlace(pair.server, SealRaw(kSuite13, keys, kHandshake, kKeyUpdateAsking));
  EXPECT_EQ(TakeAll(pair.server), SealRaw(kSuite13, answer, kHandshake, kKeyUpdate));
}

TEST(RecordProtocol, WhatIsPendingGoesInFrontOfWhatIsSealed) {
  TrafficKeys keys = KeysFor(kSuite13, 1);
  ChannelPair pair(kSuite13);
  OpenInPlace(pair.server, SealRaw(kSuite13, keys, kHandshake, kKeyUpdateAsking));
  // A part of it may have been taken.
  std::string sent(10, '\0');
  EXPECT_EQ(pair.server.TakePending({sent.data(), sent.size()}), 10u);
  sent += SealAll(pair.server, "data");
  EXPECT_EQ(pair.server.pending(), 0u);
  EXPECT_EQ(OpenInPlace(pair.client, sent).plain, "data");
}

TEST(RecordProtocol, AFloodOfKeyUpdatesEnds) {
  TrafficKeys keys = KeysFor(kSuite13, 1);
  ChannelPair pair(kSuite13);
  Incoming incoming = Incoming::kOpen;
  int updates = 0;
  while (incoming == Incoming::kOpen) {
    ++updates;
    incoming =
        OpenInPlace(pair.server, SealRaw(kSuite13, keys, kHandshake, kKeyUpdateAsking)).incoming;
    ASSERT_TRUE(AdvanceKeys(kSuite13, keys));
    TakeAll(pair.server);
  }
  EXPECT_EQ(updates, RecordChannel::kQuietRecordsMax + 1);
}

TEST(RecordProtocol, AKeyUpdateBehindOurGoodbyeIsNotAnswered) {
  TrafficKeys keys = KeysFor(kSuite13, 1);
  ChannelPair pair(kSuite13);
  pair.server.Close();
  TakeAll(pair.server);
  std::string bytes = SealRaw(kSuite13, keys, kHandshake, kKeyUpdateAsking);
  ASSERT_TRUE(AdvanceKeys(kSuite13, keys));
  bytes += SealRaw(kSuite13, keys, kData, "x");
  EXPECT_EQ(OpenInPlace(pair.server, bytes).plain, "x");
  EXPECT_EQ(pair.server.pending(), 0u);
}

TEST(RecordProtocol, OurKeysAreRenewedWhenTheyAreUsedUp) {
  for (const Suite& suite : AllSuites()) {
    const RecordChannel::Options options{.suite = suite, .records_per_key = 3};
    ChannelPair pair(options);
    // Others find room for several seals that they ask about at once.
    for (int i = 0; i < 20; ++i) {
      const size_t room = 4 * pair.server.SealedSize(100);
      std::vector<char> out(room);
      size_t sealed = 0;
      const std::string plain(100, static_cast<char>('a' + i));
      const iovec part{const_cast<char*>(plain.data()), plain.size()};
      for (int record = 0; record < 4; ++record) {
        const size_t bytes = pair.server.Seal({&part, 1}, 0, plain.size(), out.data() + sealed);
        ASSERT_GT(bytes, 0u);
        sealed += bytes;
        ASSERT_LE(sealed, room);
      }
      EXPECT_EQ(OpenInPlace(pair.client, {out.data(), sealed}).plain,
                plain + plain + plain + plain);
    }
  }
}

TEST(RecordProtocol, SequenceNumbersNeverComeAgain) {
  for (const Suite& suite : AllSuites()) {
    TrafficKeys last = KeysFor(suite, 1);
    last.sequence = UINT64_MAX - 1;
    RecordChannel::Options options{.suite = suite, .records_per_key = UINT64_MAX};
    RecordChannel channel(options, KeysFor(suite, 2), last);
    EXPECT_NE(SealAll(channel, "last"), "");
    EXPECT_EQ(SealAll(channel, "one too many"), "");
  }
}

TEST(RecordProtocol, TheSizeOfARecordIsKnownFromItsHeader) {
  ChannelPair pair(kSuite13);
  EXPECT_EQ(pair.server.RecordSize(std::string_view("")), kRecordHeader);
  EXPECT_EQ(pair.server.RecordSize(std::string_view("\x17\x03\x03\x00", 4)), kRecordHeader);
  EXPECT_EQ(pair.server.RecordSize(std::string_view("\x17\x03\x03\x01\x00", 5)), 261u);
  EXPECT_EQ(pair.server.RecordSize(std::string_view("\x17\x03\x03\xff\xff", 5)), kRecordHeader);
  EXPECT_EQ(pair.server.RecordSize(std::string_view("GET / HTTP/1.1", 14)), kRecordHeader);
}

}  // namespace
}  // namespace rondo::tls
