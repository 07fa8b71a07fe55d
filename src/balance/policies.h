// The constructors of the policies, one for each file; policy.cc chooses among them by name.
#pragma once

#include <memory>
#include <vector>

#include "rondo/balance/policy.h"

namespace rondo::balance {

// REQUIRES of all: each weight is at least 1.
std::unique_ptr<Policy> MakeRoundRobin(const std::vector<Member>& members, uint64_t seed);
std::unique_ptr<Policy> MakeLeastConnections(std::vector<Member> members, uint64_t seed);
std::unique_ptr<Policy> MakeIpHash(const std::vector<Member>& members);

}  // namespace rondo::balance
