// HTTP/1.1 messages that this program itself wrote, read back as they are to go out over HTTP/2:
// the fields of the head, the bytes of the body without their framing, the trailers. Pure;
// allocates nothing on the steady path.
//
// It reads only what our own writers produce (http/forwarding.h, http/local_reply.h, and the like
// of health checks): the strict parsers have been passed already. What it does not understand it
// says to be bad, and nothing of it is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/http2/types.h"

namespace rondo::http2 {

struct OutgoingField {
  std::string_view name;  // in lower case; pseudo-headers come first
  std::string_view value;
  bool sensitive = false;  // never to be indexed by the compressor (RFC 7541 §7.1): authorization,
                           // set-cookie and the like
};

struct OutgoingHead {
  std::span<const OutgoingField> fields;
  bool interim = false;  // responses: 1xx, another head follows
  bool ends = false;     // no body and no trailers follow
  // Requests: RFC 8441's extended CONNECT, made of a GET with Upgrade: websocket. Responses: 101,
  // which became 200.
  bool tunnel = false;
  int status = 0;            // responses
  bool head_method = false;  // requests: HEAD
  // Requests for a tunnel: their Sec-WebSocket-Key.
  std::string_view websocket_key;
};

class MessageReader {
 public:
  enum class Kind : uint8_t { kRequest, kResponse };
  // Before the first byte of a message. `to_head`: a response to HEAD, which has no body whatever
  // its head says. `to_tunnel`: a response to an extended CONNECT: 101 begins the tunnel; any other
  // final status of 2xx would wrongly be taken for that, so it goes out as 502 without its body.
  // `scheme`: what :scheme is to say of requests.
  void Begin(Kind kind, bool to_head, bool to_tunnel, std::string_view scheme);

  enum class What : uint8_t {
    kNeedMore,  // everything given was taken
    kHead,      // head() is complete; valid until the next Read
    kData,      // `data`: bytes of the body, in the given bytes
    kEnd,       // the message is complete; trailers() are valid until the next Begin
    kBad,       // not a message of ours
  };
  struct Step {
    What what = What::kNeedMore;
    size_t consumed = 0;  // of the given bytes, what `data` covers included
    std::string_view data;
  };
  // Goes one step further. A head that is not whole in `bytes` is collected, so that it may come in
  // pieces. `data_max`: the most bytes of body to hand out in this step. After a head with `ends`,
  // or after the last byte of a body with a length, the next Read says kEnd without being given
  // anything. In a tunnel all is data, and the owner ends it.
  Step Read(std::string_view bytes, size_t data_max);

  const OutgoingHead& head() const;
  std::span<const OutgoingField> trailers() const;
  // A body with a length: what of it is still to come. 0 for all else.
  uint64_t remaining() const;

 private:
};

}  // namespace rondo::http2
