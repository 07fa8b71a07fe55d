#include "rondo/metrics/text_writer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace rondo::metrics {
namespace {

TEST(TextWriter, AFamilyHasItsHelpAndTypeOnce) {
  std::string out;
  TextWriter writer(out);
  writer.Family("rondo_tunnels", TextWriter::Type::kGauge, "Tunnels now.");
  writer.Sample({{"upstream", "api"}}, int64_t{-2});
  writer.Sample({{"upstream", "web"}, {"backend", "10.0.0.1:80"}}, uint64_t{18446744073709551615u});
  writer.Sample({}, 0.25);
  EXPECT_EQ(out,
            "# HELP rondo_tunnels Tunnels now.\n"
            "# TYPE rondo_tunnels gauge\n"
            "rondo_tunnels{upstream=\"api\"} -2\n"
            "rondo_tunnels{upstream=\"web\",backend=\"10.0.0.1:80\"} 18446744073709551615\n"
            "rondo_tunnels 0.25\n");
}

TEST(TextWriter, LabelValuesAreEscaped) {
  std::string out;
  TextWriter writer(out);
  writer.Family("x", TextWriter::Type::kCounter, "X.");
  out.clear();
  writer.Sample({{"a", "back\\slash \"quote\" new\nline"}}, uint64_t{1});
  EXPECT_EQ(out, "x{a=\"back\\\\slash \\\"quote\\\" new\\nline\"} 1\n");
}

TEST(TextWriter, AHistogramIsCumulated) {
  static constexpr std::array<Duration, 2> kBounds = {std::chrono::milliseconds(5),
                                                      std::chrono::seconds(1)};
  std::string out;
  TextWriter writer(out);
  writer.Family("wait_seconds", TextWriter::Type::kHistogram, "W.");
  out.clear();
  BoundedCounts<2> counts;
  counts.counts = {3, 0, 2};
  counts.sum_ns = 1'500'000'000;
  writer.Histogram({{"u", "a"}}, kBounds, counts);
  EXPECT_EQ(out,
            "wait_seconds_bucket{u=\"a\",le=\"0.005\"} 3\n"
            "wait_seconds_bucket{u=\"a\",le=\"1\"} 3\n"
            "wait_seconds_bucket{u=\"a\",le=\"+Inf\"} 5\n"
            "wait_seconds_sum{u=\"a\"} 1.5\n"
            "wait_seconds_count{u=\"a\"} 5\n");
}

}  // namespace
}  // namespace rondo::metrics
