#include "config/key_tables.h"

namespace rondo::config {
namespace {

using enum KeyType;

constexpr int64_t kRateMax = 1024 * kMiB;

constexpr Key kListenerKeys[] = {
    {"listeners", kNamedMap, "", "Where requests come in, by a name of your choice. At least one."},
    {"listeners.*.listen", kList, "",
     "Required: addresses to listen on: `0.0.0.0:8080`, `\"[::1]:8080\"` (quoted), `\":8080\"` "
     "(IPv4 and IPv6) or `unix:/path`."},
    {"listeners.*.trusted_proxies", kList, "[]",
     "Networks (`10.0.0.0/8`) or addresses of peers whose forwarded headers, and PROXY header, are "
     "believed."},
    {"listeners.*.proxy_protocol", kChoice, "off",
     "`on`: connections of `trusted_proxies` (and of unix sockets) begin with a PROXY header, "
     "version 1 or 2, and are closed where they do not. Others are served as they are.",
     0, 0, "off|on"},
    {"listeners.*.tls", kMap, "", "HTTPS in place of HTTP. Left out: plain."},
    {"listeners.*.http2", kMap, "",
     "HTTP/2: over TLS where `tls.alpn` has it, in plain from clients that begin with it (prior "
     "knowledge). What a head may be is in `limits`."},
    {"listeners.*.allow", kList, "[]",
     "Networks or addresses of clients that are let in. Empty: all that are not in `deny`."},
    {"listeners.*.deny", kList, "[]",
     "Networks or addresses of clients that are not let in, also where they are in `allow`."},
    {"listeners.*.connections", kMap, "", "How many connections clients may have."},
    {"listeners.*.min_rate", kMap, "",
     "How fast clients must be, over any 10 seconds in which there is something to send; 0: "
     "however "
     "slow."},
    {"listeners.*.via", kText, "off",
     "The name to write in the Via header, or `off`. Some backends compress less when they see "
     "one."},
    {"listeners.*.routes", kList, "",
     "Required: where requests go; the first route that matches wins, and without one the answer "
     "is 404."},
    Later("listeners.*.tcp"),

    {"listeners.*.tls.certificates", kList, "",
     "Required: certificates and their keys, `[{cert: web.pem, key: web.key}]`. The one for the "
     "name that a client asks for (SNI) is taken, an exact one before a wildcard; the first where "
     "there is none."},
    {"listeners.*.tls.min_version", kChoice, "\"1.2\"", "The oldest version of TLS.", 0, 0,
     "1.2|1.3"},
    {"listeners.*.tls.alpn", kList, "[h2, http/1.1]",
     "Protocols to agree on, the preferred one first: `h2`, `http/1.1`.", 0, 0, "h2|http/1.1"},
    {"listeners.*.tls.hsts", kDuration, "none",
     "Tells browsers to come by HTTPS only, for so long (Strict-Transport-Security, whole "
     "seconds). "
     "Left out: no header.",
     0, 100 * kYear},
    {"listeners.*.tls.client_ca", kText, "none",
     "A PEM file of authorities: clients must show a certificate of one of them."},
    {"listeners.*.tls.client_auth", kChoice, "required",
     "Only with `client_ca`; `optional` also takes clients that show none.", 0, 0,
     "required|optional"},
    {"listeners.*.tls.crl", kText, "none",
     "Only with `client_ca`: a PEM file of revocation lists, one of each authority."},
    {"listeners.*.tls.client_headers", kBool, "true",
     "Only with `client_ca`: backends get `X-Client-Verified`, `X-Client-Subject`, "
     "`X-Client-Issuer`, `X-Client-Serial` and `X-Client-Fingerprint`."},
    {"listeners.*.tls.ticket_keys", kText, "none",
     "A file of keys for session tickets, 80 random bytes each, for machines that share their "
     "sessions. Left out: made and rotated in memory."},
    {"listeners.*.tls.ocsp", kText, "none",
     "A file with the OCSP answer to staple to the first certificate."},

    {"listeners.*.tls.certificates[].cert", kText, "",
     "Required: a PEM file, the certificate first and then those between it and the authority."},
    {"listeners.*.tls.certificates[].key", kText, "",
     "Required: the certificate's private key, a PEM file without a password."},
    {"listeners.*.tls.certificates[].ocsp", kText, "none",
     "A file with the OCSP answer (DER) to staple."},

    {"listeners.*.http2.max_streams", kWhole, "128",
     "Requests that a client may have under way at once on a connection.", 1, 1000},
    {"listeners.*.http2.stream_window", kSize, "64KiB",
     "What a client may send of a request's body before some of it went on.", 64 * kKiB, 16 * kMiB},
    {"listeners.*.http2.connection_window", kSize, "1MiB",
     "The same for all requests of a connection together; at least `stream_window`.", 64 * kKiB,
     64 * kMiB},
    {"listeners.*.http2.max_age", kDuration, "0s",
     "A connection this old takes no further request: the client is told (GOAWAY), what is under "
     "way ends, and the next one goes to a new connection. 0s: never.",
     0, kYear},

    {"listeners.*.connections.total", kWhole, "0",
     "On this listener; any more are closed at once. 0: no limit.", 0, 10'000'000},
    {"listeners.*.connections.per_address", kWhole, "0",
     "Of one address (IPv6: of one /64); any more are closed at once. 0: no limit.", 0, 10'000'000},

    {"listeners.*.min_rate.request", kSize, "0",
     "Bytes a second that a client must send of a request; a slower one gets a 408.", 0, kRateMax},
    {"listeners.*.min_rate.response", kSize, "0",
     "Bytes a second that a client must take of a response; a slower one is cut off.", 0, kRateMax},
};

}  // namespace

std::span<const Key> ListenerKeys() { return kListenerKeys; }

}  // namespace rondo::config
