#include "rondo/http/local_reply.h"

#include "head_writer.h"
#include "rondo/http/grpc.h"

namespace rondo::http {
namespace {

// How many bytes EscapeJson() writes for `text`.
size_t EscapedSize(std::string_view text) {
  size_t size = 0;
  for (char c : text) {
    const uint8_t byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      size += 2;
    } else if (byte < 0x20 || byte >= 0x7f) {
      size += 6;
    } else {
      size += 1;
    }
  }
  return size;
}

// JSON's escapes (RFC 8259 §7). Bytes from 0x7f up are written as if they were Latin-1, so that the
// answer is valid JSON whatever a message quotes.
void EscapeJson(std::string_view text, HeadWriter& writer) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (char c : text) {
    const uint8_t byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      writer.Byte('\\');
      writer.Byte(c);
    } else if (byte < 0x20 || byte >= 0x7f) {
      writer.Text("\\u00");
      writer.Byte(kDigits[byte >> 4]);
      writer.Byte(kDigits[byte & 15]);
    } else {
      writer.Byte(c);
    }
  }
}

constexpr std::string_view kJsonCode = "{\"error\":{\"code\":\"";
constexpr std::string_view kJsonMessage = "\",\"message\":\"";
constexpr std::string_view kJsonId = "\",\"request_id\":\"";
constexpr std::string_view kJsonEnd = "\"}}\n";

struct Body {
  const LocalReply& reply;
  std::string_view message;

  size_t Size() const {
    switch (reply.format) {
      case ReplyFormat::kJson:
        return kJsonCode.size() + EscapedSize(reply.reason) + kJsonMessage.size() +
               EscapedSize(message) + kJsonEnd.size() +
               (reply.request_id.empty() ? 0 : kJsonId.size() + EscapedSize(reply.request_id));
      case ReplyFormat::kPlainText:
        return reply.reason.size() + 2 + message.size() + 1 +
               (reply.request_id.empty() ? 0 : kTextId.size() + reply.request_id.size() + 1);
      case ReplyFormat::kGrpc:
        return 0;
    }
    return 0;
  }

  void Write(HeadWriter& writer) const {
    switch (reply.format) {
      case ReplyFormat::kJson:
        writer.Text(kJsonCode);
        EscapeJson(reply.reason, writer);
        writer.Text(kJsonMessage);
        EscapeJson(message, writer);
        if (!reply.request_id.empty()) {
          writer.Text(kJsonId);
          EscapeJson(reply.request_id, writer);
        }
        writer.Text(kJsonEnd);
        break;
      case ReplyFormat::kPlainText:
        writer.Text(reply.reason);
        writer.Text(": ");
        writer.Text(message);
        if (!reply.request_id.empty()) {
          writer.Text(kTextId);
          writer.Text(reply.request_id);
          writer.Byte(')');
        }
        writer.Byte('\n');
        break;
      case ReplyFormat::kGrpc:
        break;
    }
  }

  // What gRPC has instead of a body: the size of grpc-message, and the two fields.
  size_t GrpcSize() const {
    return GrpcMessageSize(reply.reason) + 2 + GrpcMessageSize(message) +
           (reply.request_id.empty() ? 0 : kTextId.size() + GrpcMessageSize(reply.request_id) + 1);
  }
  void WriteGrpc(HeadWriter& writer) const {
    const auto add = [&writer](std::string_view text) {
      writer.Advance(WriteGrpcMessage(text, writer.Place()));
    };
    writer.Text("grpc-status: ");
    writer.Decimal(static_cast<uint64_t>(GrpcStatusOf(reply.status)));
    writer.EndLine();
    writer.Text("grpc-message: ");
    add(reply.reason);
    writer.Text(": ");
    add(message);
    if (!reply.request_id.empty()) {
      writer.Text(kTextId);
      add(reply.request_id);
      writer.Byte(')');
    }
    writer.EndLine();
  }

  static constexpr std::string_view kTextId = " (request ";
};

void WriteStatusLine(int status, HeadWriter& writer) {
  writer.Text("HTTP/1.1 ");
  writer.Decimal(static_cast<uint64_t>(status));
  writer.Byte(' ');
  writer.Text(PhraseOf(status));
  writer.EndLine();
}

void WriteBodyLength(uint64_t length, HeadWriter& writer) {
  writer.Text("Content-Length: ");
  writer.Decimal(length);
  writer.EndLine();
}

