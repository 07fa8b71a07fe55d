// The request that `rondo explain` is asked about, as a client would send it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rondo/base/address.h"
#include "rondo/control/explain.h"

namespace rondo::control {

struct ExplainUrl {
  bool websocket = false;
  std::string host;              // with the port if one was written; empty where only a path was
  std::optional<IpAddress> ip;   // where the host is an address
  std::optional<uint16_t> port;  // as written, or by the scheme
  std::string target;            // path and query, or "*"
};

// Nothing, and a sentence in `problem`, where it is no URL.
std::optional<ExplainUrl> ParseExplainUrl(const std::string& url, std::string& problem);

// The head of the request, or a sentence in `problem`.
std::optional<std::string> MakeExplainHead(const ExplainQuestion& question, const ExplainUrl& url,
                                           std::string& problem);

// "100/s", "600/m", "1000/h": as in the configuration.
std::string ExplainRate(const config::RateLimit& limit);

}  // namespace rondo::control
