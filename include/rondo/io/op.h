// One request to an I/O engine. The submitter owns the Op and keeps it, and every buffer it names, in
// place until the final completion has been delivered; ~Op asserts that it is not in flight.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "rondo/base/check.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/io/buffer_pool.h"

namespace rondo::io {

class Engine;

class Op : public ListHook<> {
 public:
  // Called by Engine::Run, never from within Submit or Cancel. It may submit ops (also this one, where
  // `more` is false), cancel ops, and free this op where `more` is false.
  using Deliver = void (*)(Op&);

  enum class Kind : uint8_t {
    kNone,
    kAccept,           // multishot on a listening fd: `result` is a new descriptor (non-blocking, close-on-exec)
    kConnect,          // `address`; result 0 or the error
    kReceive,          // into data[0, size): bytes, or 0 at end of stream
    kReceiveProvided,  // into a buffer of the engine's pool, taken only when bytes are there: `buffer`
    kSend,             // data[0, size): bytes taken, at least 1
    kSendVector,       // vector[0, size): bytes taken over all parts, at least 1
    kWaitReadable,     // result 0 once a receive would not block (bytes, end of stream, or an error are there)
    kWaitWritable,     // result 0 once a send would not block (room, or an error is there)
  };
  enum class State : uint8_t { kIdle, kInFlight, kCancelling, kReady };

  explicit Op(Deliver deliver) : deliver(deliver) {}
  ~Op() { RONDO_CHECK(state == State::kIdle); }

  bool in_flight() const { return state != State::kIdle; }

  // -- set by the submitter, only while idle --
  Kind kind = Kind::kNone;
  // -- set by the engine --
  State state = State::kIdle;
  // Multishot: another completion will follow. False on each op's final completion.
  bool more = false;
  // kReceiveProvided hint: the socket probably has nothing yet, so wait before trying (saves a failing try).
  bool wait_first = true;
  int fd = -1;
  // Bytes, a descriptor or 0; or a negative errno. -ECANCELED: cancelled before it did anything.
  int32_t result = 0;
  union {
    char* data = nullptr;
    const iovec* vector;   // must stay in place until the final completion
    const void* address;   // sockaddr
  };
  size_t size = 0;         // bytes, parts (at most kVectorMax), or the address's length
  // kReceiveProvided: the buffer with `result` bytes in it, where result > 0. The engine does not
  // touch it after delivery: it stays here until somebody takes it (std::move) or the op goes.
  // A receive that was cancelled may still carry bytes: then it says so by result > 0.
  BufferRef buffer;
  Deliver deliver;
  // For the engine's own bookkeeping while in flight.
  uint64_t engine_data = 0;

  static constexpr size_t kVectorMax = 16;
};

}  // namespace rondo::io
