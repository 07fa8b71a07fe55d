// Which fields of a request are forwarded (RFC 9110 §7.6.1), by what we know of their names.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "rondo/http/field.h"

namespace rondo::http {

// What becomes of a received field.
enum class Fate : uint8_t {
  kPass,
  kDrop,        // hop-by-hop, or written anew from what the parser made of it
  kNameable,    // passes unless Connection names it
  kForChunked,  // passes with a chunked body
  kExpectation,
  kFromTrusted,  // passes from trusted peers
  kUserAgent,    // passes; the access log wants to know where it stands
  kReferer,
  kCookie,       // passes, but for a cookie that is ours
  kMaxForwards,  // counted down where the parser has read it
};

constexpr Fate FateOf(FieldId id) {
  switch (id) {
    case FieldId::kOther:
      return Fate::kNameable;
    case FieldId::kHost:
    case FieldId::kConnection:
    case FieldId::kContentLength:
    case FieldId::kTransferEncoding:
    case FieldId::kTe:
    case FieldId::kUpgrade:
    case FieldId::kKeepAlive:
    case FieldId::kProxyConnection:
    case FieldId::kProxyAuthenticate:
    case FieldId::kProxyAuthorization:
    case FieldId::kProxyAuthenticationInfo:
    case FieldId::kHttp2Settings:
    case FieldId::kXForwardedFor:
    case FieldId::kXForwardedProto:
    case FieldId::kXForwardedHost:
    case FieldId::kXRealIp:
    case FieldId::kXRequestId:
      return Fate::kDrop;
    case FieldId::kTrailer:
      return Fate::kForChunked;
    case FieldId::kExpect:
      return Fate::kExpectation;
    case FieldId::kForwarded:
      return Fate::kFromTrusted;
    case FieldId::kUserAgent:
      return Fate::kUserAgent;
    case FieldId::kReferer:
      return Fate::kReferer;
    case FieldId::kMaxForwards:
      return Fate::kMaxForwards;
    case FieldId::kCookie:  // also where Connection names it, see below
      return Fate::kCookie;
    // Known to be end-to-end: they pass even where Connection names them. A client must not be able
    // to strip what the backend relies on (RFC 9110 §7.6.1 forbids to name them).
    case FieldId::kVia:
    case FieldId::kAccept:
    case FieldId::kIdempotencyKey:
    case FieldId::kSetCookie:
    case FieldId::kDate:
    case FieldId::kServer:
    case FieldId::kAuthorization:
    case FieldId::kWwwAuthenticate:
    case FieldId::kContentType:
    case FieldId::kContentEncoding:
    case FieldId::kContentRange:
    case FieldId::kCacheControl:
    case FieldId::kRange:
    case FieldId::kAge:
    case FieldId::kExpires:
    case FieldId::kLocation:
    case FieldId::kRetryAfter:
    case FieldId::kVary:
    case FieldId::kWarning:
    case FieldId::kPragma:
    case FieldId::kIfMatch:
    case FieldId::kIfNoneMatch:
    case FieldId::kIfModifiedSince:
    case FieldId::kIfUnmodifiedSince:
    case FieldId::kIfRange:
    case FieldId::kOrigin:
    case FieldId::kTraceparent:
    case FieldId::kCount:
      return Fate::kPass;
  }
  return Fate::kDrop;
}

inline constexpr auto kFates = [] {
  std::array<Fate, static_cast<size_t>(FieldId::kCount)> fates{};
  for (size_t i = 0; i < fates.size(); ++i) fates[i] = FateOf(static_cast<FieldId>(i));
  return fates;
}();

}  // namespace rondo::http
