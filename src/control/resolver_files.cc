#include "control/resolver_files.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace rondo::control {
namespace {

constexpr uint16_t kDnsPort = 53;
constexpr int kDotsMax = 15;  // as glibc

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Cuts the first line off `text`.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  constexpr std::string_view kSpace = " \t\r\f\v";
  for (size_t at = line.find_first_not_of(kSpace); at != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(kSpace, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kSpace, end);
  }
  return words;
}

std::string WithoutDotAtEnd(std::string_view name) {
  if (name.size() > 1 && name.back() == '.') name.remove_suffix(1);
  return Lower(name);
}

std::optional<int> DotsOf(std::string_view option) {
  constexpr std::string_view kPrefix = "ndots:";
  if (!option.starts_with(kPrefix)) return std::nullopt;
  option.remove_prefix(kPrefix.size());
  int value = 0;
  const auto [end, error] = std::from_chars(option.data(), option.data() + option.size(), value);
  if (error != std::errc() || end != option.data() + option.size() || value < 0)
    return std::nullopt;
  return std::min(value, kDotsMax);
}

}  // namespace

ResolvConf ParseResolvConf(std::string_view text) {
  ResolvConf conf;
  while (!text.empty()) {
    std::string_view line = TakeLine(text);
    line = line.substr(0, line.find_first_of("#;"));
    const std::vector<std::string_view> words = Words(line);
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") {
      const auto ip = IpAddress::Parse(words[1]);
      if (!ip || conf.servers.size() == ResolvConf::kServersMax) continue;
      SocketAddress server;
      server.ip = *ip;
      server.port = kDnsPort;
      conf.servers.push_back(server);
    } else if (words[0] == "search" || words[0] == "domain") {
      // The last of these lines wins.
      conf.search.clear();
      const size_t count = words[0] == "domain" ? 2 : words.size();
      for (size_t i = 1; i < count && conf.search.size() < ResolvConf::kSearchMax; ++i) {
        if (words[i] != ".") conf.search.push_back(WithoutDotAtEnd(words[i]));
      }
    } else if (words[0] == "options") {
      for (const std::string_view option : words) conf.ndots = DotsOf(option).value_or(conf.ndots);
    }
  }
  return conf;
}

Hosts ParseHosts(std::string_view text) {
  Hosts hosts;
  while (!text.empty()) {
    std::string_view line = TakeLine(text);
    line = line.substr(0, line.find('#'));
    const std::vector<std::string_view> words = Words(line);
    if (words.size() < 2) continue;
    const auto ip = IpAddress::Parse(words[0]);
    if (!ip) continue;
    for (size_t i = 1; i < words.size(); ++i) {
      std::vector<IpAddress>& addresses = hosts[WithoutDotAtEnd(words[i])];
      if (std::find(addresses.begin(), addresses.end(), *ip) != addresses.end()) continue;
      const auto first_v6 = std::find_if(addresses.begin(), addresses.end(),
                                         [](const IpAddress& has) { return !has.is_v4(); });
      addresses.insert(ip->is_v4() ? first_v6 : addresses.end(), *ip);
    }
  }
  return hosts;
}

std::vector<std::string> NamesToTry(std::string_view name, const ResolvConf& conf) {
  const std::string lower = WithoutDotAtEnd(name);
  if (lower.size() != name.size() || conf.search.empty()) return {lower};
  std::vector<std::string> names;
  for (const std::string& domain : conf.search) names.push_back(lower + "." + domain);
  const bool as_it_is_first = std::count(lower.begin(), lower.end(), '.') >= conf.ndots;
  names.insert(as_it_is_first ? names.begin() : names.end(), lower);
  return names;
}

bool IsLocalhost(std::string_view name) {
  const std::string lower = WithoutDotAtEnd(name);
  return lower == "localhost" || lower.ends_with(".localhost");
}

}  // namespace rondo::control
