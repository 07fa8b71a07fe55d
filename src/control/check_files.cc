#include "rondo/control/check_files.h"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include "control/certificates.h"
#include "control/privileges.h"
#include "control/read_file.h"

namespace rondo::control {

FileCheck CheckFiles(const config::Config& config) {
  const TlsWanted wanted = WantedBy(config);
  if (wanted.has_keys()) ForbidCoreDumps();
  Certificates certificates(&ReadWholeFile, 1);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  TlsProblems problems =
      certificates.Prepare(wanted, WallTime(std::chrono::duration_cast<Duration>(now)));
  const auto by_place = [](const config::Error& a, const config::Error& b) {
    return std::tie(a.line, a.col) < std::tie(b.line, b.col);
  };
  std::ranges::sort(problems.errors, by_place);
  std::ranges::sort(problems.warnings, by_place);
  return FileCheck{std::move(problems.errors), std::move(problems.warnings)};
}

}  // namespace rondo::control
