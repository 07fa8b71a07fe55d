#include "route/query.h"

#include <cstddef>

#include "rondo/base/hex.h"

namespace rondo::route {
namespace {

// Takes one decoded byte off the front of `raw`, which is not empty.
char TakeByte(std::string_view* raw) {
  const char first = raw->front();
  if (first == '%' && raw->size() > 2) {
    const int high = HexValue((*raw)[1]);
    const int low = HexValue((*raw)[2]);
    if (high >= 0 && low >= 0) {
      raw->remove_prefix(3);
      return static_cast<char>(high * 16 + low);
    }
  }
  raw->remove_prefix(1);
  return first == '+' ? ' ' : first;
}

}  // namespace

bool NextParameter(std::string_view* rest, RawParameter* parameter) {
  while (!rest->empty()) {
    const size_t end = rest->find('&');
    const std::string_view pair = rest->substr(0, end);
    rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    parameter->name = pair.substr(0, equals);
    parameter->value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    return true;
  }
  return false;
}

bool NeedsDecoding(std::string_view raw) {
  return raw.find_first_of("%+") != std::string_view::npos;
}

void AppendDecoded(std::string_view raw, std::string& out) {
  while (!raw.empty()) out.push_back(TakeByte(&raw));
}

bool DecodesTo(std::string_view raw, std::string_view text) {
  if (raw.size() < text.size()) return false;
  for (const char c : text) {
    if (raw.empty() || TakeByte(&raw) != c) return false;
  }
  return raw.empty();
}

}  // namespace rondo::route
