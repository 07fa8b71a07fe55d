// How the backends of an upstream are checked, warmed up and drained.
#include <algorithm>
#include <array>
#include <initializer_list>

#include "config/build.h"
#include "config/host_checks.h"
#include "config/route_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"
#include "rondo/http/field.h"

namespace rondo::config {
namespace {

constexpr size_t kExpectBodyMax = 4096;
constexpr size_t kServiceMax = 255;

// "200" or "200-299".
std::optional<StatusRange> ParseStatusRange(std::string_view text) {
  const size_t dash = text.find('-');
  const std::optional<int64_t> first = ParseWhole(text.substr(0, dash));
  const std::optional<int64_t> last =
      dash == std::string_view::npos ? first : ParseWhole(text.substr(dash + 1));
  if (!first || !last || *first < 200 || *last > 599 || *last < *first) return std::nullopt;
  return StatusRange{.first = static_cast<int>(*first), .last = static_cast<int>(*last)};
}

void BuildExpectStatus(const Section& check, std::vector<StatusRange>& expected) {
  const std::optional<std::vector<Text>> texts =
      check.ReadOneOrList("expect_status", "a status code or a range such as 200-299");
  if (!texts) return;
  Context& context = check.context();
  const Node& written = *check.Find("expect_status")->value;
  if (written.kind == Node::Kind::kList && written.children.empty()) {
    context.AddError(written.mark,
                     "`expect_status` is empty: write at least one, or remove the key");
  }
  expected.clear();
  for (const Text& text : *texts) {
    if (const std::optional<StatusRange> range = ParseStatusRange(text.value)) {
      expected.push_back(*range);
    } else {
      context.AddError(
          text.where,
          ValueProblem("expect_status", text.value,
                       "must be a status code from 200 to 599, or a range such as 200-299"));
    }
  }
}

Checked<std::string> CheckProbeHeader(std::string_view text) {
  if (http::EqualsIgnoreCase(text, "Host")) {
    return {.value = std::nullopt, .problem = "is written as `host`: use that key in its place"};
  }
  return CheckEditedName(text);
}

void BuildHeaders(const Section& check, std::vector<std::pair<std::string, std::string>>& headers) {
  constexpr std::string_view kLeaf = "headers";
  const std::optional<std::vector<Entry>> entries = check.ReadNamed(kLeaf);
  if (!entries) return;
  Context& context = check.context();
  for (const Entry& entry : *entries) {
    Checked<std::string> name = CheckProbeHeader(entry.name);
    if (!name.value) {
      context.AddError(entry.where, ValueProblem(kLeaf, entry.name, name.problem));
      continue;
    }
    const std::optional<Text> text = ReadEntry(context, entry, kLeaf, "text");
    if (!text) continue;
    Checked<std::string> value = CheckEditedValue(text->value);
    const auto is_same = [&](const auto& other) {
      return http::EqualsIgnoreCase(other.first, *name.value);
    };
    if (!value.value) {
      context.AddError(text->where, HeaderProblem(kLeaf, *name.value, text->value, value.problem));
    } else if (std::ranges::any_of(headers, is_same)) {
      context.AddError(entry.where, Cat("`headers` has ", Quoted(*name.value), " twice"));
    } else if (!IsHiddenHeader(context, kLeaf, *name.value, *text)) {
      headers.emplace_back(std::move(*name.value), std::move(*value.value));
    }
  }
}

void BuildExpectBody(const Section& section, HealthCheck& check) {
  const std::optional<Text> text = section.ReadText("expect_body");
  if (!text) return;
  Context& context = section.context();
  if (text->value.empty() || text->value.size() > kExpectBodyMax) {
    context.AddError(text->where, Cat("`expect_body` must have 1 to ", kExpectBodyMax, " bytes"));
  } else if (check.method == "HEAD") {
    context.AddError(text->where,
                     "`expect_body` has no meaning with `method: HEAD`, which has no body: remove "
                     "one of them");
  } else {
    check.expect_body = text->value;
  }
}

void BuildHttpCheck(const Section& section, HealthCheck& check) {
  if (std::optional<std::string> method = section.ReadChoice("method")) {
    check.method = std::move(*method);
  }
  ReadChecked(section, "path", CheckProbePath, check.path);
  ReadChecked(section, "host", CheckProbeHost, check.host);
  BuildHeaders(section, check.headers);
  BuildExpectStatus(section, check.expect_status);
  BuildExpectBody(section, check);
}

// A call sets these by itself.
bool IsOfGrpc(std::string_view name) {
  constexpr std::string_view kPrefix = "grpc-";
  return http::EqualsIgnoreCase(name, "Content-Type") || http::EqualsIgnoreCase(name, "TE") ||
         http::EqualsIgnoreCase(name.substr(0, kPrefix.size()), kPrefix);
}

void BuildGrpcCheck(const Section& section, HealthCheck& check) {
  ReadChecked(section, "host", CheckProbeHost, check.host);
  BuildHeaders(section, check.headers);
  for (const auto& [name, value] : check.headers) {
    if (!IsOfGrpc(name)) continue;
    section.context().AddError(section.Find("headers")->where,
                               Cat("`headers` has ", Quoted(name),
                                   ", which a check of `type: grpc` sets by itself: remove it"));
  }
  const std::optional<Text> service = section.ReadText("service");
  if (!service) return;
  check.service = service->value;
  if (check.service.size() > kServiceMax) {
    section.context().AddError(service->where,
                               Cat("`service` must have at most ", kServiceMax, " bytes"));
  }
}

// Keys of checks of another type.
void RefuseKeys(const Section& section, std::string_view type,
                std::initializer_list<std::string_view> leaves) {
  for (const std::string_view leaf : leaves) {
    const Entry* entry = section.Find(leaf);
    if (entry == nullptr) continue;
    section.context().AddError(
        entry->where,
        Cat("`", leaf, "` has no meaning for a check of `type: ", type, "`: remove it"));
  }
}

void BuildByType(const Section& section, HealthCheck& check) {
  switch (check.type) {
    case HealthCheck::Type::kHttp:
      RefuseKeys(section, "http", {"service"});
      BuildHttpCheck(section, check);
      break;
    case HealthCheck::Type::kTcp:
      RefuseKeys(section, "tcp",
                 {"method", "path", "host", "headers", "expect_status", "expect_body", "service"});
      break;
    case HealthCheck::Type::kGrpc:
      RefuseKeys(section, "grpc", {"method", "path", "expect_status", "expect_body"});
      BuildGrpcCheck(section, check);
      break;
  }
}

void BuildHealthCheck(const Section& upstream, std::optional<HealthCheck>& config) {
  const std::optional<Section> section = upstream.ReadSection("health_check");
  if (!section) return;
  HealthCheck& check = config.emplace();
  const std::optional<std::string> type = section->ReadChoice("type");
  const bool is_known = type || section->Find("type") == nullptr;
  if (type == "tcp") check.type = HealthCheck::Type::kTcp;
  if (type == "grpc") check.type = HealthCheck::Type::kGrpc;
  section->ReadDuration("interval", check.interval);
  section->ReadDuration("timeout", check.timeout);
  section->ReadWhole("healthy_threshold", check.healthy_threshold);
  section->ReadWhole("unhealthy_threshold", check.unhealthy_threshold);
  if (uint16_t port = 0; section->Find("port") != nullptr) {
    section->ReadWhole("port", port);
    check.port = port;
  }
  if (is_known) BuildByType(*section, check);
}

void BuildWarmUp(const Section& upstream, std::optional<WarmUp>& config) {
  const std::optional<Section> section = upstream.ReadSection("warm_up");
  if (!section) return;
  WarmUp& warm_up = config.emplace();
  ReadChecked(*section, "path", CheckProbePath, warm_up.path);
  section->ReadWhole("requests", warm_up.requests);
  section->ReadWhole("concurrency", warm_up.concurrency);
  section->ReadDuration("timeout", warm_up.timeout);
}

}  // namespace

void BuildHealth(const Section& section, Upstream& upstream) {
  BuildHealthCheck(section, upstream.health_check);
  if (const std::optional<Section> passive = section.ReadSection("passive_health")) {
    passive->ReadWhole("max_fails", upstream.passive_health.max_fails);
    passive->ReadDuration("fail_timeout", upstream.passive_health.fail_timeout);
  }
  BuildWarmUp(section, upstream.warm_up);
  section.ReadDuration("slow_start", upstream.slow_start);
  section.ReadPercent("panic_threshold", upstream.panic_percent);
  section.ReadDuration("drain_timeout", upstream.drain_timeout);
}

}  // namespace rondo::config
