#include "rondo/control/explain.h"

#include <chrono>
#include <string_view>

#include "control/explain_request.h"
#include "rondo/config/edit.h"
#include "rondo/http/local_reply.h"

namespace rondo::control {
namespace {

std::string Number(uint64_t value) { return std::to_string(value); }

// "90 %", "33.3 %".
std::string Percent(uint32_t weight, uint32_t weights) {
  const uint64_t thousandths = (uint64_t{weight} * 2000 + weights) / (uint64_t{2} * weights);
  const uint64_t rest = thousandths % 10;
  return Number(thousandths / 10) + (rest == 0 ? "" : "." + Number(rest)) + " %";
}

std::string Seconds(Duration duration) {
  using Milliseconds = std::chrono::milliseconds;
  const auto count = std::chrono::ceil<Milliseconds>(duration).count();
  return count % 1000 == 0 ? std::to_string(count / 1000) + "s" : std::to_string(count) + "ms";
}

// Lines of text, indented, and padded where they are a table.
class Text {
 public:
  void Line(int depth, const std::string& text) {
    out_.append(static_cast<size_t>(depth) * 2, ' ').append(text).push_back('\n');
  }
  void Pair(const char* name, const std::string& value) {
    std::string line(name);
    line.append(line.size() < kNameWidth ? kNameWidth - line.size() : 1, ' ');
    Line(1, line + value);
  }
  void Gap() { out_.push_back('\n'); }
  std::string Take() { return std::move(out_); }

