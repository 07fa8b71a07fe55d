// `rondo explain` and GET /v1/explain: what becomes of a request under a configuration, without sending it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rondo/base/address.h"
#include "rondo/config/config.h"
#include "rondo/http/message.h"
#include "rondo/route/explain.h"

namespace rondo::control {

// The request that is asked about.
struct ExplainQuestion {
  // http://host:port/path?query; also https, ws and wss (which ask for an upgrade to websocket);
  // without a scheme; or a path alone, or "*".
  std::string url;
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> fields;
  std::optional<IpAddress> peer;  // where the connection comes from
  std::string listener;           // empty: by the port of the URL
};

// How a request carries the stickiness cookie of an upstream.
enum class StickyState : uint8_t {
  kOff,
  kNone,
  kForeign,  // its value is none of ours
  kGone,     // it names a backend that is not there
  kOurs,     // sticky_backend
};

struct ExplainUpstream {
  const config::Upstream* upstream = nullptr;
  uint32_t weight = 1;  // of this upstream in the route's split
  // Whether the request goes there; nothing where chance decides.
  std::optional<bool> taken = std::nullopt;
  StickyState sticky = StickyState::kOff;
  const config::Backend* sticky_backend = nullptr;
  // What the policy hashes of this request, in words: "the client's address 192.0.2.1". Empty for
  // policies that hash nothing.
  std::string hashes = {};
};

// Values, but for pointers into the configuration that was asked about.
struct Explanation {
  std::string method;
  std::string host;
  std::string target;           // as it is on the wire
  std::string normalised_path;  // what routes are matched against; empty where refused before
  std::optional<IpAddress> peer;
  std::optional<IpAddress> client;  // the peer, or whom it names where it is trusted
  const config::Listener* listener = nullptr;
  // The answer where the request does not get to a route or past it: 400, 404, 413, ...
  http::Refusal refusal;
  route::MatchExplanation match;
  const config::RouteConfig* route = nullptr;

  std::string location;  // where the route redirects
  // Where the route forwards.
  std::string forwarded_target;
  std::string upgrade;   // the protocol the backend is asked for; empty: none
  std::string split_by;  // what decides between several upstreams, in words
  uint32_t weights = 1;  // the sum over `upstreams`
  std::vector<ExplainUpstream> upstreams;

  // A route takes the request and nothing refuses it.
  bool answered() const { return route != nullptr && !refusal; }
};

struct ExplainResult {
  std::optional<Explanation> explanation;
  std::string problem;  // a sentence about the question where there is no answer to it
};

// The explanation points into `config`.
ExplainResult Explain(const config::Config& config, const ExplainQuestion& question);

// What only a running process knows of a backend.
struct BackendNow {
  std::string state;  // "up", "down", ...
  std::string reason;
  bool eligible = false;  // takes new requests
};
using BackendsNow = std::function<std::optional<BackendNow>(const std::string& upstream,
                                                            const std::string& backend_id)>;

// In words. `file` is the configuration's, for the places of routes; without `now` nothing is said of states.
std::string ExplanationText(const Explanation& explanation, const std::string& file,
                            const BackendsNow& now = nullptr);
// One line, with a line feed.
std::string ExplanationJson(const Explanation& explanation, const std::string& file,
                            const BackendsNow& now = nullptr);

}  // namespace rondo::control
