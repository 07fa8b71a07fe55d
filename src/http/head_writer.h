// Writes heads into memory whose size the caller has bounded beforehand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rondo/base/text_word.h"

namespace rondo::http {

// REQUIRES: `out` has room for all that is written.
class HeadWriter {
 public:
  explicit HeadWriter(char* out) : begin_(out), p_(out) {}

  void Text(std::string_view text) {
    CopyText(p_, text.data(), text.size());
    p_ += text.size();
  }
  void Byte(char c) { *p_++ = c; }
  void EndLine() {
    p_[0] = '\r';
    p_[1] = '\n';
    p_ += 2;
  }
  void Field(std::string_view name, std::string_view value) {
    Text(name);
    p_[0] = ':';
    p_[1] = ' ';
    p_ += 2;
    Text(value);
    EndLine();
  }
  void Decimal(uint64_t value) {
    char digits[kDecimalMax];
    size_t at = kDecimalMax;
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value > 0);
    Text({digits + at, kDecimalMax - at});
  }
  // A place to write up to `n` bytes at; Advance() takes them in.
  char* Place() { return p_; }
  void Advance(size_t n) { p_ += n; }

  uint32_t offset() const { return static_cast<uint32_t>(p_ - begin_); }
  size_t size() const { return static_cast<size_t>(p_ - begin_); }

  static constexpr size_t kDecimalMax = 20;

 private:
  char* begin_;
  char* p_;
};

}  // namespace rondo::http
