// Small pieces of text that `rondo echo` writes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rondo::app {

// "OK" for 200; "Status" for a code without a name here.
std::string_view ReasonPhrase(int status);
// `text` in double quotes; bytes that JSON does not take as they are become \u00XX.
void AppendJsonString(std::string* out, std::string_view text);
// 16 lower-case digits.
std::string HexText(uint64_t value);
// The Sec-WebSocket-Accept that answers `key` (RFC 6455 §4.2.2).
std::string WebSocketAccept(std::string_view key);

}  // namespace rondo::app
