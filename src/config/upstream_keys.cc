#include "config/key_tables.h"

namespace rondo::config {
namespace {

using enum KeyType;

constexpr Key kUpstreamKeys[] = {
    {"upstreams", kNamedMap, "", "Groups of backends, by a name that routes use."},
    {"upstreams.*.balance", kChoice, "round_robin",
     "How a backend is chosen, always by weight: in turn; by the fewest requests in flight; by the "
     "client's address; by `hash_key`, where few clients move when backends come and go; the "
     "better "
     "of two random ones; or by the lowest latency.",
     0, 0, "round_robin|least_connections|ip_hash|consistent_hash|random_two|peak_ewma"},
    {"upstreams.*.hash_key", kText, "client_ip",
     "Only with `balance: consistent_hash`, what is hashed: `client_ip`, `path`, `uri` (path and "
     "query), `header:NAME` or `cookie:NAME`. Where a request has no such header or cookie, "
     "`client_ip` counts."},
    {"upstreams.*.sticky", kMap, "",
     "Keeps a client on its backend by a cookie, on top of any `balance`. Left out: off; `sticky: "
     "{}` takes the defaults below."},
    {"upstreams.*.backends", kList, "",
     "Required: addresses (`10.0.1.10:3000`, `\"[::1]:3000\"`, `unix:/path`) or maps with the keys "
     "below."},
    {"upstreams.*.keepalive", kMap, "", "Idle connections kept for the next request."},
    {"upstreams.*.queue", kMap, "",
     "Where requests wait while every backend is at its `max_connections`."},
    {"upstreams.*.retries", kMap, "", "What is tried again on another backend, and how often."},
    {"upstreams.*.protocol", kChoice, "http1", "What backends speak.", 0, 0, "http1", "h2c|h2|tcp"},
    {"upstreams.*.timeouts", kMap, "", "How long backends may take."},
    Later("upstreams.*.health_check"),
    Later("upstreams.*.passive_health"),
    Later("upstreams.*.warm_up"),
    Later("upstreams.*.slow_start"),
    Later("upstreams.*.panic_threshold"),
    Later("upstreams.*.drain_timeout"),
    Later("upstreams.*.send_proxy"),
    Later("upstreams.*.tls"),

    {"upstreams.*.backends[].address", kText, "",
     "Required: `10.0.1.10:3000`, `\"[::1]:3000\"` or `unix:/path`. No two backends of an upstream "
     "may "
     "have the same."},
    {"upstreams.*.backends[].weight", kWhole, "1", "The share of requests, relative to the others.",
     1, 65535},
    {"upstreams.*.backends[].backup", kBool, "false",
     "Used only while no backend that is not a backup is available."},
    {"upstreams.*.backends[].max_connections", kWhole, "0",
     "Requests and tunnels in flight over all workers; while every backend has that many, requests "
     "wait in the `queue`. 0: no limit.",
     0, 1'000'000},
    Later("upstreams.*.backends[].dns"),
    Later("upstreams.*.backends[].port"),
    Later("upstreams.*.backends[].srv"),
    Later("upstreams.*.backends[].file"),

    {"upstreams.*.sticky.cookie", kText, "rondo_backend",
     "The cookie's name. Its value names no address; backends do not see it."},
    {"upstreams.*.sticky.ttl", kDuration, "1h",
     "How long the client keeps it, in whole seconds; 0s: as long as the browser runs.", 0, kYear},

    {"upstreams.*.queue.size", kWhole, "1024",
     "Requests that may wait at once; any more get a 503. 0: none waits.", 0, 1'000'000},
    {"upstreams.*.queue.timeout", kDuration, "5s", "A request that waited this long gets a 503.", 1,
     kHour},

    {"upstreams.*.keepalive.idle", kWhole, "64",
     "Idle connections kept for each backend, over all workers (at least one a worker); 0: none.",
     0, 65536},
    {"upstreams.*.keepalive.idle_timeout", kDuration, "4s",
     "An idle connection is closed after this long; a shorter `Keep-Alive: timeout=` of the "
     "backend "
     "wins.",
     1, kYear},
    {"upstreams.*.keepalive.max_requests", kWhole, "0",
     "A connection is closed after this many requests; 0: no limit.", 0, 1'000'000'000},
    {"upstreams.*.keepalive.max_age", kDuration, "0s",
     "A connection this old takes no further request; 0s: no limit.", 0, kYear},

    {"upstreams.*.retries.attempts", kWhole, "2",
     "Attempts beyond the first, each on another backend while there is one. A refused connection "
     "is "
     "no attempt: each available backend is tried once.",
     0, 16},
    {"upstreams.*.retries.on", kList, "[connect, reset_before_response]",
     "Any of `connect`, `reset_before_response`, `502`, `503` and `504`. A request that a backend "
     "may "
     "have acted on is repeated only where it is idempotent.",
     0, 0, "connect|reset_before_response|502|503|504"},
    {"upstreams.*.retries.budget", kPercent, "20%",
     "Retries are at most this share of requests, but at least 10 a second.", 0, 100},
    {"upstreams.*.retries.body_buffer", kSize, "64KiB",
     "A request can be repeated only while what was sent of its body is no more than this.", 0,
     16 * kMiB},

    {"upstreams.*.timeouts.connect", kDuration, "3s", "Until a connection stands.", 1, kYear},
    {"upstreams.*.timeouts.response", kDuration, "60s",
     "From the request fully sent to the final response head.", 1, kYear},
    {"upstreams.*.timeouts.idle", kDuration, "60s", "Between bytes of a response's body.", 1,
     kYear},
    {"upstreams.*.timeouts.tunnel", kDuration, "1h",
     "Between bytes of a WebSocket or other tunnel.", 1, kYear},
};

}  // namespace

std::span<const Key> UpstreamKeys() { return kUpstreamKeys; }

}  // namespace rondo::config
