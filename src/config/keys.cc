#include "config/keys.h"

#include <chrono>
#include <unordered_map>

#include "config/key_tables.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

using enum KeyType;

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
    {"process.state_file", kText, "none",
     "File where changes by the admin API are kept, so that they survive a restart. Left out: they "
     "are kept in memory only."},
    {"process.user", kText, "none",
     "The user to become once listeners are bound, `rondo` or `rondo:group`. Left out: stay who "
     "started it."},
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
};

constexpr Key kSharedKeys[] = {
    {"admin", kMap, "", "The admin API."},
    {"admin.listen", kText, "127.0.0.1:9900",
     "`127.0.0.1:9900`, `\"[::1]:9900\"`, `unix:/path`, or `off`. Anything but a loopback address "
     "or a unix socket needs a `token` or a `tls.client_ca`."},
    {"admin.token", kText, "none",
     "What requests must carry as `Authorization: Bearer ...`; best from the environment, "
     "`${RONDO_ADMIN_TOKEN:-}`. Empty or left out: none is asked for."},
    {"admin.tls", kMap, "", "HTTPS in place of HTTP. Left out: plain."},
    {"admin.tls.cert", kText, "", "Required: the certificate, a PEM file."},
    {"admin.tls.key", kText, "", "Required: its private key, a PEM file."},
    {"admin.tls.client_ca", kText, "none",
     "A PEM file of authorities: who asks must show a certificate of one of them. `/healthz` and "
     "`/readyz` need none."},

    {"resolver", kMap, "", "How host names, `dns` and `srv` of backends are resolved."},
    {"resolver.servers", kList, "[]",
     "Name servers, `10.0.0.2` or `10.0.0.2:53`, tried in order. Empty: those of /etc/resolv.conf, "
     "and /etc/hosts before them."},
    {"resolver.timeout", kDuration, "2s", "Of one attempt at one server.", 10, kMinute},
    {"resolver.attempts", kWhole, "2", "At each server, the first included.", 1, 10},
    {"resolver.max_ttl", kDuration, "5s",
     "Names are asked again as their TTL ends, at the latest after this long.", kSecond, kDay},

    {"timeouts", kMap, "", "How long clients may take."},
    {"timeouts.request_header", kDuration, "10s", "For the whole head of a request.", 1, kYear},
    {"timeouts.request_body", kDuration, "60s", "Between bytes of a request's body.", 1, kYear},
    {"timeouts.keepalive", kDuration, "60s", "Between requests of a connection.", 1, kYear},
    {"timeouts.handshake", kDuration, "10s",
     "For the TLS handshake of a new connection, and the PROXY header before it.", 1, kYear},

    {"limits", kMap, "", "What is refused beyond them."},
    {"limits.header_bytes", kSize, "32KiB",
     "A request's or response's head (431, or 414 for the request target).", kKiB, kMiB},
    {"limits.header_count", kWhole, "100", "Header fields in a head (431).", 1, 10000},
    {"limits.body_bytes", kSize, "0", "A request's body (413); 0: no limit.", 0, kPiB},
    {"limits.connections", kWhole, "0", "Client connections of the process; 0: no limit.", 0,
     10'000'000},
    {"limits.handshakes", kWhole, "10000",
     "TLS handshakes under way at once; a connection beyond them is closed. 0: no limit.", 0,
     10'000'000},
};

std::vector<Key> MakeKeys() {
  std::vector<Key> all;
  for (const std::span<const Key> part :
       {std::span<const Key>(kProcessKeys), ListenerKeys(), RouteKeys(), UpstreamKeys(),
        std::span<const Key>(kSharedKeys)}) {
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
    case kPairs:
      return "a map of names and values";
    case kOneOrList:
      return "text or a list";
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
