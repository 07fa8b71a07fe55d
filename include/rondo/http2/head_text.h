// The text of a head while it is written, within a bound. Pure; its memory is kept from head to
// head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "rondo/base/text_word.h"

namespace rondo::http2 {

class HeadText {
 public:
  // Room for a first line that is known last.
  static constexpr size_t kLeadMax = 64;

  // Empties it. At most `bytes_max` are taken; `lead` of them, at most kLeadMax, in front.
  void Begin(size_t bytes_max, size_t lead = 0) {
    // What a rare large head has taken is given back.
    if (buffer_.size() > kKeptBytes) std::string().swap(buffer_);
    if (buffer_.empty()) buffer_.resize(kFirstBytes);
    begin_ = size_ = lead;
    bytes_max_ = bytes_max;
    overflowed_ = false;
  }

  void Text(std::string_view text) {
    if (Reserve(text.size())) Put(text);
  }
  // "name: value\r\n"
  void Line(std::string_view name, std::string_view value) {
    if (!Reserve(name.size() + value.size() + 4)) return;
    Put(name);
    Put(": ");
    Put(value);
    Put("\r\n");
  }
  void NumberLine(std::string_view name, uint64_t value) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value > 0);
    Line(name, {digits + at, sizeof(digits) - at});
  }
  // In front of all, once. REQUIRES: no more than the lead of Begin.
  void FirstLine(std::string_view text) {
    begin_ -= text.size();
    std::memcpy(buffer_.data() + begin_, text.data(), text.size());
    overflowed_ = overflowed_ || size() > bytes_max_;
  }

  // More came than may be; the rest was not kept.
  bool overflowed() const { return overflowed_; }
  size_t size() const { return size_ - begin_; }
  // Until the next Begin.
  std::string_view view() const { return {buffer_.data() + begin_, size()}; }

 private:
  static constexpr size_t kFirstBytes = 1024;
  static constexpr size_t kKeptBytes = 16384;
  static_assert(kLeadMax < kFirstBytes);

  bool Reserve(size_t bytes) {
    if (overflowed_ || bytes > bytes_max_ - size()) {
      overflowed_ = true;
      return false;
    }
    if (bytes > buffer_.size() - size_) buffer_.resize(2 * (size_ + bytes));
    return true;
  }
  void Put(std::string_view text) {
    CopyText(buffer_.data() + size_, text.data(), text.size());
    size_ += text.size();
  }

  std::string buffer_;  // its size is the room there is
  size_t begin_ = 0;
  size_t size_ = 0;
  size_t bytes_max_ = 0;
  bool overflowed_ = false;
};

}  // namespace rondo::http2
