// A ring that is probed several times. Each member has kPoints points on a circle of 2^64, each key
// has kProbes places on it, and the key goes to the member with the point nearest to any of them,
// where a distance counts less the more the member weighs:
//
//   the least of |place - point| / weight, over all places of the key and all points of members.
//
// Whether one member beats another for a key depends on those two alone. So when one comes, goes or
// changes its weight, only keys that it wins or loses move: nothing moves between the others. The
// circle's uneven gaps, which make a plain ring need hundreds of points, are evened out by the
// probes: shares lie within about 1 / sqrt(4 * kPoints * kProbes) = 3.6 % (one standard deviation)
// of what the weights say, in a pool of any size. All arithmetic is in integers, the same
// everywhere.
//
// To find the least without looking at all points, they are kept sorted, by class of weight: around
// each place a class is searched outwards as far as its heaviest member could still win.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#include "balance/policies.h"
#include "balance/pool_policy.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

constexpr size_t kPoints = 16;
constexpr size_t kProbes = 12;

constexpr std::array<uint64_t, kPoints + kProbes> MakeSalts() {
  std::array<uint64_t, kPoints + kProbes> salts{};
  for (size_t i = 0; i < salts.size(); ++i) salts[i] = Mix64(i);
  return salts;
}
constexpr auto kSalts = MakeSalts();

uint64_t PointOf(uint64_t id_hash, size_t i) { return Mix64(id_hash ^ kSalts[i]); }
uint64_t PlaceOf(uint64_t key, size_t i) { return Mix64(key ^ kSalts[kPoints + i]); }

struct Point {
  uint64_t position;
  uint32_t member;
  uint32_t weight;
};

using Wide = unsigned __int128;
using Places = std::array<uint64_t, kProbes>;

// Who is nearest so far.
class Nearest {
 public:
  explicit Nearest(const std::vector<uint64_t>& id_hashes) : id_hashes_(id_hashes) {}

  void Offer(size_t member, uint64_t distance, uint32_t weight) {
    if (member_ != Policy::kNone) {
      const Wide offered = Wide{distance} * weight_;
      const Wide best = Wide{distance_} * weight;
      if (offered > best || (offered == best && !BreaksTie(member))) return;
    }
    member_ = member;
    distance_ = distance;
    weight_ = weight;
  }
  // Whether a member of this weight can not win at this distance.
  bool Beyond(uint64_t distance, uint32_t weight) const {
    return member_ != Policy::kNone && Wide{distance} * weight_ > Wide{distance_} * weight;
  }
  size_t member() const { return member_; }

 private:
  bool BreaksTie(size_t member) const {
    return std::pair(id_hashes_[member], member) < std::pair(id_hashes_[member_], member_);
  }

  const std::vector<uint64_t>& id_hashes_;
  size_t member_ = Policy::kNone;
  uint64_t distance_ = 0;
  uint32_t weight_ = 1;
};

