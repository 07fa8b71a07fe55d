// Host values, the authorities of absolute-form targets, and :authority of HTTP/2. Pure.
#pragma once

#include <string_view>

namespace rondo::http {

// uri-host [":" port] as RFC 3986 §3.2.2 has it, but not empty, without commas, and with a port up
// to 65535. The port may be empty ("example.com:"). No userinfo.
bool IsValidAuthority(std::string_view text);

}  // namespace rondo::http
