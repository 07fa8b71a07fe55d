// Header fields: which names the proxy has to know, and how they are recognised. Values only; any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rondo::http {

// Names that some rule of ours asks for. All others are kOther and pass as they came.
enum class FieldId : uint8_t {
  kOther,
  kHost,
  kConnection,
  kContentLength,
  kTransferEncoding,
  kTe,
  kTrailer,
  kUpgrade,
  kExpect,
  kKeepAlive,
  kProxyConnection,
  kProxyAuthenticate,
  kProxyAuthorization,
  kProxyAuthenticationInfo,
  kHttp2Settings,
  kXForwardedFor,
  kXForwardedProto,
  kXForwardedHost,
  kXRealIp,
  kXRequestId,
  kForwarded,
  kVia,
  kAccept,
  kIdempotencyKey,
  kCookie,
  kSetCookie,
  kUserAgent,
  kReferer,
  kDate,
  kServer,
  kAuthorization,
  kWwwAuthenticate,
  kContentType,
  kContentEncoding,
  kContentRange,
  kCacheControl,
  kMaxForwards,
  kRange,
  kAge,
  kExpires,
  kLocation,
  kRetryAfter,
  kVary,
  kWarning,
  kPragma,
  kIfMatch,
  kIfNoneMatch,
  kIfModifiedSince,
  kIfUnmodifiedSince,
  kIfRange,
  kOrigin,
  kTraceparent,
  kCount,
};
static_assert(static_cast<int>(FieldId::kCount) <= 64, "FieldSet is one word");

// One field as received: spans of the received bytes, the value without the white space around it.
struct Field {
  std::string_view name;
  std::string_view value;
  FieldId id = FieldId::kOther;
};

// Which known names a head has.
class FieldSet {
 public:
  void Add(FieldId id) { bits_ |= Bit(id); }
  bool Has(FieldId id) const { return (bits_ & Bit(id)) != 0; }
  bool empty() const { return bits_ == 0; }
  void Clear() { bits_ = 0; }

 private:
  static uint64_t Bit(FieldId id) { return uint64_t{1} << static_cast<unsigned>(id); }
  uint64_t bits_ = 0;
};

// The id of `name`, compared case-insensitively; kOther for all that is not listed. REQUIRES: a
// token (RFC 9110 §5.6.2), as both parsers give it. One table look-up and one comparison.
FieldId FieldIdOf(std::string_view name);

// The name in lower case. Static. REQUIRES: a listed one, not kOther.
std::string_view NameOf(FieldId id);

// Whether a field of that name may stand behind a body: what changes how a message is read, routed
// or authenticated comes too late there (RFC 9110 §6.5.1).
bool MayBeTrailer(FieldId id);

// Equal but for the case of ASCII letters.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

// A token character (RFC 9110 §5.6.2), and a string of at least one of them.
bool IsTokenChar(char c);
bool IsToken(std::string_view text);

// Only what can be seen: no spaces, no control characters, nothing beyond ASCII. May be empty.
bool IsVisibleAscii(std::string_view text);

// Without spaces and tabs at both ends (RFC 9110 §5.6.3).
std::string_view TrimOws(std::string_view text);

// Takes the next member off a comma separated list, trimmed, skipping empty ones (RFC 9110 §5.6.1).
// False at the end. Meant for lists of tokens: it knows no quoted strings.
bool NextListMember(std::string_view* rest, std::string_view* member);

}  // namespace rondo::http
