#include "app/ctl_table.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "rondo/base/check.h"

namespace rondo::app {
namespace {

// Columns that a terminal needs for UTF-8 text, near enough: one for each character.
size_t WidthOf(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string Formatted(const char* format, double value) {
  char text[64];
  const int size = std::snprintf(text, sizeof(text), format, value);
  return std::string(text, static_cast<size_t>(std::max(size, 0)));
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return printable;
}

void CtlTable::Add(std::vector<std::string> cells) {
  RONDO_CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = cell.empty() ? "-" : Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string CtlTable::Text() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = WidthOf(columns_[i].name);
    for (const auto& row : rows_) width = std::max(width, WidthOf(row[i]));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](auto cell) {
    std::string text;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string value(cell(i));
      const std::string padding(widths[i] - WidthOf(value), ' ');
      text += columns_[i].align == Align::kRight ? padding + value : value + padding;
      text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line([&](size_t i) { return columns_[i].name; });
  for (const auto& row : rows_) line([&](size_t i) { return std::string_view(row[i]); });
  return out;
}

std::string AgeText(double seconds) {
  const auto total = static_cast<int64_t>(std::max(seconds, 0.0));
  const std::pair<int64_t, char> units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
  for (size_t i = 0; i < 3; ++i) {
    const auto [unit, name] = units[i];
    if (total < unit) continue;
    const auto [next, next_name] = units[i + 1];
    const int64_t rest = total % unit / next;
    return std::to_string(total / unit) + name +
           (rest == 0 ? "" : std::to_string(rest) + next_name);
  }
  return std::to_string(total) + "s";
}

std::string MillisecondsText(double milliseconds) {
  if (milliseconds >= 1000) return Formatted("%.2f s", milliseconds / 1000);
  return Formatted(milliseconds < 10 ? "%.2f ms" : "%.1f ms", milliseconds);
}

}  // namespace rondo::app
