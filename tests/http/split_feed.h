// Feeds a parser its bytes in every way they can arrive: whole, byte by byte, split at each
// position.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "rondo/http/h1_parser.h"

namespace rondo::http {

// What a head came to, in words that can be compared and printed.
struct Outcome {
  HeadStatus status = HeadStatus::kNeedMore;
  size_t head_bytes = 0;
  std::string refusal;
  std::string text;  // of the head

  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Outcome& o) {
    return out << static_cast<int>(o.status) << " " << o.head_bytes << " " << o.refusal << " "
               << o.text;
  }
};

// `parse(bytes, scanned)` gives a HeadResult, `describe()` the text of a complete head. The bytes
// move between calls, as they do when a buffer grows.
template <typename Parse, typename Describe>
Outcome Feed(std::string_view input, const std::vector<size_t>& ends, Parse parse,
             Describe describe) {
  size_t scanned = 0;
  Outcome outcome;
  for (size_t end : ends) {
    const std::string bytes(input.substr(0, end));
    const HeadResult result = parse(bytes, scanned);
    scanned = result.scanned;
    outcome.status = result.status;
    switch (result.status) {
      case HeadStatus::kNeedMore:
        continue;
      case HeadStatus::kComplete:
        outcome.head_bytes = result.head_bytes;
        outcome.text = describe();
        return outcome;
      case HeadStatus::kRefused:
        outcome.refusal = std::to_string(result.refusal.status) + " " + result.refusal.what();
        return outcome;
    }
  }
  return outcome;
}

template <typename Parse, typename Describe>
Outcome FeedEveryWay(std::string_view input, Parse parse, Describe describe) {
  const Outcome whole = Feed(input, {input.size()}, parse, describe);
  std::vector<size_t> each;
  for (size_t i = 1; i <= input.size(); ++i) each.push_back(i);
  EXPECT_EQ(Feed(input, each, parse, describe), whole) << "byte by byte: " << input.substr(0, 200);
  // Long inputs are for limits; their middle is all alike.
  for (size_t i = 0; i < input.size(); i = i < 600 || i + 600 > input.size() ? i + 1 : i + 97) {
    EXPECT_EQ(Feed(input, {i, input.size()}, parse, describe), whole)
        << "split at " << i << ": " << input.substr(0, 200);
  }
  return whole;
}

}  // namespace rondo::http
