// Any bytes as the body, or the address, of any call of the admin API, on a real cluster without
// workers: it answers, its answer is JSON where it says so, and what it accepted is there.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "control/admin_world.h"
#include "rondo/base/check.h"
#include "rondo/base/log.h"

namespace rondo::control {
namespace {

constexpr struct {
  const char* method;
  const char* target;
} kCalls[] = {
    {"POST", "/v1/upstreams/api/backends"},
    {"PUT", "/v1/upstreams/api/backends"},
    {"PATCH", "/v1/upstreams/api/backends/127.0.0.1:3001"},
    {"PUT", "/v1/upstreams/api"},
    {"PUT", "/v1/upstreams/new"},
    {"PUT", "/v1/config"},
    {"POST", "/v1/config/check"},
    {"DELETE", "/v1/upstreams/api/backends/127.0.0.1:3001"},
    {"POST", "/v1/reload"},
};

void CheckReply(const AdminReply& reply) {
  RONDO_CHECK(reply.status >= 200 && reply.status < 600);
  if (reply.content_type != "application/json") return;
  const nlohmann::json body = JsonOf(reply);
  RONDO_CHECK(!body.is_discarded());
  RONDO_CHECK((reply.status >= 400) == body.contains("error"));
}

// A new world for each input: what one leaves behind must not explain what the next one does.
void Run(uint8_t choice, std::string_view text) {
  AdminWorld world;
  if (choice == 0xff) {
    // As a target and a query.
    for (const char* method : {"GET", "DELETE", "PATCH"}) CheckReply(world.Call(method, text));
    return;
  }
  const auto& call = kCalls[choice % std::size(kCalls)];
  AdminRequest request;
  request.method = call.method;
  request.target = call.target;
  request.content_type = (choice & 0x40) != 0 ? "application/yaml" : "application/json";
  request.body = text;
  const uint64_t before = world.cluster().revision();
  const AdminReply reply = world.Send(request);
  CheckReply(reply);
  if (reply.status >= 400) RONDO_CHECK(world.cluster().revision() == before);
  // Whatever was accepted can be shown, sent back and exported.
  CheckReply(world.Call("GET", "/v1/upstreams"));
  CheckReply(world.Call("GET", "/v1/diff"));
  const AdminReply list = world.Call("GET", "/v1/upstreams/api/backends");
  CheckReply(list);
  const AdminReply config = world.Call("GET", "/v1/config");
  CheckReply(config);
  RONDO_CHECK(world.Call("POST", "/v1/config/check", config.body).status < 300);
  world.Pass(std::chrono::seconds(40));
  const AdminReply same = world.Call("PUT", "/v1/upstreams/api/backends",
                                     world.Call("GET", "/v1/upstreams/api/backends").body);
  RONDO_CHECK(same.status < 300);
}

}  // namespace
}  // namespace rondo::control

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // What happens to backends is told in the process log: here it would only take time.
  rondo::SetLogLevel(rondo::LogLevel::kError);
  rondo::control::Run(data[0], std::string_view(reinterpret_cast<const char*>(data + 1), size - 1));
  return 0;
}
