// Places in the configuration file.
#pragma once

namespace rondo::config {

// Both from 1; 0 where there is no file.
struct SourceMark {
  int line = 0;
  int col = 0;
  friend bool operator==(const SourceMark&, const SourceMark&) = default;
};

// The place of a part of the configuration. It is no part of what the configuration says: parts
// that differ in their place only are equal, so that a reload finds them unchanged.
struct Where : SourceMark {
  friend bool operator==(const Where&, const Where&) { return true; }
};

}  // namespace rondo::config
