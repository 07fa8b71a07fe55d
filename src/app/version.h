// `rondo version`.
#pragma once

namespace rondo::app {

const char* Version();
// Of the source that this was built from.
const char* Commit();

// Prints version, commit and the engine that this kernel offers; the exit status.
int PrintVersion();

}  // namespace rondo::app
