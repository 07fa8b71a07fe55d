// The arguments of `rondo explain`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace rondo::app {

struct ExplainArguments {
  std::string file;
  std::string url;
  std::vector<std::string> headers;
  std::string method = "GET";
  std::string client;
  std::string listener;
  std::string output = "text";
};

void AddExplainOptions(CLI::App& command, ExplainArguments& arguments);
// The exit status: 0 where a route answers the request, 1 where none does or the file is wrong, 2
// for arguments that make no sense.
int RunExplainCommand(const ExplainArguments& arguments);

}  // namespace rondo::app
