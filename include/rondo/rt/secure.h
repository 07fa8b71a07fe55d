// A TLS handshake on a connected descriptor, as a flow: bytes go to and fro until a Channel is
// made, which the loop's engine then lays over the descriptor.
#pragma once

#include <cstdint>
#include <memory>

#include "rondo/rt/cancel.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/task.h"
#include "rondo/tls/handshake.h"

namespace rondo::rt {

struct Secured {
  int fd = -1;  // the secured descriptor; -1: it failed, and the one given is still the caller's to
                // close
  int error = 0;  // then: a positive errno. ECANCELED: the token; EPROTO: the handshake says why;
                  // ECONNRESET: the peer went away in the middle; else the system's
  tls::HandshakeResult result;
};

// Runs `handshake` on `fd`, at which no op is in flight, and takes `fd` over where it succeeds.
// `received`: bytes that are here already. `truncation_ends`: see io::SecureEngine. What the
// handshake wanted to say at its failure (an alert) was sent, or tried once. No op is in flight at
// `fd` when it returns. `handshake` outlives the task.
Task<Secured> Secure(Loop& loop, int fd, tls::Handshake& handshake, std::string_view received,
                     bool truncation_ends, CancelToken& token);

}  // namespace rondo::rt
