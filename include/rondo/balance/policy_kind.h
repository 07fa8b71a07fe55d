// The ways of choosing a backend, by the names they have in the configuration. Values only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rondo::balance {

enum class PolicyKind : uint8_t {
  kRoundRobin,
  kLeastConnections,
  kIpHash,
  kConsistentHash,
  kRandomTwo,
  kPeakEwma,
};

inline constexpr std::array kPolicyKinds = {
    PolicyKind::kRoundRobin,     PolicyKind::kLeastConnections, PolicyKind::kIpHash,
    PolicyKind::kConsistentHash, PolicyKind::kRandomTwo,        PolicyKind::kPeakEwma,
};

constexpr std::string_view PolicyName(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kRoundRobin:
      return "round_robin";
    case PolicyKind::kLeastConnections:
      return "least_connections";
    case PolicyKind::kIpHash:
      return "ip_hash";
    case PolicyKind::kConsistentHash:
      return "consistent_hash";
    case PolicyKind::kRandomTwo:
      return "random_two";
    case PolicyKind::kPeakEwma:
      return "peak_ewma";
  }
  return {};
}

// Exactly the name as PolicyName gives it; nothing for anything else.
constexpr std::optional<PolicyKind> PolicyFromName(std::string_view name) {
  for (const PolicyKind kind : kPolicyKinds) {
    if (PolicyName(kind) == name) return kind;
  }
  return std::nullopt;
}

}  // namespace rondo::balance
