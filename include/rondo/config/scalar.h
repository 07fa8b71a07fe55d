// Scalars, read strictly: what YAML libraries guess (`yes`, `010`, `1e3`) is refused here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rondo/base/time.h"

namespace rondo::config {

// Decimal digits without sign, leading zeros or separators, up to 2^63 - 1.
std::optional<int64_t> ParseWhole(std::string_view text);

// `true` or `false`.
std::optional<bool> ParseBool(std::string_view text);

// A whole number with ms, s, m, h or d, or a bare 0; up to 100 years.
std::optional<Duration> ParseDuration(std::string_view text);

// A whole number of bytes, plain or with B, KiB, MiB, GiB or TiB; up to 2^63 - 1.
std::optional<uint64_t> ParseSize(std::string_view text);

// A whole number with a percent sign.
std::optional<uint32_t> ParsePercent(std::string_view text);

// What was probably meant by a text that the function above refused, as it should be written; or
// empty.
std::string MeantWhole(std::string_view text);
std::string MeantBool(std::string_view text);
std::string MeantDuration(std::string_view text);
std::string MeantSize(std::string_view text);
std::string MeantPercent(std::string_view text);

// In the largest unit that leaves a whole number: "90s", "1h", "0s".
std::string FormatDuration(Duration duration);
std::string FormatSize(uint64_t bytes);

// `text` between backticks for a message: cut where it is long, control characters shown as '?'.
std::string Quoted(std::string_view text);

}  // namespace rondo::config
