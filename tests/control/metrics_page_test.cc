#include "control/metrics_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/metrics/backend_cell.h"

namespace rondo::control {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr size_t kWorkers = 2;

SocketAddress Address(uint16_t port) {
  SocketAddress address;
  address.ip = IpAddress::V4(0x0a000001);
  address.port = port;
  return address;
}

// A small process: what it serves, and what its two workers have counted.
class Numbers {
 public:
  Numbers() : traffic_(kWorkers) {
    for (const metrics::TrafficCells& cells : traffic_) input.workers.push_back({&cells, 0.25});
    input.listeners = &listeners_;
    input.version = "1.2.3";
    input.engine = "epoll";
    input.engine_reason = "asked for";
    input.revision = 7;
    input.reloads_ok = 2;
    input.process = {1.5, 1000.25, 4096, 8192, 12, 1024};
  }
  void AddListener(std::string name, bool tls = false) {
    config::Listener listener;
    listener.name = std::move(name);
    if (tls) listener.tls.emplace();
    listeners_.push_back(std::move(listener));
  }
  UpstreamView& AddUpstream(std::string name) {
    auto upstream = std::make_unique<UpstreamView>();
    upstream->settings.name = name;
    upstream->shared = std::make_shared<upstream::UpstreamShared>(std::move(name), kWorkers);
    upstreams_.push_back(std::move(upstream));
    return *upstreams_.back();
  }
  static BackendView& AddBackend(UpstreamView& upstream, std::string id, uint16_t port) {
    auto shared = std::make_shared<upstream::BackendShared>(
        id, Address(port), upstream::BackendShared::NextSerial(), kWorkers);
    upstream.backends.push_back(std::make_unique<BackendView>(
        BackendView{.id = std::move(id),
                    .settings = {},
                    .shared = std::move(shared),
                    .machine = health::Machine({}, health::Actor::kConfig, Instant(seconds(1)))}));
    return *upstream.backends.back();
  }
  metrics::TrafficCell& Cell(size_t worker, std::string_view listener, std::string_view upstream) {
    return traffic_[worker].Get(listener, upstream).cell;
  }
  void RemoveUpstreams() { upstreams_.clear(); }
  void RemoveListeners() { listeners_.clear(); }

  std::string Page() {
    input.upstreams.clear();
    for (const auto& upstream : upstreams_) input.upstreams.push_back(upstream.get());
    std::string page;
    WriteMetricsPage(input, page);
    return page;
  }

  MetricsInput input;

