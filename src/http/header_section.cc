#include "header_section.h"

#include <llhttp.h>

#include <cstring>

#include "rondo/base/check.h"

namespace rondo::http {
namespace {

static_assert(LLHTTP_STRICT_MODE == 1, "the loose parser accepts what a proxy must refuse");

Refusal GatherLength(std::string_view value, FramingFields* framing) {
  ++framing->content_lengths;
  if (value.empty()) return {400, "empty_content_length"};
  uint64_t length = 0;
  for (char c : value) {
    if (c < '0' || c > '9') return {400, "bad_content_length"};
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    constexpr uint64_t kMax = uint64_t{INT64_MAX};
    if (length > (kMax - digit) / 10) return {400, "content_length_overflow"};
    length = length * 10 + digit;
  }
  framing->content_length = length;
  return {};
}

void GatherConnection(std::string_view list, FramingFields* framing) {
  std::string_view member;
  while (NextListMember(&list, &member)) {
    if (EqualsIgnoreCase(member, "keep-alive")) {
      framing->keep_alive = true;
    } else if (EqualsIgnoreCase(member, "close")) {
      framing->close = true;
    } else if (EqualsIgnoreCase(member, "upgrade")) {
      framing->connection_upgrade = true;
    } else if (EqualsIgnoreCase(member, "te")) {
      framing->connection_te = true;
    } else {
      framing->connection_names_fields = true;
    }
  }
}

void GatherTe(std::string_view list, FramingFields* framing) {
  std::string_view member;
  while (NextListMember(&list, &member)) {
    if (EqualsIgnoreCase(member, "trailers")) framing->te_trailers = true;
  }
}

Refusal Gather(const Field& field, FramingFields* framing) {
  // No list of all cases: this asks for the few names that carry framing.
  if (field.id == FieldId::kOther) return {};
  if (field.id == FieldId::kHost) {
    ++framing->hosts;
    framing->host = field.value;
  } else if (field.id == FieldId::kConnection) {
    GatherConnection(field.value, framing);
  } else if (field.id == FieldId::kContentLength) {
    return GatherLength(field.value, framing);
  } else if (field.id == FieldId::kTransferEncoding) {
    ++framing->transfer_encodings;
    framing->chunked = EqualsIgnoreCase(field.value, "chunked");
    if (!framing->chunked) return {400, "bad_transfer_encoding"};
  } else if (field.id == FieldId::kUpgrade) {
    ++framing->upgrades;
    framing->upgrade = field.value;
  } else if (field.id == FieldId::kTe) {
    GatherTe(field.value, framing);
  } else if (field.id == FieldId::kExpect) {
    framing->expect = field.value;
  } else if (field.id == FieldId::kKeepAlive) {
    framing->keep_alive_value = field.value;
  }
  return {};
}

Refusal CheckFraming(const FramingFields& framing, int minor_version) {
  if (framing.transfer_encodings > 0) {
    if (framing.content_lengths > 0) return {400, "content_length_and_transfer_encoding"};
    if (framing.transfer_encodings > 1) return {400, "several_transfer_encodings"};
    if (minor_version == 0) return {400, "transfer_encoding_in_http_1_0"};
  }
  if (framing.content_lengths > 1) return {400, "several_content_lengths"};
  return {};
}

int OnField(llhttp_t* parser, const char* at, size_t size) {
  static_cast<std::vector<Field>*>(parser->data)
      ->push_back({{at, size}, {at + size, 0}, FieldId::kOther});
  return 0;
}

int OnValue(llhttp_t* parser, const char* at, size_t size) {
  static_cast<std::vector<Field>*>(parser->data)->back().value = {at, size};
  return 0;
}

// llhttp behind a first line. The first lines are read by our own parsers, since they must take any
// method and any minor version, and of targets and status lines only what is safe to pass on; so
// one template serves both kinds of message, with the stricter rules that llhttp has for requests.
struct Template {
  Template() {
    llhttp_settings_init(&settings);
    settings.on_header_field = OnField;
    settings.on_header_value = OnValue;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    constexpr std::string_view kLine = "POST / HTTP/1.1\r\n";
    RONDO_CHECK(llhttp_execute(&parser, kLine.data(), kLine.size()) == HPE_OK);
  }
  llhttp_settings_t settings;
  llhttp_t parser;
};

// Says why llhttp stopped. It has one error for many faults, so the lines are read once more,
// slowly.
Refusal Diagnose(std::string_view section, int minor_version) {
  FramingFields framing;
  while (section.size() > 2) {
    const size_t end = section.find("\r\n");
    const std::string_view line = section.substr(0, end);
    section.remove_prefix(end + 2);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {400, "header_without_colon"};
    const std::string_view name = line.substr(0, colon);
    if (!IsToken(name)) {
      const bool space = IsToken(TrimOws(name));
      return {400, space ? "space_before_colon" : "bad_header_name"};
    }
    const Refusal refusal =
        Gather({name, TrimOws(line.substr(colon + 1)), FieldIdOf(name)}, &framing);
    if (refusal) return refusal;
  }
  const Refusal refusal = CheckFraming(framing, minor_version);
  return refusal ? refusal : Refusal{400, "bad_header"};
}

// What is said of `fields`, whose names and values are there.
Refusal GatherAll(int minor_version, std::vector<Field>& fields, FieldSet& known,
                  FramingFields* framing) {
  for (Field& field : fields) {
    field.id = FieldIdOf(field.name);
    known.Add(field.id);
    const Refusal refusal = Gather(field, framing);
    if (refusal) return refusal;
  }
  return CheckFraming(*framing, minor_version);
}

}  // namespace

Refusal ParseHeaderSection(std::string_view section, size_t lines, int minor_version,
                           std::vector<Field>& fields, FieldSet& known, FramingFields* framing) {
  static const Template kTemplate;
  llhttp_t parser = kTemplate.parser;
  parser.data = &fields;
  const llhttp_errno_t error = llhttp_execute(&parser, section.data(), section.size());
  // Behind a head with Upgrade llhttp pauses: it has read all of it.
  if (error != HPE_OK && error != HPE_PAUSED_UPGRADE) return Diagnose(section, minor_version);
  // Two parsers that count differently are the very thing to refuse.
  if (fields.size() != lines) return {400, "bad_header"};
  for (Field& field : fields) field.value = TrimOws(field.value);
  return GatherAll(minor_version, fields, known, framing);
}

Refusal SplitOwnSection(std::string_view bytes, int minor_version, std::vector<Field>& fields,
                        FieldSet& known, FramingFields* framing, size_t* size) {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  const auto find = [](const char* from, const char* to, char wanted) {
    return static_cast<const char*>(std::memchr(from, wanted, static_cast<size_t>(to - from)));
  };
  *size = 0;
  for (;;) {
    const char* const line_end = find(p, end, '\r');
    if (line_end == nullptr || end - line_end < 2) return {};
    if (line_end == p) break;
    const char* const colon = find(p, line_end, ':');
    if (colon == nullptr || line_end - colon < 2) return {400, "bad_header"};
    fields.push_back({{p, static_cast<size_t>(colon - p)},
                      {colon + 2, static_cast<size_t>(line_end - colon - 2)},
                      FieldId::kOther});
    p = line_end + 2;
  }
  *size = static_cast<size_t>(p + 2 - bytes.data());
  return GatherAll(minor_version, fields, known, framing);
}

}  // namespace rondo::http
