#include "app/echo_command.h"

#include <cstdio>

#include "app/echo.h"
#include "rondo/config/scalar.h"

namespace rondo::app {

void AddEchoOptions(CLI::App& command, EchoArguments& arguments) {
  command.add_option("--listen", arguments.listen, "Where to listen (default :3001)");
  command.add_option("--name", arguments.name, "Sent as X-Backend (default: the address)");
  command.add_option("--delay", arguments.delay, "Before each answer but /health, such as 10ms");
  command.add_option("--status", arguments.status, "Of the answers, 200 to 599")->check(CLI::Range(200, 599));
  command.add_option("--body-size", arguments.body_bytes, "Bytes of the answers' bodies")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  command.footer("Example:\n  rondo echo --listen :3001 --name a");
}

int RunEchoCommand(const EchoArguments& arguments) {
  EchoOptions options;
  const auto address = SocketAddress::Parse(arguments.listen, true);
  if (!address) {
    std::fprintf(stderr, "--listen %s: not an address; right would be :3001, 127.0.0.1:3001, [::1]:3001 or unix:/path\n",
                 arguments.listen.c_str());
    return 2;
  }
  const auto delay = config::ParseDuration(arguments.delay);
  if (!delay) {
    std::fprintf(stderr, "--delay %s: not a duration; right would be 10ms or 1s\n", arguments.delay.c_str());
    return 2;
  }
  options.listen = *address;
  options.name = arguments.name;
  options.delay = *delay;
  options.status = arguments.status;
  options.body_bytes = arguments.body_bytes;
  return RunEcho(options);
}

}  // namespace rondo::app