 private:
  std::vector<metrics::TrafficCells> traffic_;
  std::vector<config::Listener> listeners_;
  std::vector<std::unique_ptr<UpstreamView>> upstreams_;
};

std::vector<std::string> Lines(const std::string& page) {
  std::vector<std::string> lines;
  std::istringstream in(page);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The samples of one family, without what is said about it.
std::vector<std::string> Samples(const std::string& page, const std::string& family) {
  std::vector<std::string> samples;
  bool inside = false;
  for (const std::string& line : Lines(page)) {
    if (line.starts_with("# HELP ")) inside = line.starts_with("# HELP " + family + " ");
    if (inside && !line.starts_with('#')) samples.push_back(line);
  }
  return samples;
}

TEST(MetricsPage, SumsUpWhatWorkersCountedOfRequests) {
  Numbers numbers;
  numbers.AddListener("web");
  numbers.AddUpstream("api");
  numbers.Cell(0, "web", "api").codes.Add(metrics::Method::kGet, 200);
  numbers.Cell(1, "web", "api").codes.Add(metrics::Method::kGet, 200);
  numbers.Cell(1, "web", "api").codes.Add(metrics::Method::kPost, 503);
  numbers.Cell(1, "web", "").codes.Add(metrics::Method::kGet, 404);
  numbers.Cell(0, "web", "api").received_bytes.Add(100);
  numbers.Cell(1, "web", "api").received_bytes.Add(11);
  numbers.Cell(1, "web", "").sent_bytes.Add(70);
  const std::string page = numbers.Page();
  EXPECT_THAT(page, HasSubstr("# TYPE http_requests_total counter\n"));
  EXPECT_THAT(
      Samples(page, "http_requests_total"),
      ElementsAre(
          R"(http_requests_total{listener="web",upstream="",method="GET",code="404"} 1)",
          R"(http_requests_total{listener="web",upstream="api",method="GET",code="200"} 2)",
          R"(http_requests_total{listener="web",upstream="api",method="POST",code="503"} 1)"));
  EXPECT_THAT(Samples(page, "rondo_received_bytes_total"),
              ElementsAre(R"(rondo_received_bytes_total{listener="web",upstream=""} 0)",
                          R"(rondo_received_bytes_total{listener="web",upstream="api"} 111)"));
  EXPECT_THAT(Samples(page, "rondo_sent_bytes_total"),
              ElementsAre(R"(rondo_sent_bytes_total{listener="web",upstream=""} 70)",
                          R"(rondo_sent_bytes_total{listener="web",upstream="api"} 0)"));
}

TEST(MetricsPage, DurationsAreCumulatedOverWorkers) {
  Numbers numbers;
  numbers.AddListener("web");
  numbers.AddUpstream("api");
  numbers.Cell(0, "web", "api").duration.Observe(microseconds(250));
  numbers.Cell(1, "web", "api").duration.Observe(milliseconds(40));
  numbers.Cell(1, "web", "api").duration.Observe(seconds(90));
  const std::vector<std::string> samples = Samples(numbers.Page(), "http_request_duration_seconds");
  ASSERT_EQ(samples.size(), metrics::kRequestBounds.size() + 3);
  const std::string labels = R"({listener="web",upstream="api")";
  const std::string bucket = "http_request_duration_seconds_bucket" + labels;
  EXPECT_EQ(samples.front(), bucket + R"(,le="0.00025"} 1)");
  EXPECT_THAT(samples, IsSupersetOf({bucket + R"(,le="0.025"} 1)", bucket + R"(,le="0.05"} 2)",
                                     bucket + R"(,le="60"} 2)", bucket + R"(,le="+Inf"} 3)",
                                     "http_request_duration_seconds_sum" + labels + "} 90.04025",
                                     "http_request_duration_seconds_count" + labels + "} 3"}));
}

TEST(MetricsPage, TellsOfListenersAlsoWithoutTraffic) {
  Numbers numbers;
  numbers.AddListener("quiet");
  numbers.AddListener("web");
  numbers.AddUpstream("api");
  numbers.Cell(0, "web", "").connections.Add(3);
  numbers.Cell(1, "web", "").connections.Add(-1);  // taken over from the other for a moment
  numbers.Cell(0, "web", "").http2_connections.Add(1);
  numbers.Cell(0, "web", "").http2_streams.Add(5);
  numbers.Cell(1, "web", "").http2_streams.Add(4);
  numbers.Cell(0, "web", "api").rejected.Add("queue_full");
  numbers.Cell(1, "web", "").rejected.Add("no_route");
  numbers.Cell(1, "web", "").rejected.Add("queue_full");
  const std::string page = numbers.Page();
  EXPECT_THAT(Samples(page, "rondo_connections"),
              ElementsAre(R"(rondo_connections{listener="quiet"} 0)",
                          R"(rondo_connections{listener="web"} 2)"));
  EXPECT_THAT(Samples(page, "rondo_http2_connections"),
              ElementsAre(R"(rondo_http2_connections{listener="quiet"} 0)",
                          R"(rondo_http2_connections{listener="web"} 1)"));
  EXPECT_THAT(Samples(page, "rondo_http2_streams"),
              ElementsAre(R"(rondo_http2_streams{listener="quiet"} 0)",
                          R"(rondo_http2_streams{listener="web"} 9)"));
  EXPECT_THAT(Samples(page, "rondo_rejected_total"),
              ElementsAre(R"(rondo_rejected_total{listener="web",reason="no_route"} 1)",
                          R"(rondo_rejected_total{listener="web",reason="queue_full"} 2)"));
}

TEST(MetricsPage, TellsOfHandshakesOfListenersWithTlsAndOfWhenCertificatesEnd) {
  Numbers numbers;
  numbers.AddListener("plain");
  numbers.AddListener("web", true);
  numbers.AddListener("idle", true);
  numbers.Cell(0, "web", "").handshakes.Add(3);
  numbers.Cell(1, "web", "").handshakes.Add(1);
  numbers.Cell(1, "web", "").resumed_handshakes.Add(7);
  numbers.Cell(0, "web", "").handshake_failures.Add("unsupported_version");
  numbers.Cell(1, "web", "").handshakes_under_way.Add(2);
  const std::vector<ServedCertificate> certificates = {
      {"web", "/tls/a.pem", "CN=a", "ab", 1900000000}, {"(admin)", "/tls/b.pem", "CN=b", "cd", 7}};
  numbers.input.certificates = &certificates;
  const std::string page = numbers.Page();
  EXPECT_THAT(
      Samples(page, "rondo_tls_handshakes_total"),
      ElementsAre(
          R"(rondo_tls_handshakes_total{listener="idle",result="ok",resumed="false"} 0)",
          R"(rondo_tls_handshakes_total{listener="idle",result="ok",resumed="true"} 0)",
          R"(rondo_tls_handshakes_total{listener="web",result="ok",resumed="false"} 4)",
          R"(rondo_tls_handshakes_total{listener="web",result="ok",resumed="true"} 7)",
          R"(rondo_tls_handshakes_total{listener="web",result="unsupported_version",resumed="false"} 1)"));
  EXPECT_THAT(Samples(page, "rondo_tls_handshakes_in_progress"),
              ElementsAre(R"(rondo_tls_handshakes_in_progress{listener="idle"} 0)",
                          R"(rondo_tls_handshakes_in_progress{listener="web"} 2)"));
  EXPECT_THAT(
      Samples(page, "rondo_tls_certificate_not_after_seconds"),
      ElementsAre(
          R"(rondo_tls_certificate_not_after_seconds{listener="web",certificate="/tls/a.pem"} 1900000000)",
          "rondo_tls_certificate_not_after_seconds{listener=\"(admin)\","
          "certificate=\"/tls/b.pem\"} 7"));
}

TEST(MetricsPage, TellsOfQueuesRetriesAndTunnels) {
  Numbers numbers;
  numbers.AddListener("a");
  numbers.AddListener("b");
  UpstreamView& api = numbers.AddUpstream("api");
  BackendView& one = Numbers::AddBackend(api, "one", 80);
  BackendView& two = Numbers::AddBackend(api, "two", 81);
  one.shared->tunnels = 2;
  two.shared->tunnels = 1;
  ASSERT_TRUE(api.shared->board.Enter(10));
  numbers.Cell(0, "a", "api").retries.Add("connect_refused");
  numbers.Cell(1, "b", "api").retries.Add("connect_refused");
  numbers.Cell(1, "b", "api").retries.Add("backend_reset");
  numbers.Cell(0, "a", "api").queue_wait.Observe(milliseconds(30));
  const std::string page = numbers.Page();
  EXPECT_THAT(Samples(page, "rondo_retries_total"),
              ElementsAre(R"(rondo_retries_total{upstream="api",reason="backend_reset"} 1)",
                          R"(rondo_retries_total{upstream="api",reason="connect_refused"} 2)"));
  EXPECT_THAT(Samples(page, "rondo_queue_depth"),
              ElementsAre(R"(rondo_queue_depth{upstream="api"} 1)"));
  EXPECT_THAT(Samples(page, "rondo_tunnels"), ElementsAre(R"(rondo_tunnels{upstream="api"} 3)"));
  EXPECT_THAT(page, HasSubstr("rondo_queue_wait_seconds_bucket{upstream=\"api\",le=\"0.025\"} 0\n"
                              "rondo_queue_wait_seconds_bucket{upstream=\"api\",le=\"0.1\"} 1\n"));
  api.shared->board.Leave();
}

TEST(MetricsPage, TellsOfBackends) {
  Numbers numbers;
  UpstreamView& api = numbers.AddUpstream("api");
  BackendView& one = Numbers::AddBackend(api, "10.0.0.1:80", 80);
  Numbers::AddBackend(api, "idle", 81)
      .machine.SetMaintenance(health::Actor::kApi, "held", Instant(seconds(2)));
  one.shared->in_flight = 4;
  for (size_t worker = 0; worker < kWorkers; ++worker) {
    metrics::BackendCell& cell = one.shared->CellOf(worker);
    cell.codes.Add(metrics::Method::kOther, 200);
    cell.failures.Add("backend_reset");
    cell.opened.Add(2);
    cell.reused.Add(5);
    cell.idle.Add(1);
    cell.active.Add(3);
    cell.connect.Observe(microseconds(100));
  }
  one.shared->CellOf(0).codes.Add(metrics::Method::kOther, 500);
  const std::string page = numbers.Page();
  const std::string labels = R"({upstream="api",backend="10.0.0.1:80")";
  const std::string idle = R"({upstream="api",backend="idle")";
  EXPECT_THAT(Samples(page, "rondo_backend_requests_total"),
              ElementsAre("rondo_backend_requests_total" + labels + R"(,code="200"} 2)",
                          "rondo_backend_requests_total" + labels + R"(,code="500"} 1)"));
  EXPECT_THAT(
      Samples(page, "rondo_backend_failures_total"),
      ElementsAre("rondo_backend_failures_total" + labels + R"(,reason="backend_reset"} 2)"));
  EXPECT_THAT(Samples(page, "rondo_backend_in_flight"),
              ElementsAre("rondo_backend_in_flight" + labels + "} 4",
                          "rondo_backend_in_flight" + idle + "} 0"));
  EXPECT_THAT(Samples(page, "rondo_backend_state"),
              ElementsAre("rondo_backend_state" + labels + R"(,state="up"} 1)",
                          "rondo_backend_state" + idle + R"(,state="maintenance"} 1)"));
  EXPECT_THAT(Samples(page, "rondo_pool_idle"),
              ElementsAre("rondo_pool_idle" + labels + "} 2", "rondo_pool_idle" + idle + "} 0"));
  EXPECT_THAT(Samples(page, "rondo_pool_active"), ElementsAre("rondo_pool_active" + labels + "} 6",
                                                              "rondo_pool_active" + idle + "} 0"));
  EXPECT_THAT(Samples(page, "rondo_pool_opened_total"),
              ElementsAre("rondo_pool_opened_total" + labels + "} 4",
                          "rondo_pool_opened_total" + idle + "} 0"));
  EXPECT_THAT(Samples(page, "rondo_pool_reused_total"),
              ElementsAre("rondo_pool_reused_total" + labels + "} 10",
                          "rondo_pool_reused_total" + idle + "} 0"));
  // Without a connection there is nothing to say about how long connecting took.
  EXPECT_EQ(Samples(page, "rondo_backend_connect_seconds").size(), metrics::kWaitBounds.size() + 3);
}

TEST(MetricsPage, WhatHasGoneFromTheConfigurationIsLeftOut) {
  Numbers numbers;
  numbers.AddListener("web");
  UpstreamView& api = numbers.AddUpstream("api");
  Numbers::AddBackend(api, "one", 80).shared->CellOf(0).codes.Add(metrics::Method::kOther, 200);
  numbers.Cell(0, "web", "api").codes.Add(metrics::Method::kGet, 200);
  numbers.Cell(0, "web", "api").retries.Add("backend_reset");
  numbers.Cell(0, "web", "").rejected.Add("no_route");
  EXPECT_THAT(numbers.Page(), HasSubstr("upstream=\"api\""));
  api.backends.clear();
  EXPECT_THAT(numbers.Page(), Not(HasSubstr("backend=\"one\"")));
  numbers.RemoveUpstreams();
  EXPECT_THAT(numbers.Page(), Not(HasSubstr("upstream=\"api\"")));
  EXPECT_THAT(numbers.Page(), HasSubstr("listener=\"web\""));
  numbers.RemoveListeners();
  EXPECT_THAT(numbers.Page(), Not(HasSubstr("listener=\"")));
  // Counting has gone on: who comes back finds it.
  numbers.AddListener("web");
  numbers.AddUpstream("api");
  EXPECT_THAT(numbers.Page(), HasSubstr("upstream=\"api\",method=\"GET\",code=\"200\"} 1"));
}

TEST(MetricsPage, WhatClientsAndBackendsInventMakesNoSeries) {
  Numbers numbers;
  numbers.AddListener("web", true);
  const std::vector<ServedCertificate> certificates = {{"web", "/tls/a.pem", "CN=a", "ab", 7}};
  numbers.input.certificates = &certificates;
  UpstreamView& api = numbers.AddUpstream("api");
  metrics::BackendCell& backend = Numbers::AddBackend(api, "one", 80).shared->CellOf(0);
  metrics::TrafficCell& cell = numbers.Cell(0, "web", "api");
  for (int i = 0; i < 5000; ++i) {
    cell.codes.Add(metrics::MethodOf("M" + std::to_string(i)), i);
    backend.codes.Add(metrics::Method::kOther, i);
  }
  const std::string page = numbers.Page();
  EXPECT_EQ(Samples(page, "http_requests_total").size(), 501u);
  EXPECT_EQ(Samples(page, "rondo_backend_requests_total").size(), 501u);
  EXPECT_THAT(page,
              HasSubstr(R"({listener="web",upstream="api",method="other",code="other"} 4500)"));
}

TEST(MetricsPage, TellsOfTheProcess) {
  Numbers numbers;
  const std::string page = numbers.Page();
  EXPECT_THAT(Lines(page),
              IsSupersetOf({R"(rondo_build_info{version="1.2.3"} 1)",
                            R"(rondo_engine_info{engine="epoll",reason="asked for"} 1)",
                            R"(rondo_worker_busy_ratio{worker="0"} 0.25)",
                            R"(rondo_worker_busy_ratio{worker="1"} 0.25)",
                            "rondo_config_revision 7", R"(rondo_reloads_total{result="ok"} 2)",
                            R"(rondo_reloads_total{result="failed"} 0)",
                            "process_cpu_seconds_total 1.5", "process_resident_memory_bytes 4096",
                            "process_virtual_memory_bytes 8192", "process_open_fds 12",
                            "process_max_fds 1024", "process_start_time_seconds 1000.25"}));
}

// Family, type and the names of its labels, as the page has them.
using Families = std::map<std::string, std::pair<std::string, std::set<std::string>>>;

Families OfPage(const std::string& page) {
  static const std::regex kType("# TYPE (\\S+) (\\S+)");
  static const std::regex kLabel("([a-z_]+)=\"");
  Families families;
  std::string family;
  for (const std::string& line : Lines(page)) {
    std::smatch match;
    if (std::regex_match(line, match, kType)) {
      family = match[1];
      families[family].first = match[2];
    }
    if (line.starts_with('#')) continue;
    for (std::sregex_iterator it(line.begin(), line.end(), kLabel), end; it != end; ++it) {
      if ((*it)[1] != "le") families[family].second.insert((*it)[1]);
    }
  }
  return families;
}

// Rows of the document: | `name` | type | labels | what |
Families OfDocument() {
  const auto root = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
  std::ifstream file(root / "docs" / "metrics.md");
  EXPECT_TRUE(file.good());
  static const std::regex kRow("\\| `([a-z0-9_]+)` \\| ([a-z]+) \\| ([a-z_, ]*)\\|.*");
  static const std::regex kName("[a-z_]+");
  Families families;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, kRow)) continue;
    auto& [type, labels] = families[match[1]];
    type = match[2];
    const std::string names = match[3];
    for (std::sregex_iterator it(names.begin(), names.end(), kName), end; it != end; ++it) {
      labels.insert(it->str());
    }
  }
  return families;
}

