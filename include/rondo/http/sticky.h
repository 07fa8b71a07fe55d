// Cookies: how requests are asked for one, and the one that keeps a client on its backend. Pure, no
// allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rondo/base/time.h"
#include "rondo/http/message.h"

namespace rondo::http {

// The value of the first cookie of that name (case counts: RFC 6265 §5.3), without white space
// around it and with quotes if it has some; a view of the received bytes. None where there is no
// such cookie, or only one without "=". Linear in the size of the Cookie fields.
std::optional<std::string_view> FindCookie(const RequestHead& head, std::string_view name);

// Goes through all pairs of a Cookie field's value: takes the next one that has a '=' off `rest`.
// False at the end.
struct CookiePair {
  std::string_view name;
  std::string_view value;
};
bool NextCookie(std::string_view* rest, CookiePair* pair);

struct StickyCookie {
  std::string name;   // a token
  Duration ttl = {};  // 0: as long as the browser runs
};

// The value is 16 lower-case hex digits of a hash of upstream and backend id, which the caller
// computes: it names no address, and is the same in every process and version.
// The first cookie of that name that is exactly such a value; others of that name are passed over,
// since browsers send what older paths or subdomains have left behind.
std::optional<uint64_t> FindSticky(const RequestHead& head, std::string_view cookie_name);

// At most this many bytes are written by WriteSetCookie. O(1).
size_t SetCookieBound(const StickyCookie& cookie);
// Writes "Set-Cookie: NAME=VALUE; Path=/; Max-Age=N; HttpOnly; SameSite=Lax\r\n", with "; Secure"
// where `secure`, which is for clients that came over TLS. Returns the length.
size_t WriteSetCookie(const StickyCookie& cookie, uint64_t value, bool secure, char* out);

}  // namespace rondo::http
