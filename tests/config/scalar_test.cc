#include "rondo/config/scalar.h"

#include <gtest/gtest.h>

#include <chrono>

namespace rondo::config {
namespace {

using namespace std::chrono_literals;

TEST(Scalar, TakesOnlyPlainDecimalNumbers) {
  EXPECT_EQ(ParseWhole("0"), 0);
  EXPECT_EQ(ParseWhole("65535"), 65535);
  EXPECT_EQ(ParseWhole("9223372036854775807"), INT64_MAX);
  for (const char* text : {"", "010", "00", "+1", "-1", "1.0", "1e3", "0x10", "1_000", " 1", "1 ",
                           "9223372036854775808", "99999999999999999999", "\xd9\xa1", "ten"}) {
    EXPECT_EQ(ParseWhole(text), std::nullopt) << text;
  }
}

TEST(Scalar, TakesOnlyTrueAndFalse) {
  EXPECT_EQ(ParseBool("true"), true);
  EXPECT_EQ(ParseBool("false"), false);
  for (const char* text : {"", "yes", "no", "on", "off", "True", "FALSE", "1", "0", "y"}) {
    EXPECT_EQ(ParseBool(text), std::nullopt) << text;
  }
}

TEST(Scalar, ReadsDurationsWithTheirUnit) {
  EXPECT_EQ(ParseDuration("250ms"), 250ms);
  EXPECT_EQ(ParseDuration("5s"), 5s);
  EXPECT_EQ(ParseDuration("1m"), 1min);
  EXPECT_EQ(ParseDuration("1h"), 1h);
  EXPECT_EQ(ParseDuration("365d"), 365 * 24h);
  EXPECT_EQ(ParseDuration("0s"), 0s);
  EXPECT_EQ(ParseDuration("0"), 0s);
  EXPECT_EQ(ParseDuration("36500d"), 36500 * 24h);
  for (const char* text : {"", "5", "s", "-5s", "1.5s", "05s", "5 s", "5S", "5sec", "1m30s", "5us",
                           "36501d", "9223372036854775807d", "99999999999999999999s"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(Scalar, ReadsSizesInPowersOfTwo) {
  EXPECT_EQ(ParseSize("0"), 0u);
  EXPECT_EQ(ParseSize("100"), 100u);
  EXPECT_EQ(ParseSize("100B"), 100u);
  EXPECT_EQ(ParseSize("64KiB"), 65536u);
  EXPECT_EQ(ParseSize("10MiB"), 10485760u);
  EXPECT_EQ(ParseSize("2GiB"), uint64_t{2} << 30);
  EXPECT_EQ(ParseSize("1TiB"), uint64_t{1} << 40);
  for (const char* text : {"", "64KB", "64k", "64K", "10MB", "1.5MiB", "KiB", "-1", "64 KiB",
                           "064KiB", "9000000000TiB"}) {
    EXPECT_EQ(ParseSize(text), std::nullopt) << text;
  }
}

TEST(Scalar, ReadsPercentagesWithTheirSign) {
  EXPECT_EQ(ParsePercent("20%"), 20u);
  EXPECT_EQ(ParsePercent("0%"), 0u);
  for (const char* text : {"", "%", "20", "0.2", "20 %", "2e1%", "-5%", "99999999999%"}) {
    EXPECT_EQ(ParsePercent(text), std::nullopt) << text;
  }
}

TEST(Scalar, SaysWhatWasMeant) {
  EXPECT_EQ(MeantWhole("010"), "10");
  EXPECT_EQ(MeantWhole("ten"), "");
  EXPECT_EQ(MeantBool("Yes"), "true");
  EXPECT_EQ(MeantBool("off"), "false");
  EXPECT_EQ(MeantBool("maybe"), "");
  EXPECT_EQ(MeantDuration("5"), "5s");
  EXPECT_EQ(MeantDuration("5 sec"), "5s");
  EXPECT_EQ(MeantDuration("5MS"), "5ms");
  EXPECT_EQ(MeantDuration("2 hours"), "2h");
  EXPECT_EQ(MeantDuration("soon"), "");
  EXPECT_EQ(MeantSize("64KB"), "64KiB");
  EXPECT_EQ(MeantSize("64k"), "64KiB");
  EXPECT_EQ(MeantSize("10 m"), "10MiB");
  EXPECT_EQ(MeantSize("10 apples"), "");
  EXPECT_EQ(MeantPercent("20"), "20%");
  EXPECT_EQ(MeantPercent("0.2"), "");
}

TEST(Scalar, WritesValuesInTheLargestWholeUnit) {
  EXPECT_EQ(FormatDuration(0s), "0s");
  EXPECT_EQ(FormatDuration(250ms), "250ms");
  EXPECT_EQ(FormatDuration(90s), "90s");
  EXPECT_EQ(FormatDuration(3600s), "1h");
  EXPECT_EQ(FormatDuration(48h), "2d");
  EXPECT_EQ(FormatSize(0), "0");
  EXPECT_EQ(FormatSize(1000), "1000");
  EXPECT_EQ(FormatSize(65536), "64KiB");
  EXPECT_EQ(FormatSize(uint64_t{1} << 30), "1GiB");
}

TEST(Scalar, QuotesWithoutControlCharactersAndCutsBetweenCharacters) {
  EXPECT_EQ(Quoted("a\nb\x1b"), "`a?b?`");
  EXPECT_EQ(Quoted(std::string(100, 'x')), "`" + std::string(80, 'x') + "...`");
  EXPECT_EQ(Quoted(std::string(79, 'x') + "\xc3\xa9\xc3\xa9"), "`" + std::string(79, 'x') + "...`");
}

}  // namespace
}  // namespace rondo::config
