// Which faults a simulation injects, and how often. A rate is the probability for each occasion
// that the fault could strike; all are zero unless somebody sets or draws them. Values only.
#pragma once

#include <cstdint>
#include <string>

#include "rondo/base/rng.h"

namespace rondo::sim {

struct FaultPlan {
  // -- the engine --
  double short_receive = 0;    // a receive takes fewer bytes than there are
  double short_send = 0;       // a send takes fewer bytes than there is room for
  double slow_completion = 0;  // a result is collected milliseconds late, after later ones
  double late_cancel = 0;      // a cancel takes effect late, so that the result often wins
  double accept_ends = 0;      // a multishot accept ends with a descriptor
  double accept_fails = 0;  // a multishot accept ends with EMFILE, ENFILE, ENOSPC or ECONNABORTED
  double open_fails = 0;       // OpenStream answers EMFILE
  double starvation = 0;       // a provided-buffer receive finds no buffer for a while
  double short_tick = 0;       // Run delivers only some of what is ready
  double spurious_wake = 0;    // Run returns although nothing happened
  double stall = 0;            // the thread does not run for milliseconds after a tick
  // -- the network, for connections made by engines with this plan --
  double tiny_buffers = 0;      // a direction of a connection holds very few bytes
  double split_send = 0;        // what was sent at once arrives in pieces
  double slow_segment = 0;      // a piece of data is late by up to half a second
  double refuse_connect = 0;    // ECONNREFUSED though somebody listens
  double lose_connect = 0;      // a connect is never answered (ETIMEDOUT after 127 s)
  double reset_connection = 0;  // both sides get a reset after some bytes
  double reset_discards = 0;    // a reset also drops what was received but not read

  // A mix for one run: each fault is off in most runs, and of any strength where it is on.
  static FaultPlan Draw(Rng& rng);
  // "short_send=0.05 stall=0.001", or "none".
  std::string ToString() const;
};

}  // namespace rondo::sim
