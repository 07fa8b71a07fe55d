#include "rondo/io/limits.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace rondo::io {
namespace {

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

int CpusOfAffinity() {
  // The kernel refuses a set that is smaller than its own: grow until it fits.
  for (size_t cpus = CPU_SETSIZE; cpus <= size_t{1} << 20; cpus *= 4) {
    std::vector<unsigned long> words(cpus / (8 * sizeof(unsigned long)));
    auto* set = reinterpret_cast<cpu_set_t*>(words.data());
    const size_t bytes = words.size() * sizeof(unsigned long);
    if (sched_getaffinity(0, bytes, set) == 0) return std::max(1, CPU_COUNT_S(bytes, set));
  }
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

std::optional<double> ParsePositive(std::string_view text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return static_cast<double>(value);
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

std::optional<double> QuotaOfFolder(const std::string& folder) {
  if (const auto max = ReadFile(folder + "/cpu.max")) return ParseCpuMax(*max);
  const auto quota = ReadFile(folder + "/cpu.cfs_quota_us");  // -1: no limit
  const auto period = ReadFile(folder + "/cpu.cfs_period_us");
  if (!quota || !period) return std::nullopt;
  const std::string_view quota_text = Trimmed(*quota);
  return ParseCpuMax(std::string(quota_text) + " " + *period);
}

// The smallest quota from `path` up to the root of the hierarchy that is mounted at `mount`.
double QuotaOfPath(const std::string& mount, std::string path) {
  double smallest = std::numeric_limits<double>::infinity();
  for (;;) {
    if (const auto quota = QuotaOfFolder(mount + path)) smallest = std::min(smallest, *quota);
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || path.empty()) return smallest;
    path.resize(slash);
  }
}

double QuotaOfGroups() {
  double smallest = std::numeric_limits<double>::infinity();
  std::ifstream groups("/proc/self/cgroup");
  // "0::/path" is version 2, "4:cpu,cpuacct:/path" version 1.
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (controllers.empty()) {
      smallest = std::min(smallest, QuotaOfPath("/sys/fs/cgroup", path));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      smallest = std::min(smallest, QuotaOfPath("/sys/fs/cgroup/cpu", path));
    }
  }
  return smallest;
}

}  // namespace

size_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    // A refusal leaves the soft limit as it was, and that is what is returned.
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<size_t>(limit.rlim_cur);
}

int UsableCpus() {
  const int affinity = CpusOfAffinity();
  const double quota = QuotaOfGroups();
  if (quota >= affinity) return affinity;
  return std::max(1, static_cast<int>(std::ceil(quota)));
}

std::optional<double> ParseCpuMax(std::string_view text) {
  text = Trimmed(text);
  const size_t space = text.find(' ');
  const std::optional<double> quota = ParsePositive(text.substr(0, space));
  if (!quota) return std::nullopt;
  double period = 100'000;  // the kernel's default where only the quota is written
  if (space != std::string_view::npos) {
    const std::optional<double> parsed = ParsePositive(text.substr(space + 1));
    if (!parsed) return std::nullopt;
    period = *parsed;
  }
  return *quota / period;
}

}  // namespace rondo::io
