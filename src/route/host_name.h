// The one form of a host in which routes and requests are compared.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace rondo::route {

class HostName {
 public:
  static constexpr size_t kBytesMax = 255;

  // From Host or an authority: without its port and without one dot at the end, in lower case; an
  // IPv6 address in brackets in its shortest spelling (RFC 5952). Empty where there is none, or
  // where it is longer than kBytesMax.
  explicit HostName(std::string_view authority);
  HostName(const HostName&) = delete;
  HostName& operator=(const HostName&) = delete;

  std::string_view text() const { return {text_.data(), size_}; }

 private:
  void Append(std::string_view text);

  size_t size_ = 0;
  std::array<char, kBytesMax> text_;  // only the first size_ are set
};

}  // namespace rondo::route
