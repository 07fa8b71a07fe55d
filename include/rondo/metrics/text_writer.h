// The Prometheus text exposition format, version 0.0.4: families in order, each with its HELP and
// TYPE once, then its samples. Appends to a string; pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "rondo/base/time.h"
#include "rondo/metrics/histogram.h"

namespace rondo::metrics {

struct Label {
  std::string_view name;
  std::string_view value;  // any bytes; escaped where needed
};
using Labels = std::initializer_list<Label>;

class TextWriter {
 public:
  enum class Type : uint8_t { kCounter, kGauge, kHistogram };

  explicit TextWriter(std::string& out) : out_(out) {}

  // Begins a family; the samples that follow are its. `name` as it will be written, with its _total
  // and unit.
  void Family(std::string_view name, Type type, std::string_view help);
  void Sample(Labels labels, uint64_t value);
  void Sample(Labels labels, int64_t value);
  void Sample(Labels labels, double value);
  // The buckets (cumulated), the sum in seconds and the count of one histogram.
  template <size_t kBounds>
  void Histogram(Labels labels, const std::array<Duration, kBounds>& bounds,
                 const BoundedCounts<kBounds>& counts) {
    WriteHistogram(labels, bounds, counts.counts, counts.sum_ns);
  }

 private:
  void Begin(std::string_view suffix, Labels labels, std::string_view le);
  void WriteHistogram(Labels labels, std::span<const Duration> bounds,
                      std::span<const uint64_t> counts, uint64_t sum_ns);

  std::string& out_;
  std::string_view family_;
};

}  // namespace rondo::metrics
