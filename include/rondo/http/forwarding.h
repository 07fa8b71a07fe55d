// What a proxy changes in heads on their way (RFC 9110 §7.6): hop-by-hop fields go, forwarded ones
// are set, framing is written anew. Each function writes a whole head into the caller's memory.
// Pure, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "rondo/base/address.h"
#include "rondo/http/header_edits.h"
#include "rondo/http/message.h"

namespace rondo::http {

struct ForwardRequest {
  // The other end of the connection; none where it has no address (unix sockets).
  std::optional<IpAddress> peer = std::nullopt;
  // The client as ClientAddress() found it; none: as peer.
  std::optional<IpAddress> client = std::nullopt;
  // The peer is one of trusted_proxies: what it says of X-Forwarded-*, X-Real-IP, Forwarded and
  // X-Request-Id is believed and kept. Else it is replaced.
  bool peer_trusted = false;
  std::string_view scheme = "http";  // of the connection: "http" or "https"
  std::string_view
      request_id;  // a new one, used unless a trusted peer sent a valid one; never empty
  std::string_view via_name = {};      // empty: no Via
  std::string_view backend_host = {};  // Host for requests that have none (HTTP/1.0)
  std::string_view target = {};        // instead of path_and_query where not empty (rewritten)
  std::string_view upgrade = {};       // from ChooseUpgrade(); empty: forwarded as a plain request
  // The route's edits, of what was received and of what we write ourselves; null: none.
  const CompiledEdits* edits = nullptr;
  // The name of a cookie that is ours and not for the backend: its pairs are taken out of Cookie,
  // and a Cookie field that has no other goes whole. Empty: none.
  std::string_view strip_cookie = {};
  // What the client sent of target, User-Agent and Referer, and the request id, are written behind
  // the head where the route forwards others or none, so that the log can tell.
  bool keep_received = false;
  // "Name: value\r\n" lines added at the end. They are written as they are.
  std::string_view extra_fields = {};
  // How the body will be framed towards the backend: kNone, kLength or kChunked.
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;
};

// Where things stand in a written head, for the access log, which outlives the received bytes.
struct TextSpan {
  uint32_t offset = 0;
  uint32_t size = 0;
  std::string_view In(const char* text) const { return {text + offset, size}; }
};
struct ForwardedRequest {
  // As forwarded; as received with keep_received.
  TextSpan method, target, host, request_id, user_agent, referer;
  // How many bytes behind the head were written that spans point to; 0 without keep_received.
  uint32_t kept_bytes = 0;
};

// At most this many bytes are written for the request, with those behind its head. O(1).
size_t ForwardedRequestBound(const RequestHead& head, const ForwardRequest& options);

// Writes an HTTP/1.1 request head to `out`, which has room for ForwardedRequestBound() bytes, and
// returns its length. Host comes first, the other fields in their order and with their names as
// received. `spans` may be null. `out` must not overlap the received bytes.
size_t WriteForwardedRequest(const RequestHead& head, const ForwardRequest& options, char* out,
                             ForwardedRequest* spans);

// The protocol to ask the backend for: the first member of head.upgrade that the route allows
// (case-insensitively), or empty. Never h2c, and websocket only for GET.
std::string_view ChooseUpgrade(const RequestHead& head, std::span<const std::string> allowed);

// The client behind a chain of proxies: while the nearest known address is in `trusted`, the next
// one to the left in X-Forwarded-For (or, without that field, in Forwarded, or X-Real-IP) is
// believed. The chain ends at the first untrusted address, or at anything that is not an address.
IpAddress ClientAddress(const RequestHead& head, const IpAddress& peer,
                        std::span<const Network> trusted);

// The same behind a peer that is trusted but has no address (a unix socket); none where nobody is
// named.
std::optional<IpAddress> ClientAddressBehind(const RequestHead& head,
                                             std::span<const Network> trusted);

// Whether a network of `networks` has the address.
bool IsIn(const IpAddress& address, std::span<const Network> networks);

enum class ConnectionField : uint8_t {
  kNone,       // persistent by version
  kClose,      // the connection ends with this response
  kKeepAlive,  // the client is HTTP/1.0 and asked for it
};

struct ForwardResponse {
  // Towards the client, as ResponseFraming() says.
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;
  ConnectionField connection = ConnectionField::kNone;
  std::string_view via_name = {};  // empty: no Via
  std::string_view date =
      {};  // an IMF-fixdate, written where the response has no Date; empty: none
  // The route's edits; null: none. Interim responses (1xx but 101) lose what is removed and gain
  // nothing.
  const CompiledEdits* edits = nullptr;
  std::string_view extra_fields = {};  // "Name: value\r\n" lines added at the end
};

// How a response's body is framed for a client of that minor version. For a 1.0 client a body of
// unknown length is kUntilClose, and the connection has to be closed behind it.
Framing ResponseFraming(const ResponseHead& head, int client_minor_version);

size_t ForwardedResponseBound(const ResponseHead& head, const ForwardResponse& options);

// Writes an HTTP/1.1 response head to `out`, which has room for ForwardedResponseBound() bytes, and
// returns its length. 1xx heads get no framing, Date or Connection; 101 says "Connection: upgrade"
// and keeps Upgrade. Where no body follows a HEAD or with 304, Content-Length stays as the backend
// sent it.
size_t WriteForwardedResponse(const ResponseHead& head, const ForwardResponse& options, char* out);

// Writes 32 lower-case hex digits for 128 bits.
void MakeRequestId(uint64_t a, uint64_t b, char out[32]);
// What is kept of a trusted peer's X-Request-Id: 1 to 128 of letters, digits and "-_.~:+/=@".
bool IsValidRequestId(std::string_view id);

}  // namespace rondo::http
