// Weighted rendezvous hashing in two steps. Members fall by the hash of their id into kGroups
// groups. A key chooses the group, by the sum of its members' weights, then the member in it; both
// times the one with the best score for this key wins. The cost is about kGroups + n / kGroups
// scores, there is no table to build when the members change, and shares follow the weights exactly
// whatever the number of members.
//
// What a key gets depends on ids and weights only. When one of n members leaves, its own keys move,
// and where it shared its group some of the group's: 1/n of the keys in small pools, at most 2/n in
// large ones. One scheme serves all sizes on purpose: with two, a pool that grew from one to the
// other would move every key.
#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <utility>

#include "balance/policies.h"
#include "balance/pool_policy.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

constexpr int kGroupBits = 7;

// log2(1 + i / 256) in 56 fractional bits, found by repeated squaring in integers: the logarithms
// of C libraries differ in their last bits, and with them the backend of some client would.
constexpr int kFractionBits = 56;
constexpr size_t kTableBits = 8;

constexpr uint64_t Log2OfMantissa(uint64_t mantissa) {  // 1.63 fixed point, in [1, 2)
  uint64_t result = 0;
  for (int bit = kFractionBits - 1; bit >= 0; --bit) {
    const unsigned __int128 square = static_cast<unsigned __int128>(mantissa) * mantissa;
    const bool two_or_more = (square >> 127) != 0;
    mantissa = static_cast<uint64_t>(square >> (two_or_more ? 64 : 63));
    if (two_or_more) result |= uint64_t{1} << bit;
  }
  return result;
}

constexpr auto MakeLogTable() {
  constexpr size_t kSteps = size_t{1} << kTableBits;
  std::array<uint64_t, kSteps + 1> table{};
  for (size_t i = 0; i < kSteps; ++i) {
    table[i] =
        Log2OfMantissa((uint64_t{1} << 63) + (static_cast<uint64_t>(i) << (63 - kTableBits)));
  }
  table[kSteps] = uint64_t{1} << kFractionBits;
  return table;
}
constexpr auto kLogTable = MakeLogTable();

// -log2(hash / 2^64) in 56 fractional bits. Between the table's values a straight line: the error
// stays under 0.2 % of the result, also where that is near zero, and so does the error of every
// member's share.
constexpr uint64_t NegativeLog2(uint64_t hash) {
  if (hash == 0) return uint64_t{64} << kFractionBits;
  const int zeros = std::countl_zero(hash);
  const uint64_t fraction = (hash << zeros) << 1;  // what follows the leading one
  const size_t step = fraction >> (64 - kTableBits);
  const uint64_t rest = fraction << kTableBits;
  const uint64_t low = kLogTable[step];
  const auto rise =
      static_cast<uint64_t>(static_cast<unsigned __int128>(kLogTable[step + 1] - low) * rest >> 64);
  const uint64_t one = uint64_t{1} << kFractionBits;
  return static_cast<uint64_t>(zeros) * one + (one - (low + rise));
}

// An exponential race: -log(uniform) / weight is least for each with a chance in proportion to its
// weight, and taking one out changes nothing between the others.
class Race {
 public:
  void Offer(size_t index, uint64_t hash, uint64_t weight) {
    const uint64_t time = NegativeLog2(hash);
    if (index_ != Policy::kNone) {
      const auto mine = static_cast<unsigned __int128>(time) * weight_;
      const auto best = static_cast<unsigned __int128>(time_) * weight;
      if (mine > best || (mine == best && hash <= hash_)) return;
    }
    index_ = index;
    hash_ = hash;
    time_ = time;
    weight_ = weight;
  }
  size_t winner() const { return index_; }

 private:
  size_t index_ = Policy::kNone;
  uint64_t hash_ = 0;
  uint64_t time_ = 0;
  uint64_t weight_ = 1;
};

