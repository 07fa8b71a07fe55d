// `rondo check`: the files that a configuration names, read and checked as a start would.
#pragma once

#include <vector>

#include "rondo/config/config.h"
#include "rondo/config/load.h"

namespace rondo::control {

struct FileCheck {
  std::vector<config::Error> errors;    // a start or a reload would refuse it
  std::vector<config::Error> warnings;  // it would serve, but somebody should know
};

// Certificates, keys, authorities, revocation lists, OCSP answers and ticket keys. Says what is
// wrong with a file by its name; never what is in a key.
FileCheck CheckFiles(const config::Config& config);

}  // namespace rondo::control
