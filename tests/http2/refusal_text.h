// What a test compares a refusal by.
#pragma once

#include <string>

#include "rondo/http/message.h"

namespace rondo::http2 {

// "400 header_name", "502 bad_response: header_name"; empty: it is none.
inline std::string RefusalText(const http::Refusal& refusal) {
  if (!refusal) return "";
  std::string text = std::to_string(refusal.status) + " " + refusal.reason;
  if (refusal.detail != nullptr) text.append(": ").append(refusal.detail);
  return text;
}

}  // namespace rondo::http2
