// docs/configuration.md holds what the table of keys says, and conf/ holds files that load. With
// RONDO_UPDATE_DOCS=1 in the environment the tables of the document are written anew.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "config/keys.h"
#include "config/parse_helpers.h"
#include "config/text.h"

namespace rondo::config {
namespace {

// From this file's place, so that the test runs from anywhere.
std::filesystem::path ProjectRoot() {
  return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
}

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file.good()) << path;
  return text.str();
}

std::string ReplaceAll(std::string text, std::string_view from, std::string_view to) {
  for (size_t i = text.find(from); i != std::string::npos; i = text.find(from, i + to.size())) {
    text.replace(i, from.size(), to);
  }
  return text;
}

// What stands in the table's column of values.
std::string Values(const Key& key) {
  if (key.type == KeyType::kMap || key.type == KeyType::kNamedMap) return "keys below";
  return Expected(key);
}

std::string Default(const Key& key) {
  if (key.default_text.empty()) return "";
  if (key.default_text == "none" || key.default_text == "any") return std::string(key.default_text);
  return Cat("`", key.default_text, "`");
}

// The table for one section, as Markdown.
std::string SectionTable(std::string_view section) {
  std::string table = "| key | default | value | meaning |\n| --- | --- | --- | --- |\n";
  for (const Key& key : Keys()) {
    if (key.Section() != section || key.type == KeyType::kLater) continue;
    table += Cat("| `", key.Leaf(), "` | ", Default(key), " | ", Values(key), " | ",
                 ReplaceAll(std::string(key.meaning), "|", "\\|"), " |\n");
  }
  return table;
}

std::string LaterList() {
  std::string list;
  for (const Key& key : Keys()) {
    if (key.type == KeyType::kLater) list += Cat("- `", key.path, "`\n");
    for (const std::string_view choice : SplitChoices(key.later_choices)) {
      list += Cat("- `", key.path, ": ", choice, "`\n");
    }
  }
  return list;
}

constexpr std::string_view kBegin = "<!-- keys: ";
constexpr std::string_view kEnd = "<!-- end of keys -->";

// The document with each block between the markers replaced by what the table of keys says;
// `sections` gets the names of the blocks.
std::string Regenerated(std::string_view document, std::vector<std::string>& sections) {
  std::string out;
  while (true) {
    const size_t begin = document.find(kBegin);
    if (begin == std::string_view::npos) break;
    const size_t name_begin = begin + kBegin.size();
    const size_t name_end = document.find(" -->\n", name_begin);
    const size_t end = document.find(kEnd, begin);
    EXPECT_LT(name_end, end) << "a block of keys without its end";
    if (name_end >= end || end == std::string_view::npos) break;
    const std::string name(document.substr(name_begin, name_end - name_begin));
    sections.push_back(name);
    out.append(document.substr(0, name_end + 5));
    out.append("\n");
    out.append(name == "later" ? LaterList() : SectionTable(name == "top" ? "" : name));
    out.append("\n").append(kEnd);
    document.remove_prefix(end + kEnd.size());
  }
  return out.append(document);
}

