// `rondo version`.
#pragma once

namespace rondo::app {

// Prints version, commit and the engine that this kernel offers; the exit status.
int PrintVersion();

}  // namespace rondo::app
