// What a connection to a backend begins with, before HTTP: a PROXY header that says it is our own,
// and TLS. The same as requests have, but for whose address is said. Control thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "rondo/proxyproto/header.h"
#include "rondo/tls/client_setup.h"

namespace rondo::control {

struct ProbeWire {
  std::optional<proxyproto::Version> proxy = {};
  std::shared_ptr<const tls::ClientSetup> tls = {};  // null: plain
  tls::ClientContext* context = nullptr;             // of `tls`, this thread's
  std::string server_name = {};                      // whom its certificate is to be for
  bool http2 = false;
};

}  // namespace rondo::control