void WriteConnection(bool close, bool keep_alive, HeadWriter& writer) {
  if (close) {
    writer.Text("Connection: close\r\n");
  } else if (keep_alive) {
    writer.Text("Connection: keep-alive\r\n");
  }
}

// Fixed texts, phrases and numbers of a head come to less than this.
constexpr size_t kHeadBytesMax = 320;

}  // namespace

size_t WriteLocalReply(const LocalReply& reply, char* out, size_t capacity) {
  const Body body{reply,
                  reply.message.empty() ? MessageOf(reply.reason, reply.status) : reply.message};
  const bool grpc = reply.format == ReplyFormat::kGrpc;
  const size_t body_bytes = body.Size();
  if (kHeadBytesMax + reply.date.size() + reply.extra_fields.size() + body_bytes +
          (grpc ? body.GrpcSize() : 0) >
      capacity) {
    return 0;
  }
  HeadWriter writer(out);
  WriteStatusLine(grpc ? 200 : reply.status, writer);
  switch (reply.format) {
    case ReplyFormat::kJson:
      writer.Text("Content-Type: application/json\r\n");
      break;
    case ReplyFormat::kPlainText:
      writer.Text("Content-Type: text/plain; charset=utf-8\r\n");
      break;
    case ReplyFormat::kGrpc:
      writer.Text("Content-Type: application/grpc\r\n");
      body.WriteGrpc(writer);
      break;
  }
  WriteBodyLength(body_bytes, writer);
  // An error says something of this moment only.
  writer.Text("Cache-Control: no-store\r\n");
  if (!reply.date.empty()) writer.Field("Date", reply.date);
  if (reply.retry_after_s >= 0) {
    writer.Text("Retry-After: ");
    writer.Decimal(static_cast<uint64_t>(reply.retry_after_s));
    writer.EndLine();
  }
  writer.Text(reply.extra_fields);
  WriteConnection(reply.close, reply.keep_alive, writer);
  writer.EndLine();
  if (!reply.head_only) body.Write(writer);
  return writer.size();
}

ReplyFormat ReplyFormatFor(const RequestHead& head) {
  const Field* content = head.Find(FieldId::kContentType);
  if (content != nullptr && IsGrpc(content->value)) return ReplyFormat::kGrpc;
  const Field* accept = head.Find(FieldId::kAccept);
  if (accept == nullptr) return ReplyFormat::kJson;
  bool text = false;
  std::string_view rest = accept->value;
  std::string_view member;
  while (NextListMember(&rest, &member)) {
    const std::string_view type = TrimOws(member.substr(0, member.find(';')));
    if (EqualsIgnoreCase(type, "application/json") || EqualsIgnoreCase(type, "application/*") ||
        EqualsIgnoreCase(type, "application/problem+json")) {
      return ReplyFormat::kJson;
    }
    if (EqualsIgnoreCase(type, "text/plain") || EqualsIgnoreCase(type, "text/*") ||
        EqualsIgnoreCase(type, "text/html")) {
      text = true;
    }
  }
  return text ? ReplyFormat::kPlainText : ReplyFormat::kJson;
}

size_t WriteFixedReplyHead(const FixedReply& reply, char* out, size_t capacity) {
  const std::string_view set = reply.edits != nullptr ? reply.edits->lines() : std::string_view();
  if (kHeadBytesMax + reply.content_type.size() + reply.location.size() + reply.date.size() +
          set.size() + reply.extra_fields.size() >
      capacity) {
    return 0;
  }
  HeadWriter writer(out);
  const auto write = [&](FieldId id, std::string_view name, std::string_view value) {
    if (value.empty() || (reply.edits != nullptr && reply.edits->Drops(id))) return;
    writer.Field(name, value);
  };
  WriteStatusLine(reply.status, writer);
  if (reply.status != 204 && reply.status != 304) {
    write(FieldId::kContentType, "Content-Type", reply.content_type);
    WriteBodyLength(reply.body_bytes, writer);
  }
  write(FieldId::kLocation, "Location", reply.location);
  write(FieldId::kDate, "Date", reply.date);
  writer.Text(set);
  writer.Text(reply.extra_fields);
  WriteConnection(reply.close, reply.keep_alive, writer);
  writer.EndLine();
  return writer.size();
}

}  // namespace rondo::http
