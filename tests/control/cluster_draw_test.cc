// Drawn sequences of operations against an obvious model: a list of what should be there. After
// each of them the cluster agrees with it; so does another process that starts with the same file
// and state file, and so do both after the drains are over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>

#include "cluster_world.h"
#include "rondo/base/rng.h"

namespace rondo::control {
namespace {

struct Wanted {
  uint32_t weight = 1;
  Hold hold = Hold::kNone;
  friend bool operator==(const Wanted&, const Wanted&) = default;
};
using Model = std::map<std::string, Wanted>;  // by address

constexpr uint64_t kAddresses = 8;

std::string AddressOf(uint64_t number) { return "10.0.0." + std::to_string(number) + ":80"; }

// The file's upstream: each address is in it or not, with a weight.
struct BaseList {
  std::map<std::string, uint32_t> weights;
  std::string Text() const {
    std::string list;
    for (const auto& [address, weight] : weights) {
      list += (list.empty() ? "" : ", ") + std::string("{address: ") + address +
              ", weight: " + std::to_string(weight) + "}";
    }
    return "listeners:\n  web: {listen: [127.0.0.1:8080], routes: [{upstream: api}]}\n"
           "upstreams:\n  api: {drain_timeout: 3s, backends: [" +
           list + "]}\n";
  }
};

class Draw {
 public:
  explicit Draw(uint64_t seed) : rng_(seed) {
    for (uint64_t i = 0; i < kAddresses; ++i) {
      if (rng_.Below(2) == 0) base_.weights[AddressOf(i)] = Weight();
    }
    for (const auto& [address, weight] : base_.weights) model_[address].weight = weight;
    machine_.WriteFile(base_.Text());
    Start();
  }

  void Run(int operations) {
    for (int i = 0; i < operations; ++i) {
      Operate();
      SCOPED_TRACE(::testing::Message() << "operation " << i << ": " << trace_);
      Compare();
      if (rng_.Below(4) == 0) process_->Pass(std::chrono::milliseconds(rng_.Below(2000)));
      if (rng_.Below(8) == 0) {
        Start();
        Compare();
      }
      if (::testing::Test::HasFailure()) return;
    }
    process_->Pass(std::chrono::seconds(10));
    Compare();
    EXPECT_EQ((*process_)->FindUpstream("api")->backends.size(), model_.size());
  }

 private:
  uint32_t Weight() { return static_cast<uint32_t>(1 + rng_.Below(3)); }

  void Start() {
    process_.reset();
    machine_.disk.Restart(FakeDisk::Loss::kLosesUnsynced);
    process_ = std::make_unique<ClusterProcess>(machine_);
    for (const auto& backend : (*process_)->FindUpstream("api")->backends) {
      if (rng_.Below(2) == 0) backend->shared->in_flight = 1;  // so that its drain takes its time
    }
  }

  void Operate() {
    Cluster& cluster = **process_;
    const std::string address = AddressOf(rng_.Below(kAddresses));
    const bool there = model_.contains(address);
    switch (rng_.Below(7)) {
      case 0: {
        const uint32_t weight = Weight();
        const Result result = cluster.AddBackend("api", ClusterProcess::At(address, weight));
        trace_ = "add " + address;
        EXPECT_EQ(result.ok(), !there || model_[address].weight == weight) << result.message;
        if (!there) model_[address] = Wanted{weight, Hold::kNone};
        break;
      }
      case 1:
        trace_ = "remove " + address;
        EXPECT_EQ(cluster.RemoveBackend("api", address).ok(), there || Leaves(address));
        model_.erase(address);
        break;
      case 2: {
        trace_ = "weight " + address;
        BackendPatch patch;
        patch.weight = Weight();
        EXPECT_EQ(cluster.PatchBackend("api", address, patch).ok(), there);
        if (there) model_[address].weight = *patch.weight;
        break;
      }
      case 3: {
        trace_ = "hold " + address;
        BackendPatch patch;
        const uint64_t kind = rng_.Below(3);
        patch.state = static_cast<config::WantedState>(kind);
        EXPECT_EQ(cluster.PatchBackend("api", address, patch).ok(), there);
        if (there) model_[address].hold = static_cast<Hold>(kind);
        break;
      }
      case 4:
        Put();
        break;
      case 5:
        Reload();
        break;
      case 6:
        if (rng_.Below(5) != 0) break;
        trace_ = "drop";
        EXPECT_TRUE(cluster.DropOverlay().ok());
        model_.clear();
        for (const auto& [each, weight] : base_.weights) model_[each].weight = weight;
        break;
      default:
        break;
    }
  }

