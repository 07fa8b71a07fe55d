// What the system allows this process: descriptors and CPUs. Read once, at start.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace rondo::io {

// Raises the soft limit of open descriptors to the hard one (containers start with a soft limit of
// 1024). Returns the limit now in force.
size_t RaiseDescriptorLimit();

// How many CPUs this process may use: the smaller of its affinity mask and its cgroup's quota (v1
// or v2, each of the groups around it), rounded up; at least 1.
int UsableCpus();

// The CPUs that a cgroup v2 `cpu.max` grants ("150000 100000" is 1.5); nothing where it sets no
// limit ("max") or cannot be understood. Pure.
std::optional<double> ParseCpuMax(std::string_view text);

}  // namespace rondo::io
