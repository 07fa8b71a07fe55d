#include "rondo/tls/ticket_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <openssl/evp.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace rondo::tls {
namespace {

using ::testing::HasSubstr;

std::string Bytes(char first, size_t size = 80) {
  std::string bytes(size, first);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(first + static_cast<char>(i * 7));
  return bytes;
}

std::string Base64(const std::string& bytes) {
  std::string text(bytes.size() * 2, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::string ErrorOf(const std::string& text) {
  size_t count = 0;
  const absl::StatusOr<TicketKeys::Keys> keys = TicketKeys::ParseFile(text, &count);
  return keys.ok() ? "ok" : std::string(keys.status().message());
}

TEST(TicketKeyFile, ReadsBinaryKeysInOrder) {
  size_t count = 0;
  const std::string text = Bytes(1) + Bytes(2) + Bytes(3) + Bytes(4);
  const absl::StatusOr<TicketKeys::Keys> keys = TicketKeys::ParseFile(text, &count);
  ASSERT_TRUE(keys.ok());
  ASSERT_EQ(count, 4U);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(std::memcmp((*keys)[i].name.data(), text.data() + 80 * i, 16), 0);
    EXPECT_EQ(std::memcmp((*keys)[i].mac.data(), text.data() + 80 * i + 16, 32), 0);
    EXPECT_EQ(std::memcmp((*keys)[i].cipher.data(), text.data() + 80 * i + 48, 32), 0);
  }
}

TEST(TicketKeyFile, ReadsBase64LinesAsTheSameKeys) {
  size_t binary_count = 0;
  const TicketKeys::Keys binary = *TicketKeys::ParseFile(Bytes(1) + Bytes(2), &binary_count);
  const std::string one = Base64(Bytes(1));
  const std::string two = Base64(Bytes(2));
  const std::string texts[] = {
      one + "\n" + two, "# made by hand\r\n  " + one + "\r\n\r\n" + two + " \r\n",
      one.substr(0, 64) + "\n" + one.substr(64) + "\n" + two + "\n",  // openssl rand -base64 80
  };
  for (const std::string& text : texts) {
    size_t count = 0;
    const absl::StatusOr<TicketKeys::Keys> keys = TicketKeys::ParseFile(text, &count);
    ASSERT_TRUE(keys.ok()) << keys.status().message();
    EXPECT_EQ(count, 2U);
    EXPECT_EQ(*keys, binary);
  }
}

TEST(TicketKeyFile, SaysWhatIsWrong) {
  const std::string one = Base64(Bytes(1));
  const struct {
    std::string text;
    const char* says;
  } cases[] = {
      {"", "no ticket key was found"},
      {"\n# nothing\n", "no ticket key was found"},
      {Bytes(1, 48), "48-byte ticket keys"},
      {Bytes(1, 96), "48-byte ticket keys"},
      {Base64(Bytes(1, 48)), "48-byte ticket keys"},
      {Base64(Bytes(1, 48)) + "\n" + Base64(Bytes(2, 48)) + "\n", "48-byte ticket keys"},
      {Bytes(1, 79), "a file of 79 bytes"},
      {one + "\nabc\n", "line 2: shorter than base64 of 80 bytes"},
      {"\n" + one + one, "line 2: longer than base64 of 80 bytes"},
      {std::string(108, '!'), "line 1: not base64"},
      {Bytes(1) + Bytes(1), "ticket keys 1 and 2 have the same name"},
      {std::string(80, '\0'), "nothing but zeros"},
      {Bytes(1) + Bytes(2) + Bytes(3) + Bytes(4) + Bytes(5), "5 ticket keys were found; at most 4"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(ErrorOf(c.text), HasSubstr(c.says)) << c.says;
  }
}

TEST(TicketKeys, BeginsWithAKeyOfItsOwn) {
  const TicketKeys one;
  const TicketKeys other;
  EXPECT_NE(one.Sealing().name, other.Sealing().name);
  TicketKey found;
  bool newest = false;
  EXPECT_TRUE(one.Find(one.Sealing().name.data(), &found, &newest));
  EXPECT_TRUE(newest);
  EXPECT_EQ(found, one.Sealing());
  EXPECT_FALSE(one.Find(other.Sealing().name.data(), &found, &newest));
}

TEST(TicketKeys, KeepsTwoOlderKeysOverRotations) {
  TicketKeys keys;
  std::vector<TicketKey> sealed_with{keys.Sealing()};
  for (int i = 0; i < 4; ++i) {
    keys.Rotate();
    sealed_with.push_back(keys.Sealing());
  }
  TicketKey found;
  bool newest = true;
  EXPECT_FALSE(keys.Find(sealed_with[0].name.data(), &found, &newest));
  EXPECT_FALSE(keys.Find(sealed_with[1].name.data(), &found, &newest));
  for (const size_t i : {2, 3, 4}) {
    ASSERT_TRUE(keys.Find(sealed_with[i].name.data(), &found, &newest));
    EXPECT_EQ(found, sealed_with[i]);
    EXPECT_EQ(newest, i == 4);
  }
}

TEST(TicketKeys, ReadersSeeOneSetOfKeysOrAnotherAndNeverAMixture) {
  TicketKeys keys;
  std::atomic<bool> stop = false;
  std::atomic<int> mixtures = 0;
  const auto key_of = [](uint8_t n) {
    TicketKey key;
    key.name.fill(n);
    key.cipher.fill(n);
    key.mac.fill(n);
    return key;
  };
  const TicketKey first = key_of(1);
  keys.Set(&first, 1);
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const TicketKey key = keys.Sealing();
        if (key != key_of(key.name[0])) ++mixtures;
      }
    });
  }
  for (int i = 0; i < 20000; ++i) {
    const TicketKey key = key_of(static_cast<uint8_t>(i % 250 + 1));
    keys.Set(&key, 1);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(mixtures, 0);
}

}  // namespace
}  // namespace rondo::tls
