// Any bytes as a state file, and as the content of one whose hash is right: never a crash, and what
// is accepted is written and read back as the same.
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "control/state_file.h"
#include "fuzz/fuzz_check.h"
#include "rondo/balance/stable_hash.h"

namespace {

using namespace rondo;
using namespace rondo::control;

void Check(std::string_view bytes) {
  const auto state = DecodeState(bytes);
  if (!state.ok()) {
    FUZZ_CHECK(!state.status().message().empty());
    return;
  }
  const auto again = DecodeState(EncodeState(*state));
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(*again == *state);
  // What was saved can be laid over anything.
  const Applied applied = Apply({}, {}, state->overlay);
  FUZZ_CHECK(applied.conflicts.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Check(bytes);
  char header[64];
  std::snprintf(header, sizeof(header), "rondo-state 1 %016llx\n",
                static_cast<unsigned long long>(balance::StableHash(bytes)));
  Check(header + std::string(bytes));
  return 0;
}