TEST(ConfigDocs, HaveEveryKeyWithItsDefaultAndNothingElse) {
  const std::filesystem::path path = ProjectRoot() / "docs" / "configuration.md";
  const std::string document = ReadText(path);
  std::vector<std::string> sections;
  const std::string expected = Regenerated(document, sections);
  if (std::getenv("RONDO_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << expected;
    return;
  }
  EXPECT_EQ(document, expected) << "run config_test once with RONDO_UPDATE_DOCS=1";
  std::set<std::string> needed = {"later"};
  for (const Key& key : Keys()) {
    if (key.type != KeyType::kLater)
      needed.insert(key.Section().empty() ? "top" : std::string(key.Section()));
  }
  EXPECT_EQ(std::set<std::string>(sections.begin(), sections.end()), needed);
  EXPECT_EQ(sections.size(), needed.size()) << "a section stands twice in the document";
}

TEST(ConfigDocs, ShowExamplesThatLoad) {
  const std::string document = ReadText(ProjectRoot() / "docs" / "configuration.md");
  size_t examples = 0;
  constexpr std::string_view kFence = "```yaml\n";
  for (size_t i = document.find(kFence); i != std::string::npos; i = document.find(kFence, i)) {
    i += kFence.size();
    const size_t end = document.find("```", i);
    ConfigOf(std::string_view(document).substr(i, end - i));
    i = end;
    ++examples;
  }
  EXPECT_GE(examples, 2u);
}

// A configuration that is right, with `text` among the keys of one section.
std::string WithText(std::string_view section, std::string_view text) {
  std::string listener = "listen: [':80']";
  std::string route = "upstream: api";
  std::string upstream;
  std::string backend = "address: 1.1.1.1:1";
  std::string top;
  const std::string_view parent = section.substr(section.rfind('.') + 1);
  if (section == "listeners.*") {
    if (!text.empty()) listener += Cat(", ", text);
  } else if (section == "listeners.*.tls") {
    listener += Cat(", tls: {certificates: [{cert: c, key: k}], client_ca: ca, ", text, "}");
  } else if (section.starts_with("listeners.*.") && section.ends_with(parent) &&
             section.find("[]") == std::string_view::npos) {
    listener += Cat(", ", parent, ": {", text, "}");
  } else if (section == "listeners.*.routes[].rate_limit") {
    route += Cat(", rate_limit: {rate: 1/s, ", text, "}");
  } else if (section == "listeners.*.routes[]") {
    route = Cat("upstreams: {api: 1}, ", text);
  } else if (section == "listeners.*.routes[].respond") {
    route = Cat("respond: {", text, "}");
  } else if (section == "listeners.*.routes[].redirect") {
    route = Cat("redirect: {to: /, ", text, "}");
  } else if (section == "upstreams.*") {
    upstream = Cat(", ", text);
  } else if (section == "upstreams.*.backends[]") {
    backend += Cat(", ", text);
  } else if (section.starts_with("upstreams.*.")) {
    upstream = Cat(", ", parent, ": {", text, "}");
  } else if (section == "logging.access") {
    top = Cat("logging: {access: {", text, "}}");
  } else {
    top = Cat(section, ": {", text, "}");
  }
  // A hash_key needs the one policy that it has a meaning for.
  if (text.starts_with("hash_key")) {
    upstream += ", balance: consistent_hash";
  }
  return Cat("listeners: {w: {", listener, ", routes: [{", route,
             "}]}}\nupstreams: {api: {backends: [{", backend, "}]", upstream, "}}\n", top, "\n");
}

TEST(ConfigDocs, SayTheDefaultsThatHold) {
  size_t checked = 0;
  for (const Key& key : Keys()) {
    const bool has_value =
        !key.default_text.empty() && key.default_text != "none" && key.default_text != "any";
    if (key.type == KeyType::kLater || !has_value) continue;
    const bool is_hash_key = key.Leaf() == "hash_key";
    const std::string with = WithText(key.Section(), Cat(key.Leaf(), ": ", key.default_text));
    std::string without = WithText(key.Section(), "");
    if (is_hash_key) without = WithText(key.Section(), "balance: consistent_hash");
    EXPECT_TRUE(ConfigOf(with) == ConfigOf(without)) << key.path;
    ++checked;
  }
  EXPECT_GT(checked, 40u);
}

TEST(ConfigFiles, InConfLoad) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ProjectRoot() / "conf")) {
    if (entry.path().extension() != ".yaml") continue;
    const LoadResult result = LoadFile(entry.path().string());
    for (const Error& error : result.errors)
      ADD_FAILURE() << FormatError(entry.path().string(), error);
    ++files;
  }
  EXPECT_GE(files, 12u);
}

