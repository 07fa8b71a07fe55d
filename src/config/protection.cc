// Who is let in, how often and how slowly.
#include <algorithm>
#include <chrono>

#include "config/build.h"
#include "config/route_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {

void BuildNetworks(const Section& section, std::string_view leaf, std::vector<Network>& networks) {
  const std::optional<std::vector<const Node*>> list = section.ReadList(leaf);
  if (!list) return;
  for (const Node* node : *list) {
    const std::optional<Text> text =
        ReadElement(section.context(), *node, leaf, "a network such as 10.0.0.0/8");
    if (!text) continue;
    const Checked<Network> network = CheckNetwork(text->value);
    if (network.value) {
      networks.push_back(*network.value);
    } else {
      section.context().AddError(text->where, ValueProblem(leaf, text->value, network.problem));
    }
  }
}

void BuildListenerLimits(const Section& section, Listener& listener) {
  BuildNetworks(section, "allow", listener.allow);
  BuildNetworks(section, "deny", listener.deny);
  if (const std::optional<Section> connections = section.ReadSection("connections")) {
    connections->ReadWhole("total", listener.connections_total);
    connections->ReadWhole("per_address", listener.connections_per_address);
  }
  if (const std::optional<Section> min_rate = section.ReadSection("min_rate")) {
    min_rate->ReadSize("request", listener.min_rate_request);
    min_rate->ReadSize("response", listener.min_rate_response);
  }
}

void BuildRateLimit(const Section& route, std::optional<RateLimit>& config) {
  const std::optional<Section> section = route.ReadSection("rate_limit");
  if (!section) return;
  RateLimit& limit = config.emplace();
  Context& context = section->context();
  if (section->Missing("rate")) {
    context.AddError(section->where(),
                     "this `rate_limit` has no `rate`: write one, such as {rate: 100/s}");
  }
  if (const std::optional<Text> text = section->ReadText("rate")) {
    const Checked<RequestRate> rate = CheckRate(text->value);
    if (rate.value) {
      limit.requests = rate.value->requests;
      limit.per = rate.value->per;
    } else {
      context.AddError(text->where, ValueProblem("rate", text->value, rate.problem));
    }
  }
  limit.burst = DefaultBurst(limit);
  section->ReadWhole("burst", limit.burst);
  if (const std::optional<Text> text = section->ReadText("key")) {
    Checked<HashKey> key = CheckRateKey(text->value);
    if (key.value) {
      limit.key = std::move(*key.value);
    } else {
      context.AddError(text->where, ValueProblem("key", text->value, key.problem));
    }
  }
  section->ReadBool("dry_run", limit.dry_run);
}

uint32_t DefaultBurst(const RateLimit& limit) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit.per).count();
  return std::max<uint32_t>(1, limit.requests / static_cast<uint32_t>(seconds));
}

}  // namespace rondo::config
