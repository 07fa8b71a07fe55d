#include "route/host_name.h"

#include <optional>

#include "rondo/base/address.h"

namespace rondo::route {

HostName::HostName(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return;
    const auto address = IpAddress::Parse(authority.substr(1, close - 1));
    if (!address) {
      Append(authority.substr(0, close + 1));
      return;
    }
    char text[IpAddress::kTextMax];
    Append("[");
    Append({text, address->Write(text)});
    Append("]");
    return;
  }
  std::string_view name = authority.substr(0, authority.find(':'));
  if (name.ends_with('.')) name.remove_suffix(1);
  Append(name);
}

void HostName::Append(std::string_view text) {
  if (text.size() > kBytesMax - size_) {
    size_ = 0;
    return;
  }
  for (const char c : text) {
    text_[size_++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
}

}  // namespace rondo::route