TEST(ConfigFiles, HaveOneWithEveryKey) {
  const std::filesystem::path path = ProjectRoot() / "conf" / "full.yaml";
  const std::string text = ReadText(path);
  for (const Key& key : Keys()) {
    if (key.type == KeyType::kLater) continue;
    EXPECT_NE(text.find(Cat(key.Leaf(), ":")), std::string::npos)
        << key.path << " is missing in " << path;
  }
  const LoadResult result = LoadFile(path.string());
  ASSERT_TRUE(result.config.has_value());
  const Config& config = *result.config;
  EXPECT_EQ(config.process, (Process{.pid_file = "/run/rondo.pid",
                                     .user = "rondo",
                                     .state_file = "/var/lib/rondo/state.json"}));
  Admin admin;
  const std::string certs = (ProjectRoot() / "conf" / "certs").string();
  admin.tls = AdminTls{.cert = certs + "/admin.pem",
                       .key = certs + "/admin.key",
                       .client_ca = certs + "/operators.pem"};
  EXPECT_EQ(config.admin, admin);
  EXPECT_EQ(config.resolver, Resolver());
  EXPECT_EQ(config.logging, Logging());
  EXPECT_EQ(config.timeouts, Timeouts());
  EXPECT_EQ(config.limits, Limits());
  const Listener& web = config.listeners.at(0);
  const ListenerTls tls{
      .certificates = {{.cert = certs + "/web.pem",
                        .key = certs + "/web.key",
                        .ocsp = certs + "/web.ocsp"},
                       {.cert = certs + "/wildcard.pem", .key = certs + "/wildcard.key"}},
      .hsts = std::chrono::hours(365 * 24),
      .client_auth = ClientAuth::kRequired,
      .client_ca = certs + "/clients.pem",
      .crl = certs + "/clients.crl",
      .client_headers = true,
      .ticket_keys = certs + "/tickets.key"};
  EXPECT_EQ(web.tls, tls);
  EXPECT_EQ(web.http2, Http2());
  EXPECT_EQ(web.routes.at(0).rate_limit, (RateLimit{.requests = 100, .burst = 100}));
  EXPECT_EQ(config.upstreams.at(0).tls, (UpstreamTls{.ca = certs + "/backends.pem",
                                                     .cert = certs + "/rondo.pem",
                                                     .key = certs + "/rondo.key",
                                                     .sni = "api.internal"}));
  EXPECT_EQ(config.upstreams.at(0).keepalive, Keepalive());
  EXPECT_EQ(config.upstreams.at(0).queue, Queue());
  EXPECT_EQ(config.upstreams.at(0).passive_health, PassiveHealth());
  EXPECT_EQ(config.upstreams.at(0).warm_up, WarmUp());
  EXPECT_EQ(config.upstreams.at(0).slow_start, Upstream().slow_start);
  EXPECT_EQ(config.upstreams.at(0).panic_percent, Upstream().panic_percent);
  EXPECT_EQ(config.upstreams.at(0).drain_timeout, Upstream().drain_timeout);
  const HealthCheck check{.port = 8080,
                          .host = "api.example.com",
                          .headers = {{"X-Probe", "rondo"}},
                          .expect_body = "ok"};
  EXPECT_EQ(config.upstreams.at(0).health_check, check);
  EXPECT_EQ(config.upstreams.at(1).sticky, Sticky());
  EXPECT_EQ(config.upstreams.at(1).hash_key, HashKey());
  EXPECT_EQ(config.upstreams.at(2).health_check,
            (HealthCheck{.type = HealthCheck::Type::kGrpc, .service = "shop.v1.Orders"}));
  EXPECT_EQ(config.upstreams.at(0).retries, Retries());
  EXPECT_EQ(config.upstreams.at(0).timeouts, UpstreamTimeouts());
}

}  // namespace
}  // namespace rondo::config
