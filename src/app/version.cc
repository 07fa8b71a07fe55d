#include "app/version.h"

#include <sys/utsname.h>

#include <cstdio>

#include "rondo/io/engine.h"

namespace rondo::app {

const char* Version() { return RONDO_VERSION; }
const char* Commit() { return RONDO_COMMIT; }

int PrintVersion() {
  utsname system{};
  uname(&system);
  std::printf("rondo %s (commit %s)\n", RONDO_VERSION, RONDO_COMMIT);
  const auto choice = io::ChooseEngine("auto");
  if (choice.ok()) {
    std::printf("engine: %s\n", choice->reason.c_str());
  } else {
    std::printf("engine: none: %s\n", std::string(choice.status().message()).c_str());
  }
  std::printf("kernel: %s %s\n", system.sysname, system.release);
  return 0;
}

}  // namespace rondo::app
