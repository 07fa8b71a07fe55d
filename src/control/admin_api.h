// The admin API without sockets: a request in, an answer out, at once. A call that has to wait
// (?wait=) says what it waits for instead, and is looked at again whenever the cluster has changed.
// Control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/admin_context.h"
#include "rondo/base/time.h"

namespace rondo::control {

// One moment on both clocks, from the loop's engine.
struct AdminMoment {
  Instant now;
  WallTime wall;

  // RFC 3339 in UTC with milliseconds.
  std::string Text(Instant at) const;
};

// A request as the server read it: views that live as long as the call.
struct AdminRequest {
  std::string_view method;
  std::string_view target;  // path and query
  std::string_view content_type;
  std::string_view accept;
  std::string_view if_match;
  std::string_view last_event_id;
  std::string_view body;
  AdminMoment moment;
};

// What a call waits for.
struct AdminWait {
  enum class For : uint8_t { kUp, kRemoved, kDrained };
  For what = For::kUp;
  std::string upstream;
  std::string id;
  uint64_t serial = 0;  // of the backend that was meant; another one of its id is not
  Duration timeout{};
  int status = 200;      // of the answer when it has come
  std::string location;  // of that answer
};

struct AdminReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::optional<uint64_t> etag;  // the revision
  std::string location;
  std::string allow;
  // Go on with AdminApi::Look and TimedOut.
  std::optional<AdminWait> wait;
  // Server-sent events behind this id follow instead of a body.
  std::optional<uint64_t> events_after;
};

struct AdminCall;

struct AdminRoute {
  using Handler = AdminReply (*)(AdminCall&);
  std::string_view method;
  std::string_view pattern;  // "/v1/upstreams/{upstream}"
  Handler handler;
  std::string_view query;  // the parameters it takes, with a space between
  bool open = false;       // needs no token
};

// All calls; HEAD goes with GET.
std::span<const AdminRoute> AdminRoutes();

class AdminApi {
 public:
  static constexpr Duration kWaitDefault = std::chrono::seconds(30);
  static constexpr Duration kWaitMax = std::chrono::minutes(10);

  explicit AdminApi(const AdminContext& context) : context_(context) {}

  // Validates, applies and answers. Never throws, whatever stands in the request.
  AdminReply Handle(const AdminRequest& request);
  // Whether the call may be made without a token.
  static bool IsOpen(std::string_view method, std::string_view target);

  // The answer, once what was waited for has come, or cannot come any more.
  std::optional<AdminReply> Look(const AdminWait& wait, const AdminMoment& moment);
  // The answer when the time is over: 504. What was begun goes on.
  AdminReply TimedOut(const AdminWait& wait, const AdminMoment& moment);

  const AdminContext& context() const { return context_; }

 private:
  AdminContext context_;
};

}  // namespace rondo::control
