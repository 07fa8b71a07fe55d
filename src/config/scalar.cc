#include "rondo/config/scalar.h"

#include <absl/strings/ascii.h>
#include "config/text.h"

#include <array>
#include <chrono>
#include <limits>

namespace rondo::config {
namespace {

using std::chrono::milliseconds;

struct Unit {
  std::string_view name;
  int64_t factor;
};
// In milliseconds, from the largest.
constexpr std::array kTimeUnits = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000},
                                   Unit{"s", 1000}, Unit{"ms", 1}};
constexpr std::array kSizeUnits = {Unit{"TiB", int64_t{1} << 40}, Unit{"GiB", int64_t{1} << 30},
                                   Unit{"MiB", int64_t{1} << 20}, Unit{"KiB", int64_t{1} << 10},
                                   Unit{"B", 1}};
constexpr int64_t kMillisecondsMax = int64_t{100} * 365 * 86'400'000;

size_t DigitsLength(std::string_view text) {
  size_t length = 0;
  while (length < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[length]))) {
    ++length;
  }
  return length;
}

// "12unit" with one of `units`, times its factor, at most `max`.
template <size_t N>
std::optional<int64_t> ParseWithUnit(std::string_view text, const std::array<Unit, N>& units,
                                     int64_t max) {
  const size_t digits = DigitsLength(text);
  const std::optional<int64_t> number = ParseWhole(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (text.substr(digits) != unit.name) continue;
    if (*number > max / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

// The number in front of `text` without leading zeros, and the rest in lower case without spaces
// between.
struct NumberAndUnit {
  std::string number;
  std::string unit;
};
std::optional<NumberAndUnit> SplitLoosely(std::string_view text) {
  const size_t digits = DigitsLength(text);
  if (digits == 0 || digits > 15) return std::nullopt;
  std::string_view number = text.substr(0, digits);
  while (number.size() > 1 && number.front() == '0') number.remove_prefix(1);
  std::string_view unit = text.substr(digits);
  while (!unit.empty() && (unit.front() == ' ' || unit.front() == '_')) unit.remove_prefix(1);
  return NumberAndUnit{std::string(number), LowerCase(unit)};
}

}  // namespace

std::optional<int64_t> ParseWhole(std::string_view text) {
  if (text.empty() || DigitsLength(text) != text.size()) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  int64_t value = 0;
  for (const char c : text) {
    const int64_t digit = c - '0';
    if (value > (std::numeric_limits<int64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

std::optional<bool> ParseBool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text == "0") return Duration(0);
  const std::optional<int64_t> value = ParseWithUnit(text, kTimeUnits, kMillisecondsMax);
  if (!value) return std::nullopt;
  return milliseconds(*value);
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  std::optional<int64_t> value = ParseWhole(text);
  if (!value) value = ParseWithUnit(text, kSizeUnits, std::numeric_limits<int64_t>::max());
  if (!value) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<uint32_t> ParsePercent(std::string_view text) {
  if (!text.ends_with('%')) return std::nullopt;
  const std::optional<int64_t> value = ParseWhole(text.substr(0, text.size() - 1));
  if (!value || *value > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

std::string MeantWhole(std::string_view text) {
  const std::optional<NumberAndUnit> parts = SplitLoosely(text);
  return parts && parts->unit.empty() ? parts->number : std::string();
}

std::string MeantBool(std::string_view text) {
  const std::string lower = LowerCase(text);
  if (lower == "yes" || lower == "on" || lower == "y" || lower == "true" || lower == "1")
    return "true";
  if (lower == "no" || lower == "off" || lower == "n" || lower == "false" || lower == "0")
    return "false";
  return {};
}

std::string MeantDuration(std::string_view text) {
  const std::optional<NumberAndUnit> parts = SplitLoosely(text);
  if (!parts) return {};
  const std::string& unit = parts->unit;
  if (unit.empty()) return parts->number + "s";
  if (unit == "sec" || unit == "secs" || unit == "second" || unit == "seconds")
    return parts->number + "s";
  if (unit == "min" || unit == "mins" || unit == "minute" || unit == "minutes")
    return parts->number + "m";
  if (unit == "hour" || unit == "hours" || unit == "hr") return parts->number + "h";
  if (unit == "day" || unit == "days") return parts->number + "d";
  for (const Unit& known : kTimeUnits) {
    if (unit == known.name) return parts->number + unit;
  }
  return {};
}

std::string MeantSize(std::string_view text) {
  const std::optional<NumberAndUnit> parts = SplitLoosely(text);
  if (!parts) return {};
  const std::string& unit = parts->unit;
  if (unit.empty()) return parts->number;
  for (const Unit& known : kSizeUnits) {
    const std::string name = LowerCase(known.name);
    if (unit == name || unit == name.substr(0, 1) || unit == name.substr(0, 1) + "b") {
      return Cat(parts->number, known.name);
    }
  }
  return {};
}

std::string MeantPercent(std::string_view text) {
  const std::optional<NumberAndUnit> parts = SplitLoosely(text);
  return parts && (parts->unit.empty() || parts->unit == "%") ? parts->number + "%" : std::string();
}

std::string FormatDuration(Duration duration) {
  const int64_t value = std::chrono::duration_cast<milliseconds>(duration).count();
  if (value == 0) return "0s";
  for (const Unit& unit : kTimeUnits) {
    if (value % unit.factor == 0) return Cat(value / unit.factor, unit.name);
  }
  return {};
}

std::string FormatSize(uint64_t bytes) {
  if (bytes == 0) return "0";
  for (const Unit& unit : kSizeUnits) {
    const auto factor = static_cast<uint64_t>(unit.factor);
    if (bytes % factor == 0) {
      return Cat(bytes / factor, factor == 1 ? "" : unit.name);
    }
  }
  return {};
}

std::string Quoted(std::string_view text) {
  constexpr size_t kShownMax = 80;
  std::string shown = "`";
  size_t length = text.size();
  if (length > kShownMax) {
    length = kShownMax;
    // Not in the middle of a UTF-8 sequence.
    while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  }
  for (const char c : text.substr(0, length)) {
    const auto byte = static_cast<unsigned char>(c);
    shown.push_back(byte < 0x20 || byte == 0x7f ? '?' : c);
  }
  if (length < text.size()) shown.append("...");
  shown.push_back('`');
  return shown;
}

}  // namespace rondo::config
