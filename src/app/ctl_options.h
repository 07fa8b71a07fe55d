// The arguments of `rondo ctl`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rondo::app {

enum class CtlVerb : uint8_t {
  kStatus,
  kBackends,
  kAdd,
  kDrain,
  kRemove,
  kSet,
  kReload,
  kDiff,
  kExport,
  kExplain,
  kEvents,
};

struct CtlArguments {
  CtlVerb verb = CtlVerb::kStatus;
  std::string admin;  // empty: RONDO_ADMIN, or the default
  std::string token;  // empty: RONDO_ADMIN_TOKEN
  std::string ca;     // empty: RONDO_ADMIN_CA, or the system's authorities
  std::string cert;   // empty: RONDO_ADMIN_CERT, or none
  std::string key;    // empty: RONDO_ADMIN_KEY
  std::string output = "table";

  std::string upstream;
  std::string backend;  // an id; for `add` an address
  std::string id;
  std::optional<uint32_t> weight;
  std::optional<uint32_t> max_connections;
  std::optional<bool> backup;
  std::string state;
  std::string timeout;
  bool wait = false;
  bool now = false;
  bool drop = false;

  std::string url;
  std::vector<std::string> headers;
  std::string method;
  std::string client;
  std::string listener;

  std::string after;
  uint64_t count = 0;  // events to show; 0: all

  bool json() const { return output == "json"; }
};

void AddCtlOptions(CLI::App& command, CtlArguments& arguments);

}  // namespace rondo::app
