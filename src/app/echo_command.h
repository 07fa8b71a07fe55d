// The arguments of `rondo echo`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace rondo::app {

struct EchoArguments {
  std::string listen = ":3001";
  std::string name;
  std::string delay = "0s";
  int status = 200;
  int64_t body_bytes = -1;
};

void AddEchoOptions(CLI::App& command, EchoArguments& arguments);
// The exit status: 2 for arguments that make no sense.
int RunEchoCommand(const EchoArguments& arguments);

}  // namespace rondo::app
