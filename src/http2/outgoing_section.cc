#include "outgoing_section.h"

#include <cstring>

#include "field_checks.h"

namespace rondo::http2 {
namespace {

using http::FieldId;

// Never to stand in the compressor's table. What is secret: a backend's connection is shared by
// clients, who could else find out each other's values by the sizes of what is sent (RFC 7541
// §7.1). And what is new in each message, which would only push out what comes again.
bool IsSensitive(FieldId id, std::string_view name) {
  if (id == FieldId::kOther) {
    return name.ends_with("-key") || name.ends_with("-token") || name.ends_with("-secret");
  }
  return id == FieldId::kAuthorization || id == FieldId::kProxyAuthorization ||
         id == FieldId::kCookie || id == FieldId::kSetCookie || id == FieldId::kIdempotencyKey ||
         id == FieldId::kXRequestId || id == FieldId::kTraceparent;
}

bool Lists(std::string_view list, std::string_view wanted) {
  std::string_view member;
  while (http::NextListMember(&list, &member)) {
    if (http::EqualsIgnoreCase(member, wanted)) return true;
  }
  return false;
}

// Takes "name: value" lines off a text.
class Lines {
 public:
  explicit Lines(std::string_view text)
      : begin_(text.data()), p_(text.data()), end_(text.data() + text.size()) {}

  enum class Next : uint8_t { kLine, kEnd, kBad };
  Next Take();
  // The line before any of them.
  bool TakeFirstLine(std::string_view* line) { return TakeText(line) && !line->empty(); }

  FieldId id() const { return id_; }
  // REQUIRES: id() is kOther.
  bool name_is_lower() const { return name_is_lower_; }
  std::string_view name() const { return name_; }
  std::string_view value() const { return value_; }
  // How much was taken.
  size_t size() const { return static_cast<size_t>(p_ - begin_); }

 private:
  // Whether a name that is not known is a token.
  bool CheckName();
  // Up to the next CRLF, which goes too.
  bool TakeText(std::string_view* text);

  const char* begin_;
  const char* p_;
  const char* end_;
  FieldId id_ = FieldId::kOther;
  bool name_is_lower_ = false;
  std::string_view name_;
  std::string_view value_;
};

bool Lines::TakeText(std::string_view* text) {
  const char* at = p_;
  while ((at = http::FindControl(at, end_)) != end_ && *at == '\t') ++at;
  if (end_ - at < 2 || at[0] != '\r' || at[1] != '\n') return false;
  *text = {p_, static_cast<size_t>(at - p_)};
  p_ = at + 2;
  return true;
}

Lines::Next Lines::Take() {
  if (end_ - p_ >= 2 && p_[0] == '\r' && p_[1] == '\n') {
    p_ += 2;
    return Next::kEnd;
  }
  const auto* colon =
      static_cast<const char*>(std::memchr(p_, ':', static_cast<size_t>(end_ - p_)));
  if (colon == nullptr) return Next::kBad;
  name_ = {p_, static_cast<size_t>(colon - p_)};
  // A name that is known is a token.
  id_ = http::FieldIdOf(name_);
  if (id_ == FieldId::kOther && !CheckName()) return Next::kBad;
  p_ = colon + 1;
  if (!TakeText(&value_)) return Next::kBad;
  value_ = http::TrimOws(value_);
  return Next::kLine;
}

bool Lines::CheckName() {
  int changed = 0;
  for (const char c : name_) {
    const char lower = kLowerToken[static_cast<uint8_t>(c)];
    if (lower == '\0') return false;
    changed |= lower ^ c;
  }
  name_is_lower_ = changed == 0;
  return !name_.empty();
}

// The name as HTTP/2 has it.
std::string_view LowerName(const Lines& lines, std::string& names) {
  if (lines.id() != FieldId::kOther) return http::NameOf(lines.id());
  if (lines.name_is_lower()) return lines.name();
  const size_t begin = names.size();
  const size_t size = lines.name().size();
  names.append(lines.name());
  char* const name = names.data() + begin;
  for (size_t i = 0; i < size; ++i) name[i] = kLowerToken[static_cast<uint8_t>(name[i])];
  return {name, size};
}

// The few names that are not just passed on.
bool IsListed(FieldId id) {
  return id == FieldId::kHost || id == FieldId::kContentLength || id == FieldId::kTe ||
         IsConnectionField(id);
}

// What a listed field says about the message. `*keep`: whether it goes out as a field too.
bool TakeListed(FieldId id, std::string_view value, OutgoingSection* section, bool* keep) {
  *keep = false;
  if (id == FieldId::kHost && section->is_request) {
    if (!section->host.empty() || value.empty()) return false;
    section->host = value;
  } else if (id == FieldId::kContentLength) {
    if (section->has_content_length || !ReadLength(value, &section->content_length)) return false;
    section->has_content_length = true;
    *keep = true;
  } else if (id == FieldId::kTransferEncoding) {
    if (section->chunked || !http::EqualsIgnoreCase(value, "chunked")) return false;
    section->chunked = true;
  } else if (id == FieldId::kTe) {
    *keep = section->is_request && http::EqualsIgnoreCase(value, "trailers");
  } else {
    *keep = !IsConnectionField(id);
  }
  return true;
}

// Views of `names` must stay where they are.
void Clear(std::string_view lines, std::vector<OutgoingField>& fields, std::string& names) {
  fields.clear();
  names.clear();
  names.reserve(lines.size());
}

}  // namespace

bool ReadHeadSection(std::string_view text, std::vector<OutgoingField>& fields, std::string& names,
                     OutgoingSection* section, size_t* size) {
  Clear(text, fields, names);
  fields.resize(kPseudoMax);
  Lines lines(text);
  if (!lines.TakeFirstLine(&section->first_line)) return false;
  bool names_upgrade = false;
  bool to_websocket = false;
  for (;;) {
    const Lines::Next next = lines.Take();
    if (next == Lines::Next::kBad) return false;
    if (next == Lines::Next::kEnd) break;
    const FieldId id = lines.id();
    if (IsListed(id)) {
      bool keep = true;
      if (!TakeListed(id, lines.value(), section, &keep)) return false;
      if (id == FieldId::kConnection) names_upgrade |= Lists(lines.value(), "upgrade");
      if (id == FieldId::kUpgrade) {
        to_websocket |= http::EqualsIgnoreCase(lines.value(), "websocket");
      }
      if (!keep) continue;
    }
    const std::string_view name = LowerName(lines, names);
    if (id == FieldId::kOther && name == "sec-websocket-key")
      section->websocket_key = lines.value();
    fields.push_back({name, lines.value(), IsSensitive(id, name), id != FieldId::kOther});
  }
  section->upgrade = names_upgrade && to_websocket;
  *size = lines.size();
  return !section->chunked || !section->has_content_length;
}

bool ReadTrailerSection(std::string_view text, std::vector<OutgoingField>& fields,
                        std::string& names, size_t* size) {
  Clear(text, fields, names);
  Lines lines(text);
  for (;;) {
    const Lines::Next next = lines.Take();
    *size = lines.size();
    if (next != Lines::Next::kLine) return next == Lines::Next::kEnd;
    const FieldId id = lines.id();
    if (!http::MayBeTrailer(id)) continue;
    const std::string_view name = LowerName(lines, names);
    fields.push_back({name, lines.value(), IsSensitive(id, name), id != FieldId::kOther});
  }
}

}  // namespace rondo::http2
