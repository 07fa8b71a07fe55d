#include "config/keys.h"

#include "config/text.h"

#include <chrono>
#include <unordered_map>

#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

using enum KeyType;

constexpr int64_t kSecond = 1000;
constexpr int64_t kHour = 3600 * kSecond;
constexpr int64_t kYear = 365 * 24 * kHour;
constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = 1024 * kKiB;
constexpr int64_t kPiB = kMiB * kMiB * kKiB;

constexpr Key Later(std::string_view path) {
  return {.path = path, .type = kLater, .default_text = {}, .meaning = {}};
}

constexpr Key kProcessKeys[] = {
    {"process", kMap, "", "The process as a whole."},
    {"process.workers", kWhole, "auto",
     "Event loops; `auto` is one for each CPU this process may use (affinity and cgroup quota both "
     "count).",
     1, 1024, "auto"},
    {"process.engine", kChoice, "auto",
     "`auto` takes io_uring, and epoll where the kernel or a container's seccomp refuses it (said "
     "once in the log).",
     0, 0, "auto|io_uring|epoll"},
    {"process.lame_duck", kDuration, "0s",
     "At SIGTERM, go on accepting this long before listeners stop.", 0, kHour},
    {"process.shutdown_grace", kDuration, "30s", "Longest wait for requests in flight at SIGTERM.",
     0, kYear},
    {"process.pid_file", kText, "none",
     "File to write the process id to. Left out: none is written."},
    Later("process.state_file"),
    Later("process.user"),
    Later("process.upgrade_grace"),

    {"logging", kMap, "", "The process log (stderr) and the access log."},
    {"logging.level", kChoice, "info", "Lines of the process log below this level are dropped.", 0,
     0, "debug|info|warn|error"},
    {"logging.access", kMap, "", "One line for each request."},
    {"logging.access.path", kText, "stdout",
     "`stdout`, `stderr`, `off`, or a file, which SIGUSR1 reopens."},
    {"logging.access.format", kChoice, "json",
     "`json`: one object a line; `combined`: the format of Apache and nginx.", 0, 0,
     "json|combined"},

    Later("admin"),
};

constexpr Key kListenerKeys[] = {
    {"listeners", kNamedMap, "", "Where requests come in, by a name of your choice. At least one."},
    {"listeners.*.listen", kList, "",
     "Required: addresses to listen on: `0.0.0.0:8080`, `\"[::1]:8080\"` (quoted), `\":8080\"` "
     "(IPv4 "
     "and IPv6) or `unix:/path`."},
    {"listeners.*.trusted_proxies", kList, "[]",
     "Networks (`10.0.0.0/8`) or addresses of peers whose forwarded headers are believed."},
    {"listeners.*.via", kText, "off",
     "The name to write in the Via header, or `off`. Some backends compress less when they see "
     "one."},
    {"listeners.*.routes", kList, "",
     "Required: where requests go; the first route that matches wins, and without one the answer "
     "is 404."},
    Later("listeners.*.proxy_protocol"),
    Later("listeners.*.tls"),
    Later("listeners.*.allow"),
    Later("listeners.*.deny"),
    Later("listeners.*.connections"),
    Later("listeners.*.min_rate"),
    Later("listeners.*.tcp"),

    {"listeners.*.routes[].match", kMap, "",
     "What a request must have; all that is named must hold. Left out: every request matches."},
    {"listeners.*.routes[].upstream", kText, "", "The upstream that gets the request."},
    {"listeners.*.routes[].respond", kMap, "", "A fixed answer, in place of `upstream`."},
    {"listeners.*.routes[].upgrades", kList, "[]",
     "Upgrade tokens that are forwarded, such as `websocket`; all others are removed, and `h2c` "
     "always."},
    Later("listeners.*.routes[].upstreams"),
    Later("listeners.*.routes[].redirect"),
    Later("listeners.*.routes[].set_request_headers"),
    Later("listeners.*.routes[].set_response_headers"),
    Later("listeners.*.routes[].remove_request_headers"),
    Later("listeners.*.routes[].remove_response_headers"),
    Later("listeners.*.routes[].rewrite_prefix"),
    Later("listeners.*.routes[].timeout"),
    Later("listeners.*.routes[].timeout_total"),
    Later("listeners.*.routes[].rate_limit"),
    Later("listeners.*.routes[].basic_auth"),
    Later("listeners.*.routes[].jwt"),
    Later("listeners.*.routes[].compress"),
    Later("listeners.*.routes[].body_bytes"),
    Later("listeners.*.routes[].allow"),
    Later("listeners.*.routes[].deny"),

    {"listeners.*.routes[].match.host", kText, "any",
     "The host asked for, exact (`api.example.com`) or all below a name (`*.example.com`), without "
     "a port."},
    {"listeners.*.routes[].match.path", kText, "any", "The whole path."},
    {"listeners.*.routes[].match.path_prefix", kText, "any",
     "A beginning of the path that ends at a segment: `/v1` takes `/v1` and `/v1/x`, not "
     "`/v1foo`."},
    Later("listeners.*.routes[].match.path_regex"),
    Later("listeners.*.routes[].match.method"),
    Later("listeners.*.routes[].match.headers"),
    Later("listeners.*.routes[].match.cookies"),
    Later("listeners.*.routes[].match.query"),

    {"listeners.*.routes[].respond.status", kWhole, "200", "The status code.", 200, 599},
    {"listeners.*.routes[].respond.body", kText, "\"\"",
     "The body, at most 64KiB, sent as text/plain."},
};

