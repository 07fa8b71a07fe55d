#include <array>

#include "connection_names.h"
#include "head_writer.h"
#include "rondo/http/forwarding.h"

namespace rondo::http {
namespace {

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
    // Known to be end-to-end: they pass even where Connection names them. A client must not be able
    // to strip what the backend relies on (RFC 9110 §7.6.1 forbids to name them).
    case FieldId::kVia:
    case FieldId::kAccept:
    case FieldId::kIdempotencyKey:
    case FieldId::kCookie:
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

constexpr auto kFates = [] {
  std::array<Fate, static_cast<size_t>(FieldId::kCount)> fates{};
  for (size_t i = 0; i < fates.size(); ++i) fates[i] = FateOf(static_cast<FieldId>(i));
  return fates;
}();

bool Passes(const RequestHead& head, const ForwardRequest& options, const Field& field, Fate fate) {
  switch (fate) {
    case Fate::kPass:
    case Fate::kUserAgent:
    case Fate::kReferer:
      return true;
    case Fate::kMaxForwards:
      return head.max_forwards < 0;
    case Fate::kDrop:
      return false;
    case Fate::kNameable:
      return !head.connection_names_fields || !IsNamedByConnection(head.fields, field.name);
    case Fate::kForChunked:
      return options.framing == Framing::kChunked;
    case Fate::kExpectation:
      // RFC 9110 §10.1.1: 100-continue is ignored in HTTP/1.0 and without a body; what else
      // somebody may expect is for the backend to judge.
      return head.minor_version > 0 &&
             (head.expect_continue || !EqualsIgnoreCase(field.value, "100-continue"));
    case Fate::kFromTrusted:
      return options.peer_trusted;
  }
  return false;
}

struct Output {
  HeadWriter writer;
  ForwardedRequest spans;

