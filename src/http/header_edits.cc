#include "rondo/http/header_edits.h"

#include "rondo/base/check.h"

namespace rondo::http {
namespace {

// Whether the field says where a message ends, what becomes of the connection, or belongs to the
// hop: what the codec and forwarding write themselves. A rule could only contradict them.
constexpr bool IsOurs(FieldId id) {
  switch (id) {
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
    case FieldId::kMaxForwards:
      return true;
    case FieldId::kOther:
    case FieldId::kXForwardedFor:
    case FieldId::kXForwardedProto:
    case FieldId::kXForwardedHost:
    case FieldId::kXRealIp:
    case FieldId::kXRequestId:
    case FieldId::kForwarded:
    case FieldId::kVia:
    case FieldId::kAccept:
    case FieldId::kIdempotencyKey:
    case FieldId::kCookie:
    case FieldId::kSetCookie:
    case FieldId::kUserAgent:
    case FieldId::kReferer:
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
      return false;
  }
  return true;
}

// FNV-1a over the name without its case. Names come from clients, who can make them collide, but
// each look-up compares with the few names of one route.
uint64_t HashName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    hash = (hash ^ static_cast<uint8_t>(upper ? c | 0x20 : c)) * 0x100000001b3;
  }
  return hash ^ hash >> 32;
}

}  // namespace

bool IsEditableName(std::string_view name) { return IsToken(name) && !IsOurs(FieldIdOf(name)); }

bool IsEditableValue(std::string_view value) {
  if (value != TrimOws(value)) return false;
  for (char c : value) {
    const uint8_t byte = static_cast<uint8_t>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  return true;
}

CompiledEdits::CompiledEdits(const HeaderEdits& edits) {
  for (const auto& [name, value] : edits.set) {
    RONDO_CHECK(IsEditableName(name));
    RONDO_CHECK(IsEditableValue(value));
    lines_ += name;
    lines_ += ": ";
    lines_ += value;
    lines_ += "\r\n";
    Drop(name);
  }
  for (const std::string& name : edits.remove) {
    RONDO_CHECK(IsEditableName(name));
    Drop(name);
  }
  BuildTable();
}

void CompiledEdits::Drop(std::string_view name) {
  const FieldId id = FieldIdOf(name);
  if (id != FieldId::kOther) {
    known_.Add(id);
    return;
  }
  for (const Other& other : others_) {
    if (EqualsIgnoreCase(other.name, name)) return;
  }
  lengths_ |= uint64_t{1} << (name.size() < kLengthMax ? name.size() : kLengthMax);
  others_.push_back({HashName(name), std::string(name)});
}

void CompiledEdits::BuildTable() {
  if (others_.empty()) return;
  size_t places = 2;
  while (places < 2 * others_.size()) places *= 2;
  table_.assign(places, 0);
  for (size_t i = 0; i < others_.size(); ++i) {
    size_t place = others_[i].hash & (places - 1);
    while (table_[place] != 0) place = (place + 1) & (places - 1);
    table_[place] = static_cast<uint32_t>(i + 1);
  }
}

bool CompiledEdits::DropsOther(std::string_view name) const {
  const uint64_t hash = HashName(name);
  // Half of the places are empty, so that the search ends.
  for (size_t place = hash & (table_.size() - 1);; place = (place + 1) & (table_.size() - 1)) {
    if (table_[place] == 0) return false;
    const Other& other = others_[table_[place] - 1];
    if (other.hash == hash && EqualsIgnoreCase(other.name, name)) return true;
  }
}

}  // namespace rondo::http
