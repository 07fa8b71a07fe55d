#include "tls/record_channel.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tls/channel_pair.h"
#include "tls/hex.h"

namespace rondo::tls {
namespace {

std::string Pattern(size_t size, size_t seed = 0) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 31 + seed * 7) >> 2);
  return text;
}

class RecordChannelOf : public testing::TestWithParam<size_t> {
 protected:
  const Suite& suite() const { return AllSuites()[GetParam()]; }
};

INSTANTIATE_TEST_SUITE_P(EachSuite, RecordChannelOf, testing::Range<size_t>(0, 6));

TEST_P(RecordChannelOf, OpensRecordsOfEverySize) {
  ChannelPair pair(suite());
  const std::string all = Pattern(kRecordPlainMax);
  for (size_t size = 1; size <= kRecordPlainMax; ++size) {
    const std::string_view plain = std::string_view(all).substr(kRecordPlainMax - size);
    const size_t room = pair.client.SealedSize(size);
    const std::string sealed = SealAll(pair.client, plain);
    ASSERT_EQ(sealed.size(), room);
    ASSERT_LE(sealed.size(), kRecordMax);
    ASSERT_EQ(pair.server.RecordSize(sealed), sealed.size());
    const OpenedBytes opened =
        size % 2 == 0 ? OpenInPlace(pair.server, sealed)
                      : OpenApart(pair.server, sealed, size % 3 == 0 ? kRecordPlainMax : size);
    ASSERT_TRUE(opened.plain == plain) << size;
    ASSERT_EQ(opened.rest, "");
  }
}

TEST_P(RecordChannelOf, OpensWhatAnotherImplementationSealsAndSealsWhatItWould) {
  RecordChannel channel({.suite = suite()}, KeysFor(suite(), 1), KeysFor(suite(), 2));
  TrafficKeys theirs = KeysFor(suite(), 1);
  TrafficKeys ours = KeysFor(suite(), 2);
  for (const size_t size : {1u, 2u, 15u, 16u, 17u, 1000u, 1024u, 1025u, 4096u, 16384u}) {
    const std::string plain = Pattern(size, size);
    EXPECT_TRUE(OpenInPlace(channel, SealRaw(suite(), theirs, 23, plain)).plain == plain) << size;
    EXPECT_TRUE(SealAll(channel, plain) == SealRaw(suite(), ours, 23, plain)) << size;
  }
  // An empty record is none.
  const OpenedBytes empty = OpenInPlace(channel, SealRaw(suite(), theirs, 23, ""));
  EXPECT_EQ(empty.plain, "");
  EXPECT_EQ(empty.rest, "");
  EXPECT_EQ(empty.incoming, Incoming::kOpen);
}

TEST_P(RecordChannelOf, OpensAStreamHoweverItIsSplit) {
  const std::vector<size_t> sizes = {1, 40, 3, 200, 64};
  std::string plain;
  for (const size_t size : sizes) plain += Pattern(size, size);
  std::string sealed;
  ChannelPair made(suite());
  size_t at = 0;
  for (const size_t size : sizes) {
    sealed += SealAll(made.client, std::string_view(plain).substr(at, size));
    at += size;
  }
  for (size_t split = 0; split <= sealed.size(); ++split) {
    ChannelPair pair(suite());
    const OpenedBytes first = OpenInPlace(pair.server, std::string_view(sealed).substr(0, split));
    ASSERT_LT(first.rest.size(), pair.server.RecordSize(first.rest));
    const OpenedBytes second = OpenInPlace(pair.server, first.rest + sealed.substr(split));
    ASSERT_EQ(ToHex(first.plain.data(), first.plain.size()) +
                  ToHex(second.plain.data(), second.plain.size()),
              ToHex(plain.data(), plain.size()))
        << split;
  }
  ChannelPair pair(suite());
  std::string partial;
  std::string opened_all;
  for (const char byte : sealed) {
    partial += byte;
    const OpenedBytes opened = OpenInPlace(pair.server, partial);
    opened_all += opened.plain;
    partial = opened.rest;
  }
  EXPECT_TRUE(opened_all == plain);
}

