#include "rondo/metrics/tables.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "rondo/base/rng.h"

namespace rondo::metrics {
namespace {

using Codes = std::map<std::pair<int, int>, uint64_t>;

Codes Read(const CodeTable& table) {
  Codes read;
  table.ForEach([&read](Method method, uint16_t code, uint64_t count) {
    read[{static_cast<int>(method), code}] += count;
  });
  return read;
}

TEST(Method, NamesAreThoseOfTheRegistryAndOther) {
  for (const std::string_view name :
       {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"}) {
    EXPECT_EQ(MethodName(MethodOf(name)), name);
  }
  for (const std::string_view name : {"get", "BREW", "", "GETT"}) {
    EXPECT_EQ(MethodName(MethodOf(name)), "other");
  }
}

TEST(CodeTable, CountsEachPairOfItsOwn) {
  CodeTable table;
  Codes expected;
  Rng rng(3);
  for (int i = 0; i < 10000; ++i) {
    const auto method = static_cast<Method>(rng.Next() % 10);
    const int status = 100 + static_cast<int>(rng.Next() % 500);
    table.Add(method, status);
    ++expected[{static_cast<int>(method), status}];
  }
  EXPECT_EQ(Read(table), expected);
}

TEST(CodeTable, WhatIsNoStatusCodeIsCountedTogether) {
  CodeTable table;
  for (const int status : {0, 99, 600, -1, 100000}) table.Add(Method::kGet, status);
  EXPECT_EQ(Read(table), (Codes{{{static_cast<int>(Method::kGet), 0}, 5}}));
}

TEST(CodeTable, MayBeReadWhileItIsWritten) {
  CodeTable table;
  std::atomic<bool> done{false};
  constexpr uint64_t kAdds = 200'000;
  std::thread writer([&table, &done] {
    for (uint64_t i = 0; i < kAdds; ++i)
      table.Add(static_cast<Method>(i % 10), 200 + static_cast<int>(i % 97));
    done.store(true);
  });
  uint64_t last = 0;
  while (!done.load()) {
    uint64_t sum = 0;
    for (const auto& [key, count] : Read(table)) sum += count;
    EXPECT_GE(sum, last);
    last = sum;
  }
  writer.join();
  uint64_t sum = 0;
  for (const auto& [key, count] : Read(table)) sum += count;
  EXPECT_EQ(sum, kAdds);
}

TEST(ReasonTable, CountsByReason) {
  ReasonTable table;
  static const char* const kRefused = "connect_refused";
  static const char* const kReset = "backend_reset";
  table.Add(kRefused);
  table.Add(kReset);
  table.Add(kRefused);
  std::map<std::string, uint64_t> read;
  table.ForEach(
      [&read](std::string_view reason, uint64_t count) { read[std::string(reason)] += count; });
  EXPECT_EQ(read, (std::map<std::string, uint64_t>{{"connect_refused", 2}, {"backend_reset", 1}}));
}

}  // namespace
}  // namespace rondo::metrics
