#include "rondo/http/field.h"

#include <array>

#include "rondo/base/check.h"
#include "rondo/base/text_word.h"

namespace rondo::http {
namespace {

struct KnownName {
  std::string_view name;
  FieldId id;
};
constexpr KnownName kKnownNames[] = {
    {"host", FieldId::kHost},
    {"connection", FieldId::kConnection},
    {"content-length", FieldId::kContentLength},
    {"transfer-encoding", FieldId::kTransferEncoding},
    {"te", FieldId::kTe},
    {"trailer", FieldId::kTrailer},
    {"upgrade", FieldId::kUpgrade},
    {"expect", FieldId::kExpect},
    {"keep-alive", FieldId::kKeepAlive},
    {"proxy-connection", FieldId::kProxyConnection},
    {"proxy-authenticate", FieldId::kProxyAuthenticate},
    {"proxy-authorization", FieldId::kProxyAuthorization},
    {"proxy-authentication-info", FieldId::kProxyAuthenticationInfo},
    {"http2-settings", FieldId::kHttp2Settings},
    {"x-forwarded-for", FieldId::kXForwardedFor},
    {"x-forwarded-proto", FieldId::kXForwardedProto},
    {"x-forwarded-host", FieldId::kXForwardedHost},
    {"x-real-ip", FieldId::kXRealIp},
    {"x-request-id", FieldId::kXRequestId},
    {"forwarded", FieldId::kForwarded},
    {"via", FieldId::kVia},
    {"accept", FieldId::kAccept},
    {"idempotency-key", FieldId::kIdempotencyKey},
    {"cookie", FieldId::kCookie},
    {"set-cookie", FieldId::kSetCookie},
    {"user-agent", FieldId::kUserAgent},
    {"referer", FieldId::kReferer},
    {"date", FieldId::kDate},
    {"server", FieldId::kServer},
    {"authorization", FieldId::kAuthorization},
    {"www-authenticate", FieldId::kWwwAuthenticate},
    {"content-type", FieldId::kContentType},
    {"content-encoding", FieldId::kContentEncoding},
    {"content-range", FieldId::kContentRange},
    {"cache-control", FieldId::kCacheControl},
    {"max-forwards", FieldId::kMaxForwards},
    {"range", FieldId::kRange},
    {"age", FieldId::kAge},
    {"expires", FieldId::kExpires},
    {"location", FieldId::kLocation},
    {"retry-after", FieldId::kRetryAfter},
    {"vary", FieldId::kVary},
    {"warning", FieldId::kWarning},
    {"pragma", FieldId::kPragma},
    {"if-match", FieldId::kIfMatch},
    {"if-none-match", FieldId::kIfNoneMatch},
    {"if-modified-since", FieldId::kIfModifiedSince},
    {"if-unmodified-since", FieldId::kIfUnmodifiedSince},
    {"if-range", FieldId::kIfRange},
    {"origin", FieldId::kOrigin},
    {"traceparent", FieldId::kTraceparent},
};
constexpr size_t kKnownCount = std::size(kKnownNames);
static_assert(kKnownCount + 1 == static_cast<size_t>(FieldId::kCount), "each id has its name");
static_assert(
    [] {
      for (size_t i = 0; i < kKnownCount; ++i) {
        if (kKnownNames[i].id != static_cast<FieldId>(i + 1)) return false;
      }
      return true;
    }(),
    "names stand in the order of their ids");

// A perfect hash over length, first, middle and last letter: one slot is one name.
constexpr size_t kSlots = 512;
constexpr uint32_t SlotOf(std::string_view name, uint32_t seed) {
  const auto lower = [](char c) { return static_cast<uint32_t>(static_cast<uint8_t>(c) | 0x20u); };
  const uint32_t key = static_cast<uint32_t>(name.size()) | lower(name.front()) << 8 |
                       lower(name[name.size() / 2]) << 16 | lower(name.back()) << 24;
  return (key * seed) >> 23;
}
static_assert(kSlots == 1u << (32 - 23));

struct NameTable {
  uint32_t seed = 0;
  std::array<uint8_t, kSlots> slots{};  // an index into kKnownNames plus 1; 0 is empty
};
consteval NameTable MakeTable() {
  for (uint32_t seed = 0x9e3779b1u;; seed = seed * 1664525u + 1013904223u) {
    NameTable table;
    table.seed = seed | 1u;
    bool collided = false;
    for (size_t i = 0; i < kKnownCount && !collided; ++i) {
      uint8_t& slot = table.slots[SlotOf(kKnownNames[i].name, table.seed)];
      collided = slot != 0;
      slot = static_cast<uint8_t>(i + 1);
    }
    if (!collided) return table;
  }
}
constexpr NameTable kTable = MakeTable();

constexpr std::array<bool, 256> MakeTokenTable() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<uint8_t>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kTokenChars = MakeTokenTable();

// Whether two words of text are equal but for the case of letters.
bool EqualButForCase(uint64_t a, uint64_t b) {
  constexpr uint64_t kCaseBits = EveryByte(0x20);
  const uint64_t different = a ^ b;
  if (different == 0) return true;
  if ((different & ~kCaseBits) != 0) return false;
  // The top bit of each byte that is a letter: no sum runs over into the next byte.
  const uint64_t low = (a | kCaseBits) & EveryByte(0x7f);
  const uint64_t letters =
      (low + EveryByte(0x80 - 'a')) & ~(low + EveryByte(0x80 - 'z' - 1)) & ~a & EveryByte(0x80);
  return ((different << 2) & ~letters) == 0;
}

// Whether a word of a name is `known`, which is in lower case: a letter (known names have no others
// with that bit) may lack its case bit, nothing else may differ.
bool IsKnownWord(uint64_t word, uint64_t known) {
  return ((word ^ known) & ~((known & EveryByte(0x40)) >> 1)) == 0;
}

bool IsKnownName(std::string_view name, std::string_view known) {
  const size_t n = name.size();
  if (n != known.size()) return false;
  if (n < 8) return IsKnownWord(LoadShort(name), LoadShort(known));
  for (size_t i = 0; i + 8 < n; i += 8) {
    if (!IsKnownWord(LoadWord(name.data() + i), LoadWord(known.data() + i))) return false;
  }
  return IsKnownWord(LoadWord(name.data() + n - 8), LoadWord(known.data() + n - 8));
}

}  // namespace

FieldId FieldIdOf(std::string_view name) {
  if (name.empty()) return FieldId::kOther;
  const uint8_t slot = kTable.slots[SlotOf(name, kTable.seed)];
  if (slot == 0) return FieldId::kOther;
  const KnownName& known = kKnownNames[slot - 1];
  return IsKnownName(name, known.name) ? known.id : FieldId::kOther;
}

std::string_view NameOf(FieldId id) {
  RONDO_DCHECK(id != FieldId::kOther && id != FieldId::kCount);
  return kKnownNames[static_cast<size_t>(id) - 1].name;
}

// A name that is not listed is the sender's own affair. Of the listed ones only those pass that a
// careless reader may merge into the header section without harm.
bool MayBeTrailer(FieldId id) {
  switch (id) {
    case FieldId::kOther:
    case FieldId::kServer:
    case FieldId::kDate:
    case FieldId::kXRequestId:
    case FieldId::kUserAgent:
    case FieldId::kReferer:
    case FieldId::kAccept:
    case FieldId::kVary:
    case FieldId::kWarning:
    case FieldId::kTraceparent:
    case FieldId::kOrigin:
      return true;
    case FieldId::kHost:
    case FieldId::kConnection:
    case FieldId::kContentLength:
    case FieldId::kTransferEncoding:
    case FieldId::kTe:
    case FieldId::kTrailer:
    case FieldId::kUpgrade:
    case FieldId::kExpect:
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
    case FieldId::kForwarded:
    case FieldId::kVia:
    case FieldId::kIdempotencyKey:
    case FieldId::kCookie:
    case FieldId::kSetCookie:
    case FieldId::kAuthorization:
    case FieldId::kWwwAuthenticate:
    case FieldId::kContentType:
    case FieldId::kContentEncoding:
    case FieldId::kContentRange:
    case FieldId::kCacheControl:
    case FieldId::kMaxForwards:
    case FieldId::kRange:
    case FieldId::kAge:
    case FieldId::kExpires:
    case FieldId::kLocation:
    case FieldId::kRetryAfter:
    case FieldId::kPragma:
    case FieldId::kIfMatch:
    case FieldId::kIfNoneMatch:
    case FieldId::kIfModifiedSince:
    case FieldId::kIfUnmodifiedSince:
    case FieldId::kIfRange:
    case FieldId::kCount:
      return false;
  }
  return false;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  const size_t n = a.size();
  if (n != b.size()) return false;
  if (n < 8) return n == 0 || EqualButForCase(LoadShort(a), LoadShort(b));
  for (size_t i = 0; i + 8 < n; i += 8) {
    if (!EqualButForCase(LoadWord(a.data() + i), LoadWord(b.data() + i))) return false;
  }
  return EqualButForCase(LoadWord(a.data() + n - 8), LoadWord(b.data() + n - 8));
}

bool IsTokenChar(char c) { return kTokenChars[static_cast<uint8_t>(c)]; }

bool IsToken(std::string_view text) {
  for (char c : text) {
    if (!IsTokenChar(c)) return false;
  }
  return !text.empty();
}

bool IsVisibleAscii(std::string_view text) {
  // The top bit is set by bytes beyond ASCII, by 0x7f plus 1, and not by those that 0x5f does not
  // lift there: what is not above 0x20.
  const auto visible = [](uint64_t word) {
    const uint64_t low = word & EveryByte(0x7f);
    return (((low + EveryByte(0x5f)) & ~(low + EveryByte(1)) & ~word) & EveryByte(0x80)) ==
           EveryByte(0x80);
  };
  const size_t n = text.size();
  if (n < 8) {
    for (char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      if (byte <= 0x20 || byte >= 0x7f) return false;
    }
    return true;
  }
  for (size_t i = 0; i + 8 < n; i += 8) {
    if (!visible(LoadWord(text.data() + i))) return false;
  }
  return visible(LoadWord(text.data() + n - 8));
}

std::string_view TrimOws(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool NextListMember(std::string_view* rest, std::string_view* member) {
  while (!rest->empty()) {
    const size_t comma = rest->find(',');
    *member = TrimOws(rest->substr(0, comma));
    *rest = comma == std::string_view::npos ? std::string_view() : rest->substr(comma + 1);
    if (!member->empty()) return true;
  }
  return false;
}

}  // namespace rondo::http
