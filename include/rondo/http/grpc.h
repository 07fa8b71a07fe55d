// What a proxy has to know of gRPC over HTTP/2 (PROTOCOL-HTTP2.md of grpc): its calls are POSTs of
// a content type of their own, which say how long their client waits, and whose outcome stands in a
// field of its own rather than in the status. Pure, no allocation.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "rondo/base/time.h"

namespace rondo::http {

// "application/grpc", with a suffix (+proto) or parameters. gRPC-Web is not meant: its clients
// understand plain answers.
bool IsGrpc(std::string_view content_type);

// The value of grpc-timeout: one to eight digits and a unit (H, M, S, m, u, n). Nothing where it is
// malformed, which its server is to judge, or longer than anybody waits.
std::optional<Duration> ParseGrpcTimeout(std::string_view value);

// The code of gRPC that says to a client what a status of ours says.
int GrpcStatusOf(int http_status);

// Writes `text` as grpc-message wants it, percent-encoded; at most 3 bytes for each of the text.
// Returns the length.
size_t WriteGrpcMessage(std::string_view text, char* out);
size_t GrpcMessageSize(std::string_view text);

}  // namespace rondo::http