 private:
  static constexpr size_t kNameWidth = 14;
  std::string out_;
};

std::string RouteName(const config::Listener& listener, size_t index, const std::string& file) {
  std::string name = "route " + Number(index + 1);
  const config::SourceMark& where = listener.routes[index].where;
  if (where.line > 0) name += " (" + file + ":" + std::to_string(where.line) + ")";
  return name;
}

std::string Status(int status) {
  return std::to_string(status) + " " + std::string(http::PhraseOf(status));
}

void WriteRequest(const Explanation& explanation, Text& text) {
  text.Line(0, explanation.method + " " + explanation.target);
  if (!explanation.host.empty()) text.Pair("host", explanation.host);
  const std::string_view path =
      std::string_view(explanation.target).substr(0, explanation.target.find('?'));
  if (!explanation.normalised_path.empty() && explanation.normalised_path != path) {
    text.Pair("path", explanation.normalised_path + ", as routes see it");
  }
  if (explanation.client) {
    const bool named = explanation.client != explanation.peer;
    text.Pair("client",
              explanation.client->ToString() + (named ? ", as " + explanation.peer->ToString() +
                                                            " says, which is in trusted_proxies"
                                                      : ""));
  }
  std::string addresses;
  for (const SocketAddress& address : explanation.listener->listen) {
    addresses += (addresses.empty() ? " on " : ", ") + address.ToString();
  }
  text.Pair("listener", explanation.listener->name + addresses);
  if (const auto& tls = explanation.listener->tls) {
    const bool asks = tls->client_auth != config::ClientAuth::kOff;
    const bool needs = tls->client_auth == config::ClientAuth::kRequired;
    text.Pair("tls", std::string(tls->tls13_only ? "1.3" : "1.2 and 1.3") +
                         (needs  ? ", with a certificate of the client's"
                          : asks ? ", a certificate of the client's is asked for"
                                 : ""));
  }
}

void WriteRoutes(const Explanation& explanation, const std::string& file, Text& text) {
  if (explanation.match.tried.empty()) return;
  text.Gap();
  for (const route::RouteTried& tried : explanation.match.tried) {
    const std::string name = RouteName(*explanation.listener, tried.route, file);
    text.Line(0, name + (tried.matched() ? " matches" : " does not match:"));
    for (const route::FailedPart& part : tried.failed) text.Line(1, part.Sentence());
  }
}

void WriteEdits(const http::HeaderEdits& edits, const char* of, Text& text) {
  for (const auto& [name, value] : edits.set) {
    const std::string shown =
        config::IsSecretHeader(name) ? std::string(config::kHiddenSecret) : value;
    text.Pair("set", std::string(of) + " header " + name + ": " + shown);
  }
  for (const std::string& name : edits.remove) {
    text.Pair("remove", std::string(of) + " header " + name);
  }
}

std::string StickyText(const ExplainUpstream& choice) {
  const auto& sticky = choice.upstream->sticky;
  const std::string cookie = sticky ? "by the cookie " + sticky->cookie : "";
  switch (choice.sticky) {
    case StickyState::kOff:
      return {};
    case StickyState::kNone:
      return cookie + ", which the request has not: the answer sets it";
    case StickyState::kForeign:
      return cookie + ", whose value is none of Rondo's: the answer sets it anew";
    case StickyState::kGone:
      return cookie + ", which names no backend that is there: the answer sets it anew";
    case StickyState::kOurs:
      return cookie + ": to " + choice.sticky_backend->id + ", while that is available";
  }
  return {};
}

std::string StateText(const std::optional<BackendNow>& now) {
  if (!now) return "; gone";
  std::string words = "; " + now->state;
  if (!now->reason.empty()) words += " (" + now->reason + ")";
  return words + (now->eligible ? ", takes requests" : ", takes no new requests");
}

std::string SourceText(const config::BackendSource& source) {
  switch (source.kind) {
    case config::BackendSource::Kind::kName:
      return "one address of " + source.id;
    case config::BackendSource::Kind::kDns:
      return "each address of " + source.name + ", port " + Number(source.port);
    case config::BackendSource::Kind::kSrv:
      return "the SRV records of " + source.name;
    case config::BackendSource::Kind::kFile:
      return "the file " + source.path;
  }
  return {};
}

std::string TlsText(const config::UpstreamTls& tls) {
  if (!tls.verify) return "not verified";
  const std::string whom = tls.sni.empty() ? "its name or address" : tls.sni;
  return "verified for " + whom + " by " +
         (tls.ca.empty() ? std::string("the system's authorities") : tls.ca);
}

std::string RateText(const config::RateLimit& limit) {
  std::string key = "client";
  if (limit.key.source == config::HashKey::Source::kHeader) key = "value of " + limit.key.name;
  if (limit.key.source == config::HashKey::Source::kCookie) key = "cookie " + limit.key.name;
  return ExplainRate(limit) + " for each " + key + ", " + Number(limit.burst) + " at once" +
         (limit.dry_run ? "; only counted" : "");
}

void WriteUpstream(const Explanation& explanation, const ExplainUpstream& choice,
                   const BackendsNow& now, Text& text) {
  const config::Upstream& upstream = *choice.upstream;
  text.Gap();
  std::string line = "upstream " + upstream.name;
  if (explanation.upstreams.size() > 1) {
    line += ", for " + Percent(choice.weight, explanation.weights);
  }
  text.Line(0, line);
  text.Pair("balance", std::string(balance::PolicyName(upstream.balance)) +
                           (choice.hashes.empty() ? "" : " of " + choice.hashes));
  if (choice.sticky != StickyState::kOff) {
    text.Pair("sticky", StickyText(choice));
  }
  if (upstream.protocol != config::Protocol::kHttp1) text.Pair("protocol", "HTTP/2");
  if (upstream.tls) text.Pair("tls", TlsText(*upstream.tls));
  if (upstream.send_proxy != config::SendProxy::kOff) {
    const bool first = upstream.send_proxy == config::SendProxy::kV1;
    text.Pair("send_proxy", std::string("a PROXY header of version ") + (first ? "1" : "2"));
  }
  for (const config::Backend& backend : upstream.backends) {
    std::string words = backend.id;
    if (backend.id != backend.address.ToString()) words += " at " + backend.address.ToString();
    words += ", weight " + Number(backend.weight);
    if (backend.max_connections > 0) {
      words += ", at most " + Number(backend.max_connections) + " connections";
    }
    if (backend.backup) words += ", backup: only while no other is available";
    if (now != nullptr) words += StateText(now(upstream.name, backend.id));
    text.Pair("backend", words);
  }
  for (const config::BackendSource& source : upstream.sources) {
    text.Pair("source", SourceText(source));
  }
  if (upstream.backends.empty() && upstream.sources.empty()) {
    text.Pair("backend", "none yet: the admin API adds them");
  }
}

std::string ForwardedText(const Explanation& explanation) {
  for (const ExplainUpstream& choice : explanation.upstreams) {
    if (!choice.taken.value_or(false)) continue;
    const std::string to = "forwarded to upstream " + choice.upstream->name;
    return explanation.split_by.empty() ? to : to + ": " + explanation.split_by + " decides";
  }
  return "forwarded to one of these upstreams: " + explanation.split_by + " decides";
}

void WriteAnswer(const Explanation& explanation, const BackendsNow& now, Text& text) {
  text.Gap();
  if (explanation.refusal) {
    const http::Refusal& refusal = explanation.refusal;
    text.Line(0, "answered with " + Status(refusal.status) + " (" + refusal.reason +
                     "): " + std::string(http::MessageOf(refusal.reason, refusal.status)));
    return;
  }
  const config::RouteConfig& route = *explanation.route;
  if (route.respond) {
    text.Line(0, "answered with " + Status(route.respond->status) + ", a body of " +
                     Number(route.respond->body.size()) + " bytes");
  } else if (route.redirect) {
    text.Line(0,
              "redirected with " + Status(route.redirect->status) + " to " + explanation.location);
  } else {
    text.Line(0, ForwardedText(explanation));
  }
  if (route.rate_limit) text.Pair("rate_limit", RateText(*route.rate_limit));
  if (route.forwards()) {
    text.Pair("as", explanation.method + " " + explanation.forwarded_target);
    if (!explanation.upgrade.empty()) text.Pair("upgrade", explanation.upgrade);
    WriteEdits(route.request_headers, "request", text);
  }
  WriteEdits(route.response_headers, "response", text);
  if (route.timeout) text.Pair("timeout", Seconds(*route.timeout) + " for the response's head");
  if (route.timeout_total) text.Pair("timeout_total", Seconds(*route.timeout_total));
  for (const ExplainUpstream& choice : explanation.upstreams) {
    WriteUpstream(explanation, choice, now, text);
  }
}

}  // namespace

std::string ExplanationText(const Explanation& explanation, const std::string& file,
                            const BackendsNow& now) {
  Text text;
  WriteRequest(explanation, text);
  WriteRoutes(explanation, file, text);
  WriteAnswer(explanation, now, text);
  return text.Take();
}

}  // namespace rondo::control
