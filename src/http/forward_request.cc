#include "connection_names.h"
#include "cookie_writer.h"
#include "head_writer.h"
#include "request_fields.h"
#include "rondo/http/forwarding.h"

namespace rondo::http {
namespace {

bool Passes(const RequestHead& head, const ForwardRequest& options, const Field& field, Fate fate) {
  switch (fate) {
    case Fate::kPass:
    case Fate::kUserAgent:
    case Fate::kReferer:
    case Fate::kCookie:
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
  ForwardedRequest spans = {};
  // What the access log asks for and the head does not have: written behind it.
  std::string_view user_agent = {}, referer = {}, request_id = {};

  TextSpan Record(std::string_view text) {
    const TextSpan span{writer.offset(), static_cast<uint32_t>(text.size())};
    writer.Text(text);
    return span;
  }
};

bool TakesAway(const ForwardRequest& options, FieldId id) {
  return options.edits != nullptr && options.edits->Drops(id);
}

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
    if (options.edits != nullptr && options.edits->Drops(field.id, field.name)) {
      if (fate == Fate::kUserAgent) out.user_agent = field.value;
      if (fate == Fate::kReferer) out.referer = field.value;
      continue;
    }
    if (fate == Fate::kCookie && !options.strip_cookie.empty()) {
      WriteCookieWithout(options.strip_cookie, field, out.writer);
      continue;
    }
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

void WriteRequestId(const RequestHead& head, const ForwardRequest& options, Output& out) {
  std::string_view id = Believed(head, options, FieldId::kXRequestId, options.request_id);
  // Ours, which most are, is not gone through byte by byte.
  if (id.data() != options.request_id.data() && !IsValidRequestId(id)) id = options.request_id;
  if (TakesAway(options, FieldId::kXRequestId)) {
    out.request_id = id;
    return;
  }
  out.writer.Text("X-Request-Id: ");
  out.spans.request_id = out.Record(id);
  out.writer.EndLine();
}

void WriteForwardedFields(const RequestHead& head, const ForwardRequest& options, Output& out) {
  HeadWriter& writer = out.writer;
  if (!TakesAway(options, FieldId::kXForwardedFor)) WriteForwardedFor(head, options, writer);
  if (!TakesAway(options, FieldId::kXForwardedProto)) {
    writer.Field("X-Forwarded-Proto",
                 Believed(head, options, FieldId::kXForwardedProto, options.scheme));
  }
  const std::string_view host = Believed(head, options, FieldId::kXForwardedHost, head.host);
  if (!host.empty() && !TakesAway(options, FieldId::kXForwardedHost)) {
    writer.Field("X-Forwarded-Host", host);
  }
  const std::optional<IpAddress>& client = options.client ? options.client : options.peer;
  if (client && !TakesAway(options, FieldId::kXRealIp)) {
    writer.Text("X-Real-IP: ");
    WriteAddress(*client, writer);
    writer.EndLine();
  }
  WriteRequestId(head, options, out);
  if (!options.via_name.empty() && !TakesAway(options, FieldId::kVia)) {
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
  if (options.edits != nullptr) writer.Text(options.edits->lines());
  writer.Text(options.extra_fields);
  writer.EndLine();
}

// Behind the head, for the access log: what the client sent where something else is forwarded.
void KeepReceived(const RequestHead& head, const ForwardRequest& options, Output& out) {
  const uint32_t begin = out.writer.offset();
  if (!options.target.empty()) out.spans.target = out.Record(head.path_and_query);
  if (!out.user_agent.empty()) out.spans.user_agent = out.Record(out.user_agent);
  if (!out.referer.empty()) out.spans.referer = out.Record(out.referer);
  if (!out.request_id.empty()) out.spans.request_id = out.Record(out.request_id);
  out.spans.kept_bytes = out.writer.offset() - begin;
}

}  // namespace

size_t ForwardedRequestBound(const RequestHead& head, const ForwardRequest& options) {
  // All fixed texts, two addresses and a length come to less than this.
  constexpr size_t kOwnBytesMax = 512;
  // A field may have come without the space behind its colon that we write.
  // What is kept for the log stands in the received head too, but for a request id.
  const size_t kept = options.keep_received ? head.head_bytes + options.request_id.size() : 0;
  const size_t set = options.edits != nullptr ? options.edits->lines().size() : 0;
  return kOwnBytesMax + kept + set + head.head_bytes + head.fields.size() + head.host.size() +
         options.target.size() + options.scheme.size() + options.request_id.size() +
         options.via_name.size() + options.backend_host.size() + options.upgrade.size() +
         options.extra_fields.size();
}

size_t WriteForwardedRequest(const RequestHead& head, const ForwardRequest& options, char* out,
                             ForwardedRequest* spans) {
  Output output{.writer = HeadWriter(out)};
  WriteRequestLine(head, options, output);
  WriteReceivedFields(head, options, output);
  WriteMaxForwards(head, output.writer);
  WriteForwardedFields(head, options, output);
  WriteConnectionAndFraming(head, options, output.writer);
  const size_t size = output.writer.size();
  if (options.keep_received) KeepReceived(head, options, output);
  if (spans != nullptr) *spans = output.spans;
  return size;
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

}  // namespace rondo::http
