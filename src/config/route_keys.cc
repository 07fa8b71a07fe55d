#include "config/key_tables.h"

namespace rondo::config {
namespace {

using enum KeyType;

constexpr Key kRouteKeys[] = {
    {"listeners.*.routes[].match", kMap, "",
     "What a request must have; all that is named must hold. Left out: every request matches."},
    {"listeners.*.routes[].upstream", kText, "", "The upstream that gets the request."},
    {"listeners.*.routes[].upstreams", kPairs, "",
     "Upstreams that share the requests by weight, each from 0 to 1000: `{api: 90, api-canary: "
     "10}`."},
    {"listeners.*.routes[].redirect", kMap, "", "An answer that sends the client elsewhere."},
    {"listeners.*.routes[].respond", kMap, "", "A fixed answer."},
    {"listeners.*.routes[].split_by", kText, "request_id",
     "With `upstreams`, what decides: `request_id` (each request by itself), `client_ip`, "
     "`header:NAME` or `cookie:NAME`. Requests with the same value take the same upstream; where "
     "there is none, `request_id` counts."},
    {"listeners.*.routes[].rewrite_prefix", kText, "none",
     "Replaces `path_prefix` in the path that is forwarded."},
    {"listeners.*.routes[].set_request_headers", kPairs, "",
     "Header fields for the backend, `{X-Env: prod}`; each replaces all of its name."},
    {"listeners.*.routes[].remove_request_headers", kList, "[]",
     "Names of header fields that the backend does not get."},
    {"listeners.*.routes[].set_response_headers", kPairs, "",
     "Header fields for the client; each replaces all of its name."},
    {"listeners.*.routes[].remove_response_headers", kList, "[]",
     "Names of header fields that the client does not get."},
    {"listeners.*.routes[].timeout", kDuration, "none",
     "In place of the upstream's `timeouts.response`: from the request fully sent to the final "
     "response head.",
     1, kYear},
    {"listeners.*.routes[].timeout_total", kDuration, "none",
     "For the whole exchange, from the request's head to the end of the response; not for tunnels.",
     1, kYear},
    {"listeners.*.routes[].body_bytes", kSize, "none",
     "In place of `limits.body_bytes`: a request's body (413); 0: no limit.", 0, kPiB},
    {"listeners.*.routes[].upgrades", kList, "[]",
     "Upgrade tokens that are forwarded, such as `websocket`; all others are removed, and `h2c` "
     "always."},
    {"listeners.*.routes[].uri_bytes", kSize, "none",
     "A request's target, path and query (414); 0 or left out: only `limits.header_bytes` counts.",
     0, kMiB},
    {"listeners.*.routes[].rate_limit", kMap, "",
     "How many requests each client may make (429). Left out: any number."},
    {"listeners.*.routes[].allow", kList, "[]",
     "Networks or addresses of clients that get an answer (else 403). Empty: all that are not in "
     "`deny`."},
    {"listeners.*.routes[].deny", kList, "[]",
     "Networks or addresses of clients that get none (403), also where they are in `allow`."},
    Later("listeners.*.routes[].basic_auth"),
    Later("listeners.*.routes[].jwt"),
    Later("listeners.*.routes[].compress"),

    {"listeners.*.routes[].match.host", kText, "any",
     "The host asked for, exact (`api.example.com`) or all below a name (`*.example.com`), without "
     "a port."},
    {"listeners.*.routes[].match.path", kText, "any", "The whole path."},
    {"listeners.*.routes[].match.path_prefix", kText, "any",
     "A beginning of the path that ends at a segment: `/v1` takes `/v1` and `/v1/x`, not "
     "`/v1foo`."},
    {"listeners.*.routes[].match.path_regex", kText, "any",
     "A regular expression (RE2) for the whole path: `/users/[0-9]+`."},
    {"listeners.*.routes[].match.method", kOneOrList, "any",
     "`GET`, or any of `[GET, HEAD]`, in upper case. HEAD is a method of its own."},
    {"listeners.*.routes[].match.headers", kPairs, "any",
     "Header fields by name, in any case: `{X-Env: prod}`."},
    {"listeners.*.routes[].match.cookies", kPairs, "any", "Cookies by name: `{beta: \"1\"}`."},
    {"listeners.*.routes[].match.query", kPairs, "any",
     "Parameters of the query by name: `{version: \"2\"}`."},

    {"listeners.*.routes[].match.headers.*.exact", kText, "",
     "The whole value; `X-Env: prod` is short for `X-Env: {exact: prod}`."},
    {"listeners.*.routes[].match.headers.*.prefix", kText, "", "A beginning of the value."},
    {"listeners.*.routes[].match.headers.*.regex", kText, "",
     "A regular expression (RE2) for the whole value."},
    {"listeners.*.routes[].match.headers.*.present", kBool, "",
     "`true`: there is one, whatever its value; `false`: there is none."},

    {"listeners.*.routes[].redirect.to", kText, "",
     "Required: a URL, or a path on the same host. `{host}` stands for the host that was asked "
     "for, "
     "without its port, and `{uri}` at the end for the path and query: `https://{host}{uri}`."},
    {"listeners.*.routes[].redirect.status", kChoice, "302",
     "The status code: 301 and 308 are for good, 307 and 308 keep the method.", 0, 0,
     "301|302|303|307|308"},

    {"listeners.*.routes[].rate_limit.rate", kText, "",
     "Required: requests in a second, minute or hour: `100/s`, `600/m`, `1000/h`."},
    {"listeners.*.routes[].rate_limit.burst", kWhole, "none",
     "Requests that may come at once. Left out: those of one second, at least 1.", 1, kRequestsMax},
    {"listeners.*.routes[].rate_limit.key", kText, "client_ip",
     "What has a rate of its own: `client_ip`, `header:NAME` or `cookie:NAME`. Where a request has "
     "no such header or cookie, `client_ip` counts."},
    {"listeners.*.routes[].rate_limit.dry_run", kBool, "false",
     "`true`: requests beyond the rate are counted, but not refused."},

    {"listeners.*.routes[].respond.status", kWhole, "200", "The status code.", 200, 599},
    {"listeners.*.routes[].respond.body", kText, "\"\"",
     "The body, at most 64KiB, sent as text/plain."},
};

}  // namespace

std::span<const Key> RouteKeys() { return kRouteKeys; }

}  // namespace rondo::config