TEST(MetricsPage, IsWhatItsDocumentSays) {
  Numbers numbers;
  numbers.AddListener("web", true);
  const std::vector<ServedCertificate> certificates = {{"web", "/tls/a.pem", "CN=a", "ab", 7}};
  numbers.input.certificates = &certificates;
  UpstreamView& api = numbers.AddUpstream("api");
  metrics::BackendCell& backend = Numbers::AddBackend(api, "one", 80).shared->CellOf(0);
  backend.codes.Add(metrics::Method::kOther, 200);
  backend.failures.Add("backend_reset");
  backend.opened.Add();
  metrics::TrafficCell& cell = numbers.Cell(0, "web", "api");
  cell.codes.Add(metrics::Method::kGet, 200);
  cell.rejected.Add("no_route");
  cell.retries.Add("backend_reset");
  metrics::CountLimited(cell, 0, false);
  Families page = OfPage(numbers.Page());
  // Its samples take a prober.
  page["rondo_health_checks_total"].second = {"upstream", "backend", "result"};
  const Families document = OfDocument();
  EXPECT_GT(document.size(), 20u);
  EXPECT_EQ(page, document);
}

TEST(MetricsPage, EachFamilyComesOnceAndSamplesBelongToTheirs) {
  Numbers numbers;
  numbers.AddListener("web");
  Numbers::AddBackend(numbers.AddUpstream("api"), "one", 80).shared->CellOf(0).opened.Add();
  std::set<std::string> seen;
  std::string family;
  for (const std::string& line : Lines(numbers.Page())) {
    std::istringstream words(line);
    std::string first;
    std::string kind;
    words >> first >> kind;
    if (first == "#" && kind == "HELP") {
      words >> family;
      EXPECT_TRUE(seen.insert(family).second) << family;
    } else if (first != "#") {
      EXPECT_TRUE(first.starts_with(family)) << line;
    }
  }
}

}  // namespace
}  // namespace rondo::control