constexpr Key kUpstreamKeys[] = {
    {"upstreams", kNamedMap, "", "Groups of backends, by a name that routes use."},
    {"upstreams.*.balance", kChoice, "round_robin",
     "How a backend is chosen: in turn and by weight, by the fewest requests in flight for its "
     "weight, or by the client's address.",
     0, 0, "round_robin|least_connections|ip_hash", "consistent_hash|random_two|peak_ewma"},
    {"upstreams.*.backends", kList, "",
     "Required: addresses (`10.0.1.10:3000`, `\"[::1]:3000\"`, `unix:/path`) or maps with the keys "
     "below."},
    {"upstreams.*.keepalive", kMap, "", "Idle connections kept for the next request."},
    {"upstreams.*.retries", kMap, "", "What is tried again on another backend, and how often."},
    {"upstreams.*.protocol", kChoice, "http1", "What backends speak.", 0, 0, "http1", "h2c|h2|tcp"},
    {"upstreams.*.timeouts", kMap, "", "How long backends may take."},
    Later("upstreams.*.hash_key"),
    Later("upstreams.*.sticky"),
    Later("upstreams.*.health_check"),
    Later("upstreams.*.passive_health"),
    Later("upstreams.*.warm_up"),
    Later("upstreams.*.slow_start"),
    Later("upstreams.*.panic_threshold"),
    Later("upstreams.*.queue"),
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
    Later("upstreams.*.backends[].max_connections"),
    Later("upstreams.*.backends[].dns"),
    Later("upstreams.*.backends[].port"),
    Later("upstreams.*.backends[].srv"),
    Later("upstreams.*.backends[].file"),

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

constexpr Key kSharedKeys[] = {
    {"timeouts", kMap, "", "How long clients may take."},
    {"timeouts.request_header", kDuration, "10s", "For the whole head of a request.", 1, kYear},
    {"timeouts.request_body", kDuration, "60s", "Between bytes of a request's body.", 1, kYear},
    {"timeouts.keepalive", kDuration, "60s", "Between requests of a connection.", 1, kYear},
    Later("timeouts.handshake"),

    {"limits", kMap, "", "What is refused beyond them."},
    {"limits.header_bytes", kSize, "32KiB",
     "A request's or response's head (431, or 414 for the request target).", kKiB, kMiB},
    {"limits.header_count", kWhole, "100", "Header fields in a head (431).", 1, 10000},
    {"limits.body_bytes", kSize, "0", "A request's body (413); 0: no limit.", 0, kPiB},
    {"limits.connections", kWhole, "0", "Client connections of the process; 0: no limit.", 0,
     10'000'000},

    Later("resolver"),
};

std::vector<Key> MakeKeys() {
  std::vector<Key> all;
  for (const std::span<const Key> part :
       {std::span<const Key>(kProcessKeys), std::span<const Key>(kListenerKeys),
        std::span<const Key>(kUpstreamKeys), std::span<const Key>(kSharedKeys)}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::string ExpectedOfType(const Key& key) {
  switch (key.type) {
    case kMap:
    case kNamedMap:
      return "a map of keys";
    case kList:
      return "a list";
    case kText:
      return "text";
    case kChoice:
      return {};
    case kBool:
      return "true or false";
    case kWhole:
      return Cat("a whole number from ", key.min, " to ", key.max);
    case kDuration:
      return Cat("a duration from ", FormatDuration(std::chrono::milliseconds(key.min)), " to ",
                 FormatDuration(std::chrono::milliseconds(key.max)), ", such as 250ms or 5s");
    case kSize:
      return Cat("a size from ", FormatSize(static_cast<uint64_t>(key.min)), " to ",
                 FormatSize(static_cast<uint64_t>(key.max)), ", such as 64KiB");
    case kPercent:
      return Cat("a percentage from ", key.min, "% to ", key.max, "%");
    case kLater:
      return {};
  }
  return {};
}

}  // namespace

std::span<const Key> Keys() {
  static const std::vector<Key>* const keys = new std::vector<Key>(MakeKeys());
  return *keys;
}

const Key* FindKey(std::string_view section, std::string_view leaf) {
  using Index = std::unordered_map<std::string_view, const Key*>;
  static const Index* const index = [] {
    auto* made = new Index();
    for (const Key& key : Keys()) made->emplace(key.path, &key);
    return made;
  }();
  // A leaf with a dot would name a key of another section.
  if (leaf.find('.') != std::string_view::npos) return nullptr;
  const auto found = index->find(section.empty() ? std::string(leaf) : Cat(section, ".", leaf));
  return found == index->end() ? nullptr : found->second;
}

std::string Expected(const Key& key) {
  std::string type = ExpectedOfType(key);
  if (key.choices.empty() || key.type == kList) return type;
  const std::vector<std::string_view> words = SplitChoices(key.choices);
  std::string choices = QuotedList(words, "or");
  return type.empty() ? choices : Cat(choices, " or ", type);
}

std::vector<std::string_view> SplitChoices(std::string_view choices) {
  std::vector<std::string_view> words;
  while (!choices.empty()) {
    const size_t bar = choices.find('|');
    words.push_back(choices.substr(0, bar));
    choices = bar == std::string_view::npos ? std::string_view() : choices.substr(bar + 1);
  }
  return words;
}

std::string QuotedList(std::span<const std::string_view> words, std::string_view conjunction) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0 && i + 1 == words.size()) {
      text.append(" ").append(conjunction).append(" ");
    } else if (i > 0) {
      text.append(", ");
    }
    text.append("`").append(words[i]).append("`");
  }
  return text;
}

}  // namespace rondo::config
