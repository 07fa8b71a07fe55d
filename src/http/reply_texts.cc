// What statuses are called, and what reasons mean to a person who reads them in an answer.
#include <cstddef>
#include <iterator>

#include "rondo/http/local_reply.h"

namespace rondo::http {
namespace {

struct Phrase {
  int status;
  std::string_view text;
};
// RFC 9110 §15 and the registry of IANA: those that Rondo or a `respond` route may say, and
// interim ones, which come without a phrase over HTTP/2.
constexpr Phrase kPhrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

struct Message {
  std::string_view reason;
  std::string_view text;
};
constexpr Message kMessages[] = {
    // Routing and limits.
    {"no_route", "no route matches this request"},
    {"body_too_large", "the request body is larger than this server accepts"},
    {"request_header_timeout", "the request head did not arrive in time"},
    {"request_body_timeout", "the request body stopped arriving"},
    {"rate_limited", "too many requests; try again later"},
    {"denied", "this client is not allowed here"},
    {"uri_too_long", "the request target is longer than this server accepts"},
    {"request_too_slow", "the request arrived too slowly"},
    // Backends.
    {"no_backend_up", "no backend is available for this request"},
    {"queue_full", "too many requests are waiting for a backend"},
    {"queue_timeout", "no backend became free in time"},
    {"connect_refused", "the backend refused the connection"},
    {"connect_failed", "no connection to the backend could be made"},
    {"connect_timeout", "the connection to the backend was not made in time"},
    {"response_timeout", "the backend did not answer in time"},
    {"idle_timeout", "the backend stopped in the middle of its answer"},
    {"backend_reset", "the backend closed the connection before it had answered"},
    {"bad_response", "the backend's answer was not valid HTTP"},
    {"drained", "the backend was taken out of service"},
    {"total_timeout", "the exchange took longer than this route allows"},
    {"grpc_timeout", "the call took longer than its client waits"},
    {"upgrade_not_allowed", "this route does not lead to a WebSocket"},
    {"shutdown", "this server is shutting down"},
    // First lines.
    {"tls_on_plain_listener", "this port speaks plain HTTP, and the request began like TLS"},
    {"bad_method", "the request method is not a token"},
    {"bad_request_line", "the request line is not METHOD SP TARGET SP VERSION"},
    {"bad_http_version", "the request line does not end in an HTTP version"},
    {"http_version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here"},
    {"connect_not_supported", "CONNECT is not supported"},
    {"request_line_too_long", "the request line is longer than this server accepts"},
    {"blank_lines_before_request", "more than two blank lines stand before the request line"},
    {"bad_target", "the request target is not valid"},
    {"space_in_target", "the request target has a space in it"},
    {"fragment_in_target", "the request target has a fragment"},
    {"asterisk_without_options", "the target * is for OPTIONS only"},
    {"userinfo_in_target", "the request target has a user name in it"},
    {"bad_authority", "the authority of the request target is not valid"},
    {"absolute_target_without_path", "the request target has a query without a path"},
    // Header sections.
    {"headers_too_large", "the request headers are larger than this server accepts"},
    {"too_many_headers", "the request has more headers than this server accepts"},
    {"bare_cr", "a CR stands without LF"},
    {"bare_lf", "a LF stands without CR"},
    {"nul_byte", "a NUL byte stands in the request head"},
    {"control_character", "a control character stands in the request head"},
    {"folded_header", "a header is folded over two lines"},
    {"empty_header_name", "a header has no name"},
    {"bad_header_name", "a header name is not a token"},
    {"space_before_colon", "a space stands between a header name and its colon"},
    {"header_without_colon", "a header line has no colon"},
    {"bad_header", "a header is not valid"},
    {"missing_host", "an HTTP/1.1 request needs a Host header"},
    {"several_hosts", "the request has more than one Host header"},
    {"empty_host", "the Host header is empty"},
    {"bad_host", "the Host header is not valid"},
    // Header blocks of HTTP/2.
    {"header_name", "a header name is not a token in lower case"},
    {"header_value", "a header value has a control character in it, or white space at its ends"},
    {"connection_header", "a header belongs to connections of HTTP/1 and has no place in HTTP/2"},
    {"pseudo_header", "a pseudo-header is missing, doubled, misplaced, unknown or not valid"},
    {"no_authority", "the request names no authority, or one with a user name in it"},
    {"authority_and_host_differ", "the authority and the Host header name different places"},
    {"content_length", "Content-Length is malformed, doubled, or not what comes"},
    {"connect_protocol", "an extended CONNECT is taken for WebSocket only"},
    // Bodies.
    {"content_length_and_transfer_encoding",
     "Content-Length and Transfer-Encoding exclude each other"},
    {"several_content_lengths", "the request has more than one Content-Length"},
    {"empty_content_length", "Content-Length is empty"},
    {"bad_content_length", "Content-Length is not a decimal number"},
    {"content_length_overflow", "Content-Length is too large a number"},
    {"bad_transfer_encoding", "the only Transfer-Encoding taken is chunked"},
    {"several_transfer_encodings", "the request has more than one Transfer-Encoding"},
    {"transfer_encoding_in_http_1_0", "HTTP/1.0 has no Transfer-Encoding"},
    {"bad_chunk_size", "a chunk size is not a hexadecimal number"},
    {"chunk_size_overflow", "a chunk size is too large a number"},
    {"bad_chunk_extension", "a chunk extension has a control character in it"},
    {"chunk_extension_too_long", "a chunk extension is too long"},
    {"chunk_longer_than_its_size", "a chunk does not end where its size says"},
    {"trailers_too_large", "the trailers are larger than this server accepts"},
    {"too_many_trailers", "there are more trailers than this server accepts"},
};

// The second text of a reason would never be seen.
consteval bool EachReasonStandsOnce() {
  for (size_t i = 0; i < std::size(kMessages); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (kMessages[i].reason == kMessages[j].reason) return false;
    }
  }
  return true;
}
static_assert(EachReasonStandsOnce());

std::string_view MessageOfStatus(int status) {
  if (status >= 500) return "the request could not be served";
  return "the request could not be accepted";
}

}  // namespace

std::string_view PhraseOf(int status) {
  for (const Phrase& phrase : kPhrases) {
    if (phrase.status == status) return phrase.text;
  }
  return "";
}

std::string_view MessageOf(std::string_view reason, int status) {
  for (const Message& message : kMessages) {
    if (message.reason == reason) return message.text;
  }
  return MessageOfStatus(status);
}

}  // namespace rondo::http