// The points of members whose weights differ by less than a factor of 16.
class Ring {
 public:
  explicit Ring(const std::vector<Point>& points) : points_(points.size()) {
    // About two slots for each point, so that a slot has none or one.
    bits_ = static_cast<int>(std::bit_width(points.size()));
    starts_.assign((size_t{1} << bits_) + 1, 0);
    for (const Point& point : points) {
      ++starts_[SlotOf(point.position) + 1];
      weight_min_ = std::min(weight_min_, point.weight);
      weight_max_ = std::max(weight_max_, point.weight);
    }
    for (size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
    std::vector<uint32_t> filled(starts_.begin(), starts_.end() - 1);
    for (const Point& point : points) {
      // By insertion: there is seldom more than one other in the slot.
      const size_t slot = SlotOf(point.position);
      uint32_t hole = filled[slot]++;
      for (; hole > starts_[slot] && points_[hole - 1].position > point.position; --hole) {
        points_[hole] = points_[hole - 1];
      }
      points_[hole] = point;
    }
  }

  // Offers all points around any of the places that could win. `excluded(member)` says who may not;
  // `budget` is how many points may be looked at. False: it ran out.
  template <typename IsExcluded>
  bool Search(const Places& places, Nearest& nearest, int64_t& budget, bool may_exclude,
              IsExcluded excluded) const {
    // All memory that will be needed is asked for at once.
    for (const uint64_t place : places) __builtin_prefetch(&starts_[SlotOf(place)]);
    for (const uint64_t place : places) {
      __builtin_prefetch(&points_[std::min<size_t>(starts_[SlotOf(place)], points_.size() - 1)]);
    }
    // First the neighbours of every place, so that there is something to beat; where weights are
    // equal and nobody is excluded that is all. Then as far out from each as could beat that.
    std::array<size_t, kProbes> begins;
    for (size_t i = 0; i < kProbes; ++i) {
      begins[i] = FirstFrom(places[i]);
      const Point& right = points_[begins[i] == points_.size() ? 0 : begins[i]];
      const Point& left = points_[(begins[i] == 0 ? points_.size() : begins[i]) - 1];
      const uint64_t to_right = right.position - places[i];
      const uint64_t to_left = places[i] - left.position;
      const Point& nearer = to_left < to_right ? left : right;
      if (!excluded(nearer.member)) {
        nearest.Offer(nearer.member, std::min(to_left, to_right), nearer.weight);
      }
    }
    if (weight_min_ == weight_max_ && !may_exclude) return true;
    for (size_t i = 0; i < kProbes; ++i) {
      if (!Walk<false>(begins[i], places[i], nearest, budget, excluded)) return false;
      if (!Walk<true>(begins[i], places[i], nearest, budget, excluded)) return false;
    }
    return true;
  }

 private:
  static constexpr uint64_t kHalf = uint64_t{1} << 63;  // of the circle

  template <bool kToLeft, typename IsExcluded>
  bool Walk(size_t i, uint64_t place, Nearest& nearest, int64_t& budget,
            IsExcluded excluded) const {
    for (size_t n = 0; n < points_.size(); ++n) {
      if (kToLeft) i = (i == 0 ? points_.size() : i) - 1;
      if (!kToLeft && i == points_.size()) i = 0;
      const Point& point = points_[i];
      const uint64_t distance = kToLeft ? place - point.position : point.position - place;
      if (distance > kHalf || nearest.Beyond(distance, weight_max_)) break;
      if (--budget < 0) return false;
      if (!excluded(point.member)) nearest.Offer(point.member, distance, point.weight);
      if (!kToLeft) ++i;
    }
    return true;
  }

  size_t SlotOf(uint64_t position) const { return position >> (64 - bits_); }
  // The index of the first point not before `place`, or one past the last.
  size_t FirstFrom(uint64_t place) const {
    size_t i = starts_[SlotOf(place)];
    while (i < points_.size() && points_[i].position < place) ++i;
    return i;
  }

  int bits_;
  uint32_t weight_min_ = UINT32_MAX;
  uint32_t weight_max_ = 0;
  std::vector<Point> points_;     // by position
  std::vector<uint32_t> starts_;  // for each slot the index of the first point not before it
};

class ConsistentHash final : public PoolPolicy {
 public:
  explicit ConsistentHash(const std::vector<Member>& members) : PoolPolicy(members) {
    std::array<std::vector<Point>, kClasses> points;
    for (size_t i = 0; i < members.size(); ++i) {
      const Member& member = members[i];
      id_hashes_.push_back(member.id_hash);
      weights_.push_back(member.weight);
      auto& ring = points[static_cast<size_t>(std::bit_width(member.weight) - 1) / kClassBits];
      for (size_t j = 0; j < kPoints; ++j) {
        ring.push_back(Point{PointOf(member.id_hash, j), static_cast<uint32_t>(i), member.weight});
      }
    }
    // The heaviest first: what they reach bounds how far the others are searched.
    for (size_t i = kClasses; i-- > 0;) {
      if (!points[i].empty()) rings_.emplace_back(points[i]);
    }
    // A search without exclusions looks at fewer than a hundred points.
    budget_ = static_cast<int64_t>(std::min<size_t>(kBudgetMax, 4 * kPoints * members.size()));
    budget_ = std::max(budget_, kBudgetMin);
  }

  size_t Pick(PickContext context, const Tried& tried) override {
    Places places;
    for (size_t i = 0; i < kProbes; ++i) places[i] = PlaceOf(context.key, i);
    Nearest nearest(id_hashes_);
    const bool may_exclude = MayExclude(tried);
    int64_t budget = budget_;
    bool found = true;
    for (size_t i = 0; found && i < rings_.size(); ++i) {
      found = may_exclude
                  ? rings_[i].Search(places, nearest, budget, true,
                                     [&](size_t member) { return Excluded(member, tried); })
                  : rings_[i].Search(places, nearest, budget, false, [](size_t) { return false; });
    }
    return found ? nearest.member() : LookAtAll(places, tried);
  }

 private:
  static constexpr size_t kClassBits = 4;
  static constexpr size_t kClasses = 32 / kClassBits;
  static constexpr size_t kBudgetMax = 4096;
  static constexpr int64_t kBudgetMin = 512;

  // Where nearly all are full or tried: the few others, with all their points. The same result.
  size_t LookAtAll(const Places& places, const Tried& tried) const {
    Nearest nearest(id_hashes_);
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (Excluded(i, tried)) continue;
      uint64_t least = UINT64_MAX;
      for (size_t j = 0; j < kPoints; ++j) {
        const uint64_t point = PointOf(id_hashes_[i], j);
        for (const uint64_t place : places) {
          least = std::min({least, place - point, point - place});
        }
      }
      nearest.Offer(i, least, weights_[i]);
    }
    return nearest.member();
  }

  std::vector<uint64_t> id_hashes_;
  std::vector<uint32_t> weights_;
  std::vector<Ring> rings_;
  int64_t budget_;
};

}  // namespace

std::unique_ptr<Policy> MakeConsistentHash(const std::vector<Member>& members) {
  return std::make_unique<ConsistentHash>(members);
}

}  // namespace rondo::balance
