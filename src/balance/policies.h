// The constructors of the policies, one for each file; policy.cc chooses among them by name.
#pragma once

#include <memory>
#include <vector>

#include "rondo/balance/policy.h"

namespace rondo::balance {

// REQUIRES of all: at least one member, each weight at least 1.
std::unique_ptr<Policy> MakeRoundRobin(const std::vector<Member>& members, uint64_t seed);
std::unique_ptr<Policy> MakeLeastConnections(std::vector<Member> members, uint64_t seed);
std::unique_ptr<Policy> MakeIpHash(const std::vector<Member>& members);
std::unique_ptr<Policy> MakeConsistentHash(const std::vector<Member>& members);
std::unique_ptr<Policy> MakeRandomTwo(std::vector<Member> members, uint64_t seed);
std::unique_ptr<Policy> MakePeakEwma(std::vector<Member> members, uint64_t seed);

}  // namespace rondo::balance
