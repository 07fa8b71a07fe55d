// Text in columns, for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rondo::app {

class CtlTable {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  struct Column {
    std::string_view name;
    Align align = Align::kLeft;
  };

  explicit CtlTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as there are columns. Control characters are shown as '?': they come from
  // elsewhere, and end on a terminal.
  void Add(std::vector<std::string> cells);
  // A line for the names, one for each row; nothing stands behind the last cell of a line.
  std::string Text() const;
  size_t rows() const { return rows_.size(); }

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Without control characters.
std::string Printable(std::string_view text);
// "3d4h", "2h5m", "4m10s", "12s".
std::string AgeText(double seconds);
// "0.42 ms", "12.3 ms", "1.2 s".
std::string MillisecondsText(double milliseconds);

}  // namespace rondo::app
