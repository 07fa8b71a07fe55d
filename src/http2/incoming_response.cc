#include "field_checks.h"
#include "rondo/http/grpc.h"
#include "rondo/http/local_reply.h"
#include "rondo/http/websocket.h"
#include "rondo/http2/incoming.h"

namespace rondo::http2 {
namespace {

using http::FieldId;
using http::Framing;

}  // namespace

void ResponseBuilder::Begin(const SessionOptions& options) {
  text_.Begin(options.header_bytes, HeadText::kLeadMax);
  refused_ = nullptr;
  content_length_ = 0;
  lines_max_ = options.header_count;
  lines_ = 0;
  status_ = 0;
  in_fields_ = has_content_length_ = wants_trailers_ = false;
}

void ResponseBuilder::Add(std::string_view name, std::string_view value) {
  if (refused_ != nullptr) return;
  if (name.starts_with(':')) {
    if (name != ":status" || in_fields_ || status_ != 0) return Refuse("pseudo_header");
    return AddStatus(value);
  }
  in_fields_ = true;
  if (status_ == 0) return Refuse("pseudo_header");
  const FieldId id = http::FieldIdOf(name);
  if (!IsFieldName(name, id)) return Refuse("header_name");
  if (!IsFieldValue(value)) return Refuse("header_value");
  AddListed(id, name, value);
}

void ResponseBuilder::AddStatus(std::string_view value) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (value.size() != 3) return Refuse("pseudo_header");
  for (char c : value) {
    if (!is_digit(c)) return Refuse("pseudo_header");
  }
  status_ = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
  // 101 says that HTTP/1.1 ends here (RFC 9113 §8.6).
  if (status_ < 100 || status_ > 599 || status_ == 101) Refuse("bad_status_code");
}

void ResponseBuilder::AddListed(FieldId id, std::string_view name, std::string_view value) {
  if (IsConnectionField(id) || id == FieldId::kTe) return Refuse("connection_header");
  if (id == FieldId::kContentLength) {
    if (has_content_length_ || !ReadLength(value, &content_length_)) {
      return Refuse("content_length");
    }
    has_content_length_ = true;
    return;
  }
  if (id == FieldId::kTrailer || (id == FieldId::kContentType && http::IsGrpc(value))) {
    wants_trailers_ = true;
  }
  // It has no meaning in HTTP/2 (RFC 8441 §5.1); where HTTP/1 needs one it is ours.
  if (id == FieldId::kOther && name == "sec-websocket-accept") {
    if (++lines_ > lines_max_) Refuse("too_many_headers");
    return;
  }
  AddLine(name, value);
}

IncomingHead ResponseBuilder::Finish(bool ends, const Asked& asked) {
  if (refused_ == nullptr && status_ == 0) Refuse("pseudo_header");
  IncomingHead head;
  if (refused_ == nullptr) {
    if (asked.tunnel && status_ / 100 == 2) {
      WriteTunnel(asked, &head);
    } else {
      WriteFraming(ends, asked.head, &head);
      WriteStatusLine(status_);
    }
  }
  text_.Text("\r\n");
  if (text_.overflowed()) Refuse("headers_too_large");
  if (refused_ != nullptr) {
    head = IncomingHead();
    head.refusal = {502, "bad_response", refused_};
    return head;
  }
  head.text = text_.view();
  return head;
}

void ResponseBuilder::WriteTunnel(const Asked& asked, IncomingHead* head) {
  head->framing = Framing::kUntilClose;
  char accept[http::kWebSocketAcceptBytes];
  http::WriteWebSocketAccept(asked.key, accept);
  AddLine("Connection", "upgrade");
  AddLine("Upgrade", "websocket");
  AddLine("Sec-WebSocket-Accept", {accept, sizeof(accept)});
  WriteStatusLine(101);
}

void ResponseBuilder::WriteFraming(bool ends, bool to_head, IncomingHead* head) {
  const bool has_body = content_length_ > 0;
  head->data_bytes = 0;
  if (status_ < 200) {
    head->interim = true;
    if (ends) return Refuse("interim_response_ends");
    if (has_body) Refuse("content_length");
    return;
  }
  if (status_ == 204) {
    if (has_body) Refuse("content_length");
    return;
  }
  const auto write_length = [this] {
    if (++lines_ > lines_max_) Refuse("too_many_headers");
    text_.NumberLine("Content-Length", content_length_);
  };
  if (status_ == 304 || to_head) {
    if (has_content_length_) write_length();
    return;
  }
  if (ends) {
    if (has_body) return Refuse("content_length");
    head->framing = Framing::kLength;
    return write_length();
  }
  head->data_bytes = has_content_length_ ? static_cast<int64_t>(content_length_) : -1;
  if (has_content_length_ && !wants_trailers_) {
    head->framing = Framing::kLength;
    head->content_length = content_length_;
    return write_length();
  }
  head->framing = Framing::kChunked;
  AddLine("Transfer-Encoding", "chunked");
}

void ResponseBuilder::WriteStatusLine(int status) {
  const std::string_view phrase = http::PhraseOf(status);
  char line[HeadText::kLeadMax];
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  std::memcpy(line, kVersion.data(), kVersion.size());
  char* p = line + kVersion.size();
  for (int unit : {100, 10, 1}) *p++ = static_cast<char>('0' + status / unit % 10);
  *p++ = ' ';
  if (!phrase.empty()) std::memcpy(p, phrase.data(), phrase.size());
  p += phrase.size();
  *p++ = '\r';
  *p++ = '\n';
  text_.FirstLine({line, static_cast<size_t>(p - line)});
}

void ResponseBuilder::AddLine(std::string_view name, std::string_view value) {
  if (++lines_ > lines_max_) return Refuse("too_many_headers");
  text_.Line(name, value);
  if (text_.overflowed()) Refuse("headers_too_large");
}

void ResponseBuilder::Refuse(const char* detail) {
  if (refused_ == nullptr) refused_ = detail;
}

}  // namespace rondo::http2