TEST_P(RecordChannelOf, OpensAsManyRecordsAsHaveRoom) {
  ChannelPair pair(suite());
  const std::string sealed =
      SealAll(pair.client, Pattern(100)) + SealAll(pair.client, Pattern(100, 1));
  const OpenedBytes none = OpenApart(pair.server, sealed, 99);
  EXPECT_EQ(none.plain, "");
  EXPECT_EQ(none.rest.size(), sealed.size());
  const OpenedBytes first = OpenApart(pair.server, sealed, 199);
  EXPECT_TRUE(first.plain == Pattern(100));
  const OpenedBytes second = OpenApart(pair.server, first.rest, 100);
  EXPECT_TRUE(second.plain == Pattern(100, 1));
}

TEST_P(RecordChannelOf, GathersPartsFromAnyOffsetOn) {
  for (const size_t scale : {1u, 700u}) {
    ChannelPair pair(suite());
    const std::string a = Pattern(3 * scale), b = Pattern(5 * scale, 1), c = Pattern(7 * scale, 2);
    const std::string all = a + b + c;
    const std::vector<iovec> parts = {{const_cast<char*>(a.data()), a.size()},
                                      {nullptr, 0},
                                      {const_cast<char*>(b.data()), b.size()},
                                      {const_cast<char*>(c.data()), c.size()},
                                      {nullptr, 0}};
    const size_t step = scale == 1 ? 1 : 333;
    for (size_t skip = 0; skip < all.size(); skip += step) {
      for (size_t bytes = 1; skip + bytes <= all.size(); bytes += step) {
        std::vector<char> sealed(pair.client.SealedSize(bytes));
        ASSERT_EQ(pair.client.Seal(parts, skip, bytes, sealed.data()), sealed.size());
        const OpenedBytes opened =
            OpenInPlace(pair.server, std::string_view(sealed.data(), sealed.size()));
        ASSERT_TRUE(opened.plain == all.substr(skip, bytes)) << skip << "+" << bytes;
      }
    }
  }
}

TEST_P(RecordChannelOf, RefusesEachForgedByte) {
  ChannelPair made(suite());
  const std::string sealed = SealAll(made.client, "attack at dawn");
  for (size_t at = 0; at < sealed.size(); ++at) {
    for (const int flip : {0x01, 0x80}) {
      std::string forged = sealed;
      forged[at] = static_cast<char>(forged[at] ^ flip);
      forged.append(kRecordMax, '\0');  // whatever the length says now, it is there
      ChannelPair pair(suite());
      const OpenedBytes opened = OpenInPlace(pair.server, forged);
      ASSERT_EQ(opened.plain, "");
      if (at == 0 && static_cast<uint8_t>(forged[0]) == 21 && suite().version == Version::kTls12) {
        ADD_FAILURE() << "one flipped bit makes no alert of data";
      }
      ASSERT_EQ(opened.incoming, Incoming::kFailed) << at;
      ASSERT_EQ(opened.rest, "");
      ASSERT_GT(pair.server.pending(), 0u);
      const OpenedBytes alert = OpenInPlace(pair.client, TakeAll(pair.server));
      ASSERT_EQ(alert.incoming, Incoming::kFailed);
      ASSERT_EQ(pair.server.Seal({}, 0, 1, nullptr), 0u);
    }
  }
}

TEST_P(RecordChannelOf, RefusesRecordsThatComeTwiceOrNotInOrder) {
  ChannelPair made(suite());
  const std::string first = SealAll(made.client, "one");
  const std::string second = SealAll(made.client, "two");
  {
    ChannelPair pair(suite());
    const OpenedBytes opened = OpenInPlace(pair.server, first + first);
    EXPECT_EQ(opened.plain, "one");
    EXPECT_EQ(opened.incoming, Incoming::kFailed);
  }
  ChannelPair pair(suite());
  EXPECT_EQ(OpenInPlace(pair.server, second + first).incoming, Incoming::kFailed);
}

TEST_P(RecordChannelOf, SaysGoodbyeOnceAndIsStillThereToListen) {
  ChannelPair pair(suite());
  pair.server.Close();
  pair.server.Close();
  const std::string goodbye = TakeAll(pair.server);
  const OpenedBytes opened = OpenInPlace(pair.client, goodbye + "what comes behind is ignored");
  EXPECT_EQ(opened.incoming, Incoming::kClosed);
  EXPECT_EQ(opened.rest, "");
  EXPECT_EQ(OpenInPlace(pair.client, SealAll(pair.server, "x")).incoming, Incoming::kClosed);
  EXPECT_EQ(pair.server.Seal({}, 0, 1, nullptr), 0u);
  EXPECT_EQ(pair.server.pending(), 0u);
  // The other direction lives on.
  EXPECT_EQ(OpenInPlace(pair.server, SealAll(pair.client, "still here")).plain, "still here");
  pair.client.Close();
  EXPECT_EQ(OpenInPlace(pair.server, TakeAll(pair.client)).incoming, Incoming::kClosed);
}

