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
     "Required: addresses (`10.0.1.10:3000`, `\"[::1]:3000\"`, `unix:/path`), host names "
     "(`api.internal:3000`) or maps with the keys below. `[]` is an upstream that is filled "
     "through "
     "the admin API."},
    {"upstreams.*.health_check", kMap, "",
     "Active checks of each backend. Left out: none; `health_check: {}` takes the defaults below."},
    {"upstreams.*.passive_health", kMap, "", "What is learned of a backend from traffic."},
    {"upstreams.*.warm_up", kMap, "",
     "Requests to a backend that joins, before its first real one. Left out: none; `warm_up: {}` "
     "takes the defaults below."},
    {"upstreams.*.slow_start", kDuration, "0s",
     "A backend that joins or recovers comes to its full weight over this time, under every "
     "`balance`; 0s: at once.",
     0, kDay},
    {"upstreams.*.panic_threshold", kPercent, "0%",
     "While less than this share of the backends is healthy, all of them get requests; 0%: never.",
     0, 100},
    {"upstreams.*.drain_timeout", kDuration, "30s",
     "How long a backend that leaves may finish what is in flight.", 0, kYear},
    {"upstreams.*.keepalive", kMap, "", "Idle connections kept for the next request."},
    {"upstreams.*.queue", kMap, "",
     "Where requests wait while every backend is at its `max_connections`."},
    {"upstreams.*.retries", kMap, "", "What is tried again on another backend, and how often."},
    {"upstreams.*.protocol", kChoice, "http1",
     "What backends speak: HTTP/1.1; HTTP/2 in plain, begun as such (prior knowledge); or HTTP/2 "
     "over TLS, with `tls`. A connection of HTTP/2 carries many requests at once.",
     0, 0, "http1|h2c|h2", "tcp"},
    {"upstreams.*.timeouts", kMap, "", "How long backends may take."},
    {"upstreams.*.send_proxy", kChoice, "off",
     "The PROXY header that connections to backends begin with, for backends that ask for one: it "
     "tells the client's address. A connection is then kept for one client; not with HTTP/2.",
     0, 0, "off|v1|v2"},
    {"upstreams.*.tls", kMap, "",
     "HTTPS to backends. Left out: plain; `tls: {}` takes the defaults below."},

    {"upstreams.*.backends[].address", kText, "",
     "`10.0.1.10:3000`, `\"[::1]:3000\"` or `unix:/path`; no two backends of an upstream may have "
     "the same. A host name and port, `api.internal:3000`, is one backend at one of the name's "
     "addresses. This, `dns`, `srv` or `file` is required."},
    {"upstreams.*.backends[].dns", kText, "",
     "A host name; each of its addresses is a backend, and they follow the name."},
    {"upstreams.*.backends[].port", kWhole, "",
     "With `dns`, required there: the port of its backends.", 1, 65535},
    {"upstreams.*.backends[].srv", kText, "",
     "The name of SRV records, `_http._tcp.api.example.com`; each is a backend with its port and "
     "weight. Records of a higher number than the lowest priority are backups."},
    {"upstreams.*.backends[].file", kText, "",
     "A YAML or JSON file with a list of backends, followed as it changes."},
    {"upstreams.*.backends[].id", kText, "",
     "The backend's name in the admin API, metrics and logs. Left out: its address."},
    {"upstreams.*.backends[].weight", kWhole, "1", "The share of requests, relative to the others.",
     1, 65535},
    {"upstreams.*.backends[].backup", kBool, "false",
     "Used only while no backend that is not a backup is available."},
    {"upstreams.*.backends[].max_connections", kWhole, "0",
     "Requests and tunnels in flight over all workers; while every backend has that many, requests "
     "wait in the `queue`. 0: no limit.",
     0, 1'000'000},

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

    {"upstreams.*.tls.verify", kBool, "true",
     "`false`: backends' certificates are not checked, and anybody in between can read and write."},
    {"upstreams.*.tls.ca", kText, "none",
     "A PEM file of authorities that backends' certificates must come from. Left out: the "
     "system's."},
    {"upstreams.*.tls.sni", kText, "none",
     "The name to ask for (SNI), and the one that certificates must be for. Left out: each "
     "backend's host name; its address where it has none."},
    {"upstreams.*.tls.cert", kText, "none",
     "Our certificate, where backends ask for one, a PEM file; with `key`."},
    {"upstreams.*.tls.key", kText, "none", "Its private key, a PEM file; with `cert`."},

    {"upstreams.*.health_check.type", kChoice, "http",
     "`http`: a request that must be answered well, by the upstream's `protocol`; `tcp`: a "
     "connection that must be accepted; `grpc`: a call of `grpc.health.v1.Health/Check` that must "
     "be answered with SERVING, only with `protocol: h2` or `h2c`. The keys from `method` on are "
     "for `http` only, but `host` and `headers` are for `grpc` too, and `service` only for that.",
     0, 0, "http|tcp|grpc"},
    {"upstreams.*.health_check.interval", kDuration, "5s",
     "Between the checks of a backend, spread with some jitter.", 10, kDay},
    {"upstreams.*.health_check.timeout", kDuration, "2s",
     "A check that takes longer has failed. Checks of a backend never overlap.", 1, kHour},
    {"upstreams.*.health_check.healthy_threshold", kWhole, "2",
     "Successes in a row that bring a backend back. For a backend that joins one is enough.", 1,
     1000},
    {"upstreams.*.health_check.unhealthy_threshold", kWhole, "3",
     "Failures in a row that take a backend out.", 1, 1000},
    {"upstreams.*.health_check.port", kWhole, "", "A port to check in place of the backend's own.",
     1, 65535},
    {"upstreams.*.health_check.method", kChoice, "GET", "The method of the request.", 0, 0,
     "GET|HEAD|OPTIONS|POST"},
    {"upstreams.*.health_check.path", kText, "/",
     "The path of the request, with a query if need be."},
    {"upstreams.*.health_check.host", kText, "", "The Host of the request. Left out: the address."},
    {"upstreams.*.health_check.headers", kPairs, "", "More header fields: `{X-Probe: rondo}`."},
    {"upstreams.*.health_check.expect_status", kOneOrList, "[200]",
     "Status codes that are well: codes or ranges such as `200-299`.", 200, 599},
    {"upstreams.*.health_check.expect_body", kText, "",
     "A text that must be within the first 64KiB of the body."},
    {"upstreams.*.health_check.service", kText, "",
     "The service to ask for, `shop.v1.Orders`. Left out: the server as a whole."},

    {"upstreams.*.passive_health.max_fails", kWhole, "3",
     "Failures in a row within `fail_timeout` that take a backend out for `fail_timeout`; 0: off. "
     "Never more than half of an upstream for bad answers; all but the last for refused "
     "connections.",
     0, 1'000'000},
    {"upstreams.*.passive_health.fail_timeout", kDuration, "30s",
     "The time that failures count in, and that the backend stays out for.", 10, kDay},

    {"upstreams.*.warm_up.path", kText, "/", "The path of the requests, with a query if need be."},
    {"upstreams.*.warm_up.requests", kWhole, "50", "How many are sent.", 1, 1'000'000},
    {"upstreams.*.warm_up.concurrency", kWhole, "2", "How many are in flight at once.", 1, 1000},
    {"upstreams.*.warm_up.timeout", kDuration, "10s",
     "The backend gets traffic after this long at the latest.", 10, kHour},
};

}  // namespace

std::span<const Key> UpstreamKeys() { return kUpstreamKeys; }

}  // namespace rondo::config
