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

struct OutgoingSection;

struct OutgoingField {
  std::string_view name;  // in lower case; pseudo-headers come first
  std::string_view value;
  bool sensitive = false;  // never to be indexed by the compressor (RFC 7541 §7.1): authorization,
                           // set-cookie and the like
  bool name_is_static = false;  // it need not be copied until it is sent
};

struct OutgoingHead {
  std::span<const OutgoingField> fields;
  bool interim = false;  // responses: 1xx, another head follows
  bool ends = false;     // no body and no trailers follow
  // Requests: RFC 8441's extended CONNECT, made of a GET with Upgrade: websocket. Responses: 101,
  // which became 200.
  bool tunnel = false;
  bool head_method = false;  // requests: HEAD
  // Requests for a tunnel: their Sec-WebSocket-Key.
  std::string_view websocket_key;
};

// What readers need only while they read, so that each of them is small: one for all readers of a
// thread. It outlives them.
class ReaderScratch {
 public:
  ReaderScratch() = default;
  ReaderScratch(const ReaderScratch&) = delete;
  ReaderScratch& operator=(const ReaderScratch&) = delete;

 private:
  friend class MessageReader;
  OutgoingHead head_;
  std::vector<OutgoingField> fields_;
  std::string names_;                // those that came in upper case
  std::vector<std::string> spares_;  // for readers whose head or trailers come in pieces
};

class MessageReader {
 public:
  enum class Kind : uint8_t { kRequest, kResponse };
  explicit MessageReader(ReaderScratch& scratch) : scratch_(&scratch) {}
  MessageReader(MessageReader&&) = default;
  MessageReader& operator=(MessageReader&&) = default;

  // Before the first byte of a message. `to_head`: a response to HEAD, which has no body whatever
  // its head says. `to_tunnel`: a response to an extended CONNECT: 101 begins the tunnel; any other
  // final status of 2xx would wrongly be taken for that, so it goes out as 502 without its body.
  // `scheme`: what :scheme is to say of requests; static.
  void Begin(Kind kind, bool to_head, bool to_tunnel, std::string_view scheme);

  enum class What : uint8_t {
    kNeedMore,  // everything given was taken
    kHead,      // head() is complete
    kData,      // `data`: bytes of the body, in the given bytes
    kEnd,       // the message is complete, with trailers()
    kBad,       // not a message of ours; it stays so
  };
  struct Step {
    What what = What::kNeedMore;
    size_t consumed = 0;  // of the given bytes, what `data` covers included
    std::string_view data;
  };
  // Goes one step further. A head that is not whole in `bytes` is collected, so that it may come in
  // pieces; so are trailers. `data_max`: the most bytes of body to hand out in this step; with 0 an
  // empty kData says that there are some. After a head with `ends`, or after the last byte of a
  // body with a length, the next Read says kEnd without being given anything, and kBad where it is
  // given something. Behind an interim head the next one is read. In a tunnel all is data, and the
  // owner ends it.
  Step Read(std::string_view bytes, size_t data_max);

  // Both point into the scratch and the given bytes: valid until the next Read or Begin of any
  // reader of the same scratch, and as long as the bytes are.
  const OutgoingHead& head() const { return scratch_->head_; }
  std::span<const OutgoingField> trailers() const { return scratch_->fields_; }

 private:
  enum class State : uint8_t {
    kHead,
    kLength,
    kChunkSize,      // before its first digit
    kChunkSizeMore,  // behind at least one digit
    kChunkSizeLf,
    kChunkData,
    kChunkDataCr,
    kChunkDataLf,
    kTrailers,
    kTunnel,
    kEnded,
    kSwallowed,  // the message is complete as it went out; what was left out of it still comes
    kBad,
  };

  Step ReadHead(std::string_view bytes);
  Step ReadTrailers(std::string_view bytes);
  Step ReadChunked(std::string_view bytes, size_t data_max);
  Step GiveData(std::string_view bytes, size_t framing, size_t data_max);
  bool TakeFramingByte(char c);
  Step Bad();

  // A section of lines, up to its blank line: whether it is whole in `bytes` and what was collected
  // before. Then it is `section`, and `consumed` says how many of `bytes` it took.
  bool FindSection(std::string_view bytes, std::string_view* section, size_t* consumed);
  void DropCollected();
  using Parse = bool (MessageReader::*)(std::string_view text, size_t* size);
  Step ReadSection(std::string_view bytes, Parse parse, What whole);
  bool ParseHead(std::string_view text, size_t* size);
  bool ParseTrailers(std::string_view text, size_t* size);
  bool TakeRequest(const OutgoingSection& section);
  bool TakeResponse(const OutgoingSection& section);
  bool TakeSwitch(const OutgoingSection& section);
  void BeginBody(const OutgoingSection& section);
  void SetFields(size_t count);

  ReaderScratch* scratch_;
  std::string_view scheme_;
  std::string collected_;  // of a head or trailers that come in pieces
  uint64_t left_ = 0;      // of the body, or of the chunk
  State state_ = State::kEnded;
  Kind kind_ = Kind::kRequest;
  bool to_head_ = false;
  bool to_tunnel_ = false;
  bool drop_collected_ = false;  // with the next Read
};
static_assert(sizeof(MessageReader) <= 80);

}  // namespace rondo::http2
