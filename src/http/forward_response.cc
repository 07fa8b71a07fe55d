#include <array>

#include "connection_names.h"
#include "head_writer.h"
#include "rondo/http/forwarding.h"

namespace rondo::http {
namespace {

// Hop-by-hop, or written anew. All other names that we know are end-to-end and pass.
constexpr bool IsDropped(FieldId id) {
  return id == FieldId::kConnection || id == FieldId::kKeepAlive || id == FieldId::kContentLength ||
         id == FieldId::kTransferEncoding || id == FieldId::kTe || id == FieldId::kUpgrade ||
         id == FieldId::kProxyConnection || id == FieldId::kProxyAuthenticate ||
         id == FieldId::kProxyAuthorization || id == FieldId::kProxyAuthenticationInfo ||
         id == FieldId::kHttp2Settings;
}
constexpr uint64_t kDropped = [] {
  uint64_t bits = 0;
  for (unsigned i = 0; i < static_cast<unsigned>(FieldId::kCount); ++i) {
    if (IsDropped(static_cast<FieldId>(i))) bits |= uint64_t{1} << i;
  }
  return bits;
}();

bool TakesAway(const ForwardResponse& options, FieldId id) {
  return options.edits != nullptr && options.edits->Drops(id);
}

void WriteReceivedFields(const ResponseHead& head, const ForwardResponse& options,
                         HeadWriter& writer) {
  for (const Field& field : head.fields) {
    if ((kDropped >> static_cast<unsigned>(field.id) & 1) != 0) continue;
    if (field.id == FieldId::kTrailer && options.framing != Framing::kChunked) continue;
    if (options.edits != nullptr && options.edits->Drops(field.id, field.name)) continue;
    if (field.id == FieldId::kOther && head.connection_names_fields &&
        IsNamedByConnection(head.fields, field.name)) {
      continue;
    }
    writer.Field(field.name, field.value);
  }
}

void WriteLength(uint64_t length, HeadWriter& writer) {
  writer.Text("Content-Length: ");
  writer.Decimal(length);
  writer.EndLine();
}

void WriteFraming(const ResponseHead& head, const ForwardResponse& options, HeadWriter& writer) {
  switch (options.framing) {
    case Framing::kNone:
      // What a GET would have got (RFC 9110 §8.6); 204 must not have it.
      if (head.has_content_length && head.status >= 200 && head.status != 204) {
        WriteLength(head.content_length, writer);
      }
      break;
    case Framing::kLength:
      WriteLength(options.content_length, writer);
      break;
    case Framing::kChunked:
      writer.Text("Transfer-Encoding: chunked\r\n");
      break;
    case Framing::kUntilClose:
      break;
  }
}

void WriteConnection(const ForwardResponse& options, HeadWriter& writer) {
  // A body that ends with the connection ends the connection, whatever was asked for.
  const ConnectionField field =
      options.framing == Framing::kUntilClose ? ConnectionField::kClose : options.connection;
  switch (field) {
    case ConnectionField::kNone:
      break;
    case ConnectionField::kClose:
      writer.Text("Connection: close\r\n");
      break;
    case ConnectionField::kKeepAlive:
      writer.Text("Connection: keep-alive\r\n");
      break;
  }
}

}  // namespace

Framing ResponseFraming(const ResponseHead& head, int client_minor_version) {
  switch (head.framing) {
    case Framing::kNone:
      return Framing::kNone;
    case Framing::kLength:
      return Framing::kLength;
    case Framing::kChunked:
    case Framing::kUntilClose:
      return client_minor_version > 0 ? Framing::kChunked : Framing::kUntilClose;
  }
  return Framing::kUntilClose;
}

size_t ForwardedResponseBound(const ResponseHead& head, const ForwardResponse& options) {
  // The status line, and all fixed texts and numbers of ours, come to less than this.
  constexpr size_t kOwnBytesMax = 256;
  const size_t set = options.edits != nullptr ? options.edits->lines().size() : 0;
  return kOwnBytesMax + set + head.head_bytes + head.fields.size() + options.via_name.size() +
         options.date.size() + options.extra_fields.size();
}

size_t WriteForwardedResponse(const ResponseHead& head, const ForwardResponse& options, char* out) {
  HeadWriter writer(out);
  writer.Text("HTTP/1.1 ");
  writer.Decimal(static_cast<uint64_t>(head.status));
  writer.Byte(' ');
  writer.Text(head.reason_phrase);
  writer.EndLine();
  WriteReceivedFields(head, options, writer);
  if (!options.via_name.empty() && !TakesAway(options, FieldId::kVia)) {
    writer.Text(head.minor_version == 0 ? "Via: 1.0 " : "Via: 1.1 ");
    writer.Text(options.via_name);
    writer.EndLine();
  }
  if (head.status == 101) {
    writer.Text("Connection: upgrade\r\n");
    writer.Field("Upgrade", head.upgrade);
  } else if (!head.interim()) {
    if (!options.date.empty() && !head.known.Has(FieldId::kDate) &&
        !TakesAway(options, FieldId::kDate)) {
      writer.Field("Date", options.date);
    }
    WriteFraming(head, options, writer);
    WriteConnection(options, writer);
  }
  if (options.edits != nullptr && !head.interim()) writer.Text(options.edits->lines());
  writer.Text(options.extra_fields);
  writer.EndLine();
  return writer.size();
}

}  // namespace rondo::http
