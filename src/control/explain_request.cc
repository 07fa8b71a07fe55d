#include "control/explain_request.h"

#include <charconv>
#include <string_view>

#include "rondo/http/field.h"
#include "rondo/http/header_edits.h"

namespace rondo::control {
namespace {

struct Scheme {
  std::string_view start;
  uint16_t port;
  bool websocket;
};
constexpr Scheme kSchemes[] = {
    {"http://", 80, false}, {"https://", 443, false}, {"ws://", 80, true}, {"wss://", 443, true}};

bool StartsWithIgnoreCase(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && http::EqualsIgnoreCase(text.substr(0, start.size()), start);
}

// Takes "host" or "host:port" apart; false where that is neither.
bool ReadAuthority(std::string_view authority, ExplainUrl& url) {
  if (authority.empty() || authority.find('@') != std::string_view::npos) return false;
  url.host = authority;
  std::string_view name = authority;
  // The colons of [::1] belong to the address.
  const size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size()) return false;
    url.port = port;
    name = authority.substr(0, colon);
  }
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  url.ip = IpAddress::Parse(name);
  return !name.empty();
}

bool IsRepeated(const ExplainQuestion& question, std::string_view name) {
  for (const auto& [given, value] : question.fields) {
    if (http::EqualsIgnoreCase(given, name)) return true;
  }
  return false;
}

}  // namespace

std::optional<ExplainUrl> ParseExplainUrl(const std::string& text, std::string& problem) {
  ExplainUrl url;
  std::string_view rest = text;
  for (const char c : rest) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) {
      problem = "the URL has a space or a control character; right would be %20, say";
      return std::nullopt;
    }
  }
  // What is behind '#' never leaves the client.
  rest = rest.substr(0, rest.find('#'));
  for (const Scheme& scheme : kSchemes) {
    if (!StartsWithIgnoreCase(rest, scheme.start)) continue;
    rest.remove_prefix(scheme.start.size());
    url.port = scheme.port;
    url.websocket = scheme.websocket;
    break;
  }
  const bool path_alone = !url.port && (rest.starts_with('/') || rest == "*");
  if (!path_alone) {
    const size_t end = rest.find_first_of("/?");
    if (!ReadAuthority(rest.substr(0, end), url)) {
      problem = text + ": not a URL; right would be http://example.com:8080/path?query, or /path";
      return std::nullopt;
    }
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  }
  if (!rest.starts_with('/') && rest != "*") url.target = "/";
  url.target += rest;
  return url;
}

std::optional<std::string> MakeExplainHead(const ExplainQuestion& question, const ExplainUrl& url,
                                           std::string& problem) {
  if (!http::IsToken(question.method)) {
    problem = "--method " + question.method + ": not a method; right would be GET or POST, say";
    return std::nullopt;
  }
  std::string head = question.method + " " + url.target + " HTTP/1.1\r\n";
  if (!IsRepeated(question, "Host")) {
    head += "Host: " + (url.host.empty() ? "localhost" : url.host) + "\r\n";
  }
  if (url.websocket && !IsRepeated(question, "Upgrade")) {
    head += "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  }
  for (const auto& [name, value] : question.fields) {
    if (!http::IsToken(name) || !http::IsEditableValue(value)) {
      problem = "-H " + name + ":" + value + ": not a header; right would be -H 'X-Env: prod'";
      return std::nullopt;
    }
    head += name + ": " + value + "\r\n";
  }
  return head + "\r\n";
}

std::string ExplainRate(const config::RateLimit& limit) {
  const bool minute = limit.per == std::chrono::minutes(1);
  const bool hour = limit.per == std::chrono::hours(1);
  return std::to_string(limit.requests) + (hour ? "/h" : minute ? "/m" : "/s");
}

}  // namespace rondo::control