  TextSpan Record(std::string_view text) {
    const TextSpan span{writer.offset(), static_cast<uint32_t>(text.size())};
    writer.Text(text);
    return span;
  }
};

void WriteRequestLine(const RequestHead& head, const ForwardRequest& options, Output& out) {
  out.spans.method = out.Record(head.method);
  out.writer.Byte(' ');
  out.spans.target = out.Record(options.target.empty() ? head.path_and_query : options.target);
  out.writer.Text(" HTTP/1.1\r\nHost: ");
  out.spans.host = out.Record(head.host.empty() ? options.backend_host : head.host);
  out.writer.EndLine();
}

void WriteReceivedFields(const RequestHead& head, const ForwardRequest& options, Output& out) {
  for (const Field& field : head.fields) {
    const Fate fate = kFates[static_cast<size_t>(field.id)];
    if (!Passes(head, options, field, fate)) continue;
    out.writer.Field(field.name, field.value);
    const uint32_t size = static_cast<uint32_t>(field.value.size());
    const TextSpan span{out.writer.offset() - size - 2, size};
    if (fate == Fate::kUserAgent) out.spans.user_agent = span;
    if (fate == Fate::kReferer) out.spans.referer = span;
  }
}

void WriteMaxForwards(const RequestHead& head, HeadWriter& writer) {
  if (head.max_forwards <= 0) return;
  writer.Text("Max-Forwards: ");
  writer.Decimal(static_cast<uint64_t>(head.max_forwards - 1));
  writer.EndLine();
}

void WriteAddress(const IpAddress& address, HeadWriter& writer) {
  writer.Advance(address.Write(writer.Place()));
}

void WriteForwardedFor(const RequestHead& head, const ForwardRequest& options, HeadWriter& writer) {
  const bool keep = options.peer_trusted && head.known.Has(FieldId::kXForwardedFor);
  if (!keep && !options.peer) return;
  writer.Text("X-Forwarded-For: ");
  bool first = true;
  const auto separate = [&] {
    if (!first) writer.Text(", ");
    first = false;
  };
  if (keep) {
    for (const Field& field : head.fields) {
      if (field.id != FieldId::kXForwardedFor || field.value.empty()) continue;
      separate();
      writer.Text(field.value);
    }
  }
  if (options.peer) {
    separate();
    WriteAddress(*options.peer, writer);
  }
  writer.EndLine();
}

// What a trusted peer said, else `own`.
std::string_view Believed(const RequestHead& head, const ForwardRequest& options, FieldId id,
                          std::string_view own) {
  if (!options.peer_trusted) return own;
  const Field* field = head.Find(id);
  return field != nullptr && !field->value.empty() ? field->value : own;
}

void WriteForwardedFields(const RequestHead& head, const ForwardRequest& options, Output& out) {
  HeadWriter& writer = out.writer;
  WriteForwardedFor(head, options, writer);
  writer.Field("X-Forwarded-Proto",
               Believed(head, options, FieldId::kXForwardedProto, options.scheme));
  const std::string_view host = Believed(head, options, FieldId::kXForwardedHost, head.host);
  if (!host.empty()) writer.Field("X-Forwarded-Host", host);
  const std::optional<IpAddress>& client = options.client ? options.client : options.peer;
  if (client) {
    writer.Text("X-Real-IP: ");
    WriteAddress(*client, writer);
    writer.EndLine();
  }
  std::string_view id = Believed(head, options, FieldId::kXRequestId, options.request_id);
  if (!IsValidRequestId(id)) id = options.request_id;
  writer.Text("X-Request-Id: ");
  out.spans.request_id = out.Record(id);
  writer.EndLine();
  if (!options.via_name.empty()) {
    writer.Text(head.minor_version == 0 ? "Via: 1.0 " : "Via: 1.1 ");
    writer.Text(options.via_name);
    writer.EndLine();
  }
}

void WriteConnectionAndFraming(const RequestHead& head, const ForwardRequest& options,
                               HeadWriter& writer) {
  if (!options.upgrade.empty()) {
    writer.Text(head.takes_trailers ? "Connection: Upgrade, TE\r\n" : "Connection: Upgrade\r\n");
    writer.Field("Upgrade", options.upgrade);
  } else if (head.takes_trailers) {
    writer.Text("Connection: TE\r\n");
  }
  if (head.takes_trailers) writer.Text("TE: trailers\r\n");
  switch (options.framing) {
    case Framing::kNone:
    case Framing::kUntilClose:  // no request has it
      break;
    case Framing::kLength:
      writer.Text("Content-Length: ");
      writer.Decimal(options.content_length);
      writer.EndLine();
      break;
    case Framing::kChunked:
      writer.Text("Transfer-Encoding: chunked\r\n");
      break;
  }
  writer.Text(options.extra_fields);
  writer.EndLine();
}

}  // namespace

size_t ForwardedRequestBound(const RequestHead& head, const ForwardRequest& options) {
  // All fixed texts, two addresses and a length come to less than this.
  constexpr size_t kOwnBytesMax = 512;
  // A field may have come without the space behind its colon that we write.
  return kOwnBytesMax + head.head_bytes + head.fields.size() + head.host.size() +
         options.target.size() + options.scheme.size() + options.request_id.size() +
         options.via_name.size() + options.backend_host.size() + options.upgrade.size() +
         options.extra_fields.size();
}

size_t WriteForwardedRequest(const RequestHead& head, const ForwardRequest& options, char* out,
                             ForwardedRequest* spans) {
  Output output{HeadWriter(out), {}};
  WriteRequestLine(head, options, output);
  WriteReceivedFields(head, options, output);
  WriteMaxForwards(head, output.writer);
  WriteForwardedFields(head, options, output);
  WriteConnectionAndFraming(head, options, output.writer);
  if (spans != nullptr) *spans = output.spans;
  return output.writer.size();
}

std::string_view ChooseUpgrade(const RequestHead& head, std::span<const std::string> allowed) {
  std::string_view rest = head.upgrade;
  std::string_view member;
  while (NextListMember(&rest, &member)) {
    // h2c would hide requests from every rule of ours; a tunnel for it is never opened.
    if (!IsToken(member) && member.find('/') == std::string_view::npos) continue;
    if (EqualsIgnoreCase(member, "h2c")) continue;
    if (EqualsIgnoreCase(member, "websocket") && head.method != "GET") continue;
    for (const std::string& name : allowed) {
      if (EqualsIgnoreCase(member, name)) return member;
    }
  }
  return {};
}

void MakeRequestId(uint64_t a, uint64_t b, char out[32]) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (int i = 0; i < 16; ++i) {
    out[i] = kDigits[(a >> (60 - 4 * i)) & 15];
    out[16 + i] = kDigits[(b >> (60 - 4 * i)) & 15];
  }
}

bool IsValidRequestId(std::string_view id) {
  constexpr size_t kSizeMax = 128;
  if (id.empty() || id.size() > kSizeMax) return false;
  for (char c : id) {
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alphanumeric && std::string_view("-_.~:+/=@").find(c) == std::string_view::npos)
      return false;
  }
  return true;
}

}  // namespace rondo::http
