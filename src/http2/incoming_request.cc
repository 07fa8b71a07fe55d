#include "field_checks.h"
#include "rondo/http/authority.h"
#include "rondo/http/grpc.h"
#include "rondo/http/websocket.h"
#include "rondo/http2/incoming.h"

namespace rondo::http2 {
namespace {

using http::FieldId;
using http::Framing;

// What a rare large value has taken is given back.
void Empty(std::string& text) {
  constexpr size_t kKeptBytes = 8192;
  if (text.capacity() > kKeptBytes) std::string().swap(text);
  text.clear();
}

// The methods that mean to send something, which servers may not believe without a length.
bool MeansABody(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

// RFC 9113 §8.3.1, and as strict as the target of HTTP/1.
bool IsPath(std::string_view path) {
  if (path != "*" && !path.starts_with('/')) return false;
  return http::IsVisibleAscii(path) && path.find('#') == std::string_view::npos;
}

}  // namespace

void RequestBuilder::Begin(const SessionOptions& options) {
  text_.Begin(options.header_bytes);
  for (std::string* text : {&method_, &path_, &authority_, &cookie_}) Empty(*text);
  refusal_ = {};
  content_length_ = 0;
  bytes_max_ = options.header_bytes;
  lines_max_ = options.header_count;
  lines_ = 0;
  protocol_ = Protocol::kNone;
  in_fields_ = has_scheme_ = has_host_ = has_cookie_ = false;
  has_content_length_ = takes_trailers_ = wants_trailers_ = false;
}

void RequestBuilder::Add(std::string_view name, std::string_view value) {
  if (refusal_) return;
  if (name.starts_with(':')) return AddPseudo(name, value);
  if (!in_fields_) BeginFields();
  if (refusal_) return;
  const FieldId id = http::FieldIdOf(name);
  if (!IsFieldName(name, id)) return Refuse(400, "header_name");
  if (!IsFieldValue(value)) return Refuse(400, "header_value");
  if (IsConnectionField(id)) return Refuse(400, "connection_header");
  // No list of all cases: these few are not written as they came.
  if (id == FieldId::kHost || id == FieldId::kContentLength || id == FieldId::kCookie ||
      id == FieldId::kTe) {
    return AddListed(id, value);
  }
  if (id == FieldId::kTrailer || (id == FieldId::kContentType && http::IsGrpc(value))) {
    wants_trailers_ = true;
  }
  if (is_tunnel() && name == "sec-websocket-key") {
    // RFC 8441 §5.1: it has no meaning here, and HTTP/1 needs one of ours.
    if (++lines_ > lines_max_) Refuse(431, "too_many_headers");
    return;
  }
  AddLine(name, value);
}

IncomingHead RequestBuilder::Finish(bool ends, std::string_view key) {
  if (!in_fields_ && !refusal_) BeginFields();
  if (!refusal_ && authority_.empty() && !has_host_) Refuse(400, "no_authority");
  if (!refusal_ && has_cookie_) AddLine("cookie", cookie_);
  if (!refusal_ && is_tunnel()) WriteTunnel(key);
  if (!refusal_ && takes_trailers_) {
    if (!is_tunnel()) AddLine("Connection", "TE");
    AddLine("TE", "trailers");
  }
  IncomingHead head;
  if (!refusal_) head = WriteFraming(ends);
  text_.Text("\r\n");
  if (!refusal_ && text_.overflowed()) Refuse(431, "headers_too_large");
  if (refusal_) {
    head = IncomingHead();
    head.refusal = refusal_;
    return head;
  }
  head.text = text_.view();
  return head;
}

void RequestBuilder::AddPseudo(std::string_view name, std::string_view value) {
  const auto malformed = [this] { Refuse(400, "pseudo_header"); };
  if (in_fields_ || value.empty()) return malformed();
  if (name == ":method") {
    if (!method_.empty() || !http::IsToken(value)) return malformed();
    if (value.size() > bytes_max_) return Refuse(414, "request_line_too_long");
    method_ = value;
  } else if (name == ":path") {
    if (!path_.empty() || !IsPath(value)) return malformed();
    if (value.size() > bytes_max_) return Refuse(414, "request_line_too_long");
    path_ = value;
  } else if (name == ":scheme") {
    // What else there is, is for no proxy of HTTP.
    if (has_scheme_) return malformed();
    has_scheme_ = http::EqualsIgnoreCase(value, "http") || http::EqualsIgnoreCase(value, "https");
    if (!has_scheme_) return malformed();
  } else if (name == ":authority") {
    if (!authority_.empty()) return malformed();
    if (!http::IsValidAuthority(value)) {
      if (value.find('@') != std::string_view::npos) return Refuse(400, "no_authority");
      return malformed();
    }
    if (value.size() > bytes_max_) return Refuse(431, "headers_too_large");
    authority_ = value;
  } else if (name == ":protocol") {
    if (protocol_ != Protocol::kNone || !http::IsToken(value)) return malformed();
    protocol_ =
        http::EqualsIgnoreCase(value, "websocket") ? Protocol::kWebSocket : Protocol::kOther;
  } else {
    malformed();
  }
}

// All pseudo-headers are here: what they say is written.
void RequestBuilder::BeginFields() {
  in_fields_ = true;
  const bool is_connect = method_ == "CONNECT";
  const bool has_target = has_scheme_ && !path_.empty();
  if (is_connect) {
    CheckConnect();
  } else if (method_.empty() || !has_target || protocol_ != Protocol::kNone ||
             (path_ == "*" && method_ != "OPTIONS")) {
    Refuse(400, "pseudo_header");
  }
  if (refusal_) return;
  text_.Text(is_tunnel() ? "GET" : method_);
  text_.Text(" ");
  text_.Text(is_connect && !is_tunnel() ? authority_ : path_);
  text_.Text(" HTTP/1.1\r\n");
  if (text_.overflowed()) return Refuse(414, "request_line_too_long");
  if (!authority_.empty()) AddLine("Host", authority_);
}

// RFC 9113 §8.5, RFC 8441 §4.
void RequestBuilder::CheckConnect() {
  switch (protocol_) {
    case Protocol::kNone:
      if (has_scheme_ || !path_.empty() || authority_.empty()) Refuse(400, "pseudo_header");
      return;
    case Protocol::kWebSocket:
    case Protocol::kOther:
      break;
  }
  if (!has_scheme_ || !path_.starts_with('/')) return Refuse(400, "pseudo_header");
  if (!is_tunnel()) Refuse(501, "connect_protocol");
}

void RequestBuilder::AddListed(FieldId id, std::string_view value) {
  if (id == FieldId::kHost) {
    AddHost(value);
  } else if (id == FieldId::kContentLength) {
    if (has_content_length_ || !ReadLength(value, &content_length_)) {
      return Refuse(400, "content_length");
    }
    has_content_length_ = true;
  } else if (id == FieldId::kTe) {
    if (!http::EqualsIgnoreCase(value, "trailers")) return Refuse(400, "connection_header");
    if (takes_trailers_ && ++lines_ > lines_max_) return Refuse(431, "too_many_headers");
    takes_trailers_ = true;
  } else if (value.empty()) {
    if (++lines_ > lines_max_) Refuse(431, "too_many_headers");
  } else {
    if (cookie_.size() + value.size() > bytes_max_) return Refuse(431, "headers_too_large");
    if (has_cookie_) cookie_.append("; ");
    cookie_.append(value);
    has_cookie_ = true;
  }
}

void RequestBuilder::AddHost(std::string_view value) {
  if (has_host_) return Refuse(400, "several_hosts");
  has_host_ = true;
  if (!http::IsValidAuthority(value)) return Refuse(400, "bad_host");
  if (authority_.empty()) return AddLine("Host", value);
  // "example.com:443" may be the same place as "example.com", but not to everybody.
  if (!http::EqualsIgnoreCase(authority_, value)) Refuse(400, "authority_and_host_differ");
}

void RequestBuilder::AddLine(std::string_view name, std::string_view value) {
  if (++lines_ > lines_max_) return Refuse(431, "too_many_headers");
  text_.Line(name, value);
  if (text_.overflowed()) Refuse(431, "headers_too_large");
}

void RequestBuilder::WriteTunnel(std::string_view key) {
  AddLine("Connection", takes_trailers_ ? "Upgrade, TE" : "Upgrade");
  AddLine("Upgrade", "websocket");
  char text[http::kWebSocketKeyBytes];
  http::WriteWebSocketKey(key, text);
  AddLine("Sec-WebSocket-Key", {text, sizeof(text)});
}

IncomingHead RequestBuilder::WriteFraming(bool ends) {
  IncomingHead head;
  if (is_tunnel()) {
    // Bytes of the tunnel are no content that could have a length.
    if (has_content_length_) Refuse(400, "content_length");
    head.framing = Framing::kUntilClose;
    return head;
  }
  if (method_ == "CONNECT") return head;
  if (has_content_length_ || (ends && MeansABody(method_))) {
    if (ends && content_length_ > 0) Refuse(400, "content_length");
    head.data_bytes = static_cast<int64_t>(content_length_);
  } else if (ends) {
    head.data_bytes = 0;
    return head;
  }
  if (ends || (has_content_length_ && !wants_trailers_)) {
    head.framing = Framing::kLength;
    head.content_length = content_length_;
    if (++lines_ > lines_max_) Refuse(431, "too_many_headers");
    text_.NumberLine("Content-Length", content_length_);
    return head;
  }
  // HTTP/1.1 has no place for trailers behind a length.
  head.framing = Framing::kChunked;
  AddLine("Transfer-Encoding", "chunked");
  return head;
}

void RequestBuilder::Refuse(int status, const char* reason) {
  if (!refusal_) refusal_ = {status, reason};
}

}  // namespace rondo::http2
