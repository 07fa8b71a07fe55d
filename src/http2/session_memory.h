// What nghttp2 allocates, from a worker's freelist.
#pragma once

#include <nghttp2/nghttp2.h>

#include "rondo/base/freelist.h"

namespace rondo::http2 {

// `memory` outlives all that is allocated through it. One thread.
nghttp2_mem MemoryOf(Freelist& memory);

}  // namespace rondo::http2