class IpHash final : public PoolPolicy {
 public:
  explicit IpHash(const std::vector<Member>& members) : PoolPolicy(members) {
    std::vector<uint8_t> group_of(members.size());
    for (size_t i = 0; i < members.size(); ++i) {
      group_of[i] = static_cast<uint8_t>(Mix64(members[i].id_hash) >> (64 - kGroupBits));
      entries_.push_back(Entry{members[i].id_hash, members[i].weight, static_cast<uint32_t>(i)});
    }
    std::ranges::sort(entries_, {}, [&](const Entry& entry) {
      return std::pair(group_of[entry.index], entry.index);
    });
    for (size_t begin = 0; begin < entries_.size();) {
      const size_t number = group_of[entries_[begin].index];
      Group group{Mix64(number), 0, begin, begin};
      while (group.end < entries_.size() && group_of[entries_[group.end].index] == number) {
        group.weight += entries_[group.end++].weight;
      }
      groups_.push_back(group);
      begin = group.end;
    }
  }

  // A key whose member can not be had is hashed again: so the keys of a full or tried member spread
  // over all others by weight, and not over the few in its group.
  size_t Pick(PickContext context, const Tried& tried) override {
    const bool may_exclude = MayExclude(tried);
    uint64_t key = context.key;
    for (int i = 0; i < kHashings; ++i) {
      const uint64_t group_key = Mix64(key);
      const Group& group = groups_[WinningGroup(group_key, [](size_t) { return false; })];
      const size_t winner = WinningMember(group, group_key, [](size_t) { return false; });
      if (!may_exclude || !Excluded(winner, tried)) return winner;
      key = Mix64(group_key + 1);
    }
    return PickFromRest(Mix64(context.key), tried);
  }

 private:
  struct Entry {
    uint64_t id_hash;
    uint32_t weight;
    uint32_t index;
  };
  struct Group {
    uint64_t hash;
    uint64_t weight;
    size_t begin;  // of its entries
    size_t end;
  };

  static constexpr size_t kGroups = size_t{1} << kGroupBits;
  static constexpr int kHashings = 8;

  template <typename IsOut>
  size_t WinningGroup(uint64_t group_key, IsOut out) const {
    Race race;
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (!out(i)) race.Offer(i, Mix64(group_key ^ groups_[i].hash), groups_[i].weight);
    }
    return race.winner();
  }

  template <typename IsOut>
  size_t WinningMember(const Group& group, uint64_t group_key, IsOut out) const {
    // Another hash of the key: with the same one a group's win would say something about its
    // members'.
    const uint64_t member_key = Mix64(group_key);
    Race race;
    for (size_t i = group.begin; i < group.end; ++i) {
      const Entry& entry = entries_[i];
      if (!out(entry.index)) {
        race.Offer(entry.index, Mix64(member_key ^ entry.id_hash), entry.weight);
      }
    }
    return race.winner();
  }

  // Where most are full or tried: only among groups and members that can be had.
  size_t PickFromRest(uint64_t group_key, const Tried& tried) const {
    const auto excluded = [&](size_t index) { return Excluded(index, tried); };
    std::bitset<kGroups> out;
    for (size_t i = 0; i < groups_.size(); ++i) {
      size_t entry = groups_[i].begin;
      while (entry < groups_[i].end && excluded(entries_[entry].index)) ++entry;
      out[i] = entry == groups_[i].end;
    }
    while (true) {
      const size_t group = WinningGroup(group_key, [&](size_t i) { return out[i]; });
      if (group == kNone) return kNone;
      const size_t winner = WinningMember(groups_[group], group_key, excluded);
      if (winner != kNone) return winner;
      out[group] = true;  // other workers have filled it meanwhile
    }
  }

  std::vector<Entry> entries_;  // by group
  std::vector<Group> groups_;   // only those with members
};

}  // namespace

std::unique_ptr<Policy> MakeIpHash(const std::vector<Member>& members) {
  return std::make_unique<IpHash>(members);
}

}  // namespace rondo::balance