TEST_P(RecordChannelOf, LivesOnAfterItGaveItsMemoryBack) {
  ChannelPair pair(suite());
  for (int round = 0; round < 5; ++round) {
    const std::string text = "round " + std::to_string(round);
    EXPECT_EQ(OpenInPlace(pair.server, SealAll(pair.client, text)).plain, text);
    EXPECT_EQ(OpenInPlace(pair.client, SealAll(pair.server, text)).plain, text);
    pair.server.Shrink();
    if (round % 2 == 0) pair.client.Shrink();
  }
}

TEST_P(RecordChannelOf, KeepsRecordsAsSmallAsWasAgreed) {
  for (const size_t limit : {512u, 1024u, 2048u, 4096u}) {
    const RecordChannel::Options options{.suite = suite(), .plain_max = limit};
    ChannelPair pair(options);
    for (const size_t size : {1u, 511u, 512u, 513u, 4096u, 5000u, 16384u}) {
      const std::string plain = Pattern(size);
      const size_t room = pair.server.SealedSize(size);
      const std::string sealed = SealAll(pair.server, plain);
      EXPECT_EQ(sealed.size(), room);
      EXPECT_TRUE(OpenInPlace(pair.client, sealed).plain == plain) << size;
    }
    TrafficKeys keys = KeysFor(suite(), 1);
    ChannelPair strict(options);
    EXPECT_EQ(OpenInPlace(strict.server, SealRaw(suite(), keys, 23, Pattern(limit))).incoming,
              Incoming::kOpen);
    EXPECT_EQ(OpenInPlace(strict.server, SealRaw(suite(), keys, 23, Pattern(limit + 1))).incoming,
              Incoming::kFailed);
  }
}

TEST_P(RecordChannelOf, EndsAFloodOfRecordsWithoutData) {
  TrafficKeys keys = KeysFor(suite(), 1);
  ChannelPair pair(suite());
  for (int round = 0; round < 3; ++round) {  // data in between makes it no flood
    for (int i = 0; i < RecordChannel::kQuietRecordsMax; ++i) {
      ASSERT_EQ(OpenInPlace(pair.server, SealRaw(suite(), keys, 23, "")).incoming, Incoming::kOpen);
    }
    ASSERT_EQ(OpenInPlace(pair.server, SealRaw(suite(), keys, 23, "data")).plain, "data");
  }
  Incoming incoming = Incoming::kOpen;
  int records = 0;
  while (incoming == Incoming::kOpen) {
    ++records;
    incoming = OpenInPlace(pair.server, SealRaw(suite(), keys, 23, "")).incoming;
  }
  EXPECT_EQ(incoming, Incoming::kFailed);
  EXPECT_EQ(records, RecordChannel::kQuietRecordsMax + 1);
}

TEST_P(RecordChannelOf, NeedsLittleMemoryWhileIdle) { EXPECT_LE(sizeof(RecordChannel), 384u); }

// RFC 8448 §3: the client's 50 bytes.
TEST(RecordChannel, OpensTheRecordOfTheRfc) {
  const Suite suite{Version::kTls13, Aead::kAes128Gcm, Hash::kSha256};
  TrafficKeys keys;
  const std::string secret =
      FromHex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
  std::memcpy(keys.secret.data(), secret.data(), secret.size());
  ASSERT_TRUE(DeriveKeys(suite, keys));
  RecordChannel channel({.suite = suite}, keys, keys);
  const std::string record = FromHex(
      "17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab"
      "3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d"
      "ea e6 3a ee bb 21 69 49 15 e4");
  std::string plain;
  for (char c = 0; c < 50; ++c) plain += c;
  EXPECT_EQ(OpenInPlace(channel, record).plain, plain);
  EXPECT_EQ(SealAll(channel, plain), record);
}

}  // namespace
}  // namespace rondo::tls