  bool Leaves(const std::string& address) { return process_->Find(address) != nullptr; }

  void Put() {
    trace_ = "put";
    Model next;
    std::vector<config::Backend> list;
    for (uint64_t i = 0; i < kAddresses; ++i) {
      if (rng_.Below(2) == 0) continue;
      const std::string address = AddressOf(i);
      const auto before = model_.find(address);
      next[address] = Wanted{Weight(), before == model_.end() ? Hold::kNone : before->second.hold};
      list.push_back(ClusterProcess::At(address, next[address].weight));
    }
    EXPECT_TRUE((*process_)->PutBackends("api", std::move(list)).ok());
    model_ = std::move(next);
  }

  // The base changes under the overlay. What the API said of a backend stays while there is
  // something it is about: what it added stays as it was added, a change of weight or a hold while
  // the file has the backend, a removal too.
  void Reload() {
    trace_ = "reload";
    const BaseList before = base_;
    for (uint64_t i = 0; i < kAddresses; ++i) {
      if (rng_.Below(4) != 0) continue;
      const std::string address = AddressOf(i);
      if (base_.weights.contains(address)) {
        base_.weights.erase(address);
      } else {
        base_.weights[address] = Weight();
      }
    }
    machine_.WriteFile(base_.Text());
    const Result result = (*process_)->Reload();
    EXPECT_TRUE(result.ok()) << result.message;
    for (uint64_t i = 0; i < kAddresses; ++i) {
      const std::string address = AddressOf(i);
      const bool was = before.weights.contains(address);
      const bool is = base_.weights.contains(address);
      if (was && !is) model_.erase(address);
      if (!was && is && !model_.contains(address))
        model_[address] = Wanted{base_.weights[address], Hold::kNone};
    }
  }

  void Compare() {
    Model found;
    for (const auto& backend : (*process_)->FindUpstream("api")->backends) {
      if (backend->removing) continue;
      EXPECT_TRUE(found
                      .emplace(backend->settings.address.ToString(),
                               Wanted{backend->settings.weight, backend->hold})
                      .second);
      switch (backend->hold) {
        case Hold::kNone:
          EXPECT_EQ(backend->machine.state(), health::State::kUp);
          break;
        case Hold::kDraining:
          EXPECT_TRUE(backend->drain_step != DrainStep::kNone);
          break;
        case Hold::kMaintenance:
          EXPECT_EQ(backend->machine.state(), health::State::kMaintenance);
          break;
      }
      EXPECT_EQ(backend->shared->state.load(), backend->machine.state());
    }
    EXPECT_TRUE(found == model_) << ::testing::PrintToString(process_->List());
    // Who is published: all that are wanted, and those that leave.
    EXPECT_GE(process_->Published().size(), model_.size());
    EXPECT_LE(process_->Published().size(), (*process_)->FindUpstream("api")->backends.size());
  }

  Rng rng_;
  Machine machine_;
  BaseList base_;
  Model model_;
  std::unique_ptr<ClusterProcess> process_;
  std::string trace_;
};

TEST(ClusterDraw, AgreesWithTheObviousModelOverRestartsAndReloads) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    Draw draw(seed);
    draw.Run(60);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace rondo::control
