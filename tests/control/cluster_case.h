// What the tests of whole configurations, sources and health share: a cluster whose file they write.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster_world.h"

namespace rondo::control {

inline std::string File(std::string_view api, std::string_view more = "") {
  return "listeners:\n  web: {listen: [127.0.0.1:8080], routes: [{upstream: api}]}\nupstreams:\n  "
         "api: " +
         std::string(api) + "\n" + std::string(more);
}

class ClusterConfigTest : public ::testing::Test {
 protected:
  void Begin(const std::string& file) {
    machine_.WriteFile(file);
    process_.reset();
    process_ = std::make_unique<ClusterProcess>(machine_);
  }
  void Restart() {
    process_.reset();
    machine_.disk.Restart(FakeDisk::Loss::kLosesUnsynced);
    process_ = std::make_unique<ClusterProcess>(machine_);
  }
  Result ReloadWith(const std::string& file) {
    machine_.WriteFile(file);
    return cluster().Reload();
  }
  ClusterProcess& process() { return *process_; }
  Cluster& cluster() { return **process_; }
  static config::Backend At(std::string_view address, uint32_t weight = 1, std::string id = "") {
    return ClusterProcess::At(address, weight, std::move(id));
  }
  static void Expect(const Result& result, int status, std::string_view code) {
    EXPECT_EQ(result.status, status) << result.code << ": " << result.message;
    EXPECT_EQ(result.code, code) << result.message;
  }
  std::vector<std::string> EventsNow() { return process().NewEvents(); }

  Machine machine_;
  std::unique_ptr<ClusterProcess> process_;
};

}  // namespace rondo::control
