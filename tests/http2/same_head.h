// Whether text of ours means the same to HTTP/1's strict parsers and to their quick way for it.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "rondo/http/h1_parser.h"

namespace rondo::http2 {

inline bool SameFields(const std::vector<http::Field>& a, const std::vector<http::Field>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const http::Field& left, const http::Field& right) {
                      return left.name == right.name && left.value == right.value &&
                             left.id == right.id;
                    });
}

template <typename Head>
bool SameMessage(const Head& a, const Head& b) {
  for (const http::Field& field : a.fields) {
    if (!b.known.Has(field.id)) return false;
  }
  return SameFields(a.fields, b.fields) && a.minor_version == b.minor_version &&
         a.framing == b.framing && a.content_length == b.content_length &&
         a.keep_alive == b.keep_alive && a.upgrade == b.upgrade && a.head_bytes == b.head_bytes &&
         a.connection_names_fields == b.connection_names_fields;
}

inline bool SameHead(const http::RequestHead& a, const http::RequestHead& b) {
  return SameMessage(a, b) && a.method == b.method && a.target == b.target &&
         a.path_and_query == b.path_and_query && a.host == b.host &&
         a.expect_continue == b.expect_continue && a.idempotent == b.idempotent &&
         a.is_head == b.is_head && a.takes_trailers == b.takes_trailers &&
         a.max_forwards == b.max_forwards;
}

inline bool SameHead(const http::ResponseHead& a, const http::ResponseHead& b) {
  return SameMessage(a, b) && a.status == b.status && a.reason_phrase == b.reason_phrase &&
         a.has_content_length == b.has_content_length &&
         a.keepalive_timeout_s == b.keepalive_timeout_s;
}

// Of what Parse() made of `text`. It is also tried without its last byte, when it is not all there.
template <typename Head, typename ParseOwn>
bool OwnWayAgrees(std::string_view text, const http::HeadResult& strict, const Head& head,
                  ParseOwn parse_own) {
  Head own;
  const http::HeadResult result = parse_own(text, own);
  if (result.status != strict.status) return false;
  if (result.status != http::HeadStatus::kComplete) {
    return result.refusal.status == strict.refusal.status &&
           std::string_view(result.refusal.what()) == strict.refusal.what();
  }
  if (result.head_bytes != strict.head_bytes || !SameHead(own, head)) return false;
  return parse_own(text.substr(0, strict.head_bytes - 1), own).status ==
         http::HeadStatus::kNeedMore;
}

inline bool OwnWayAgrees(std::string_view text, const http::HeadResult& strict,
                         const http::RequestHead& head) {
  return OwnWayAgrees(text, strict, head, [](std::string_view bytes, http::RequestHead& own) {
    return http::RequestParser().ParseOwn(bytes, own);
  });
}

inline bool OwnWayAgrees(std::string_view text, const http::HeadResult& strict,
                         const http::ResponseHead& head, bool to_head, bool to_tunnel) {
  return OwnWayAgrees(text, strict, head, [&](std::string_view bytes, http::ResponseHead& own) {
    return http::ResponseParser().ParseOwn(bytes, to_head, to_tunnel, own);
  });
}

}  // namespace rondo::http2
