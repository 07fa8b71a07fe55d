#include "rondo/route/weighted_split.h"

#include <algorithm>

#include "rondo/base/check.h"

namespace rondo::route {
namespace {

// splitmix64's finalizer (Steele, Lea, Flood 2014): each key has one image, so shares stay exact.
// The number it begins with is ours alone: the policies of balance/ mix their keys too, and the
// part of clients that one upstream gets must look like any other to its policy.
uint64_t Mix(uint64_t key) {
  key += 0x52'6f'6e'64'6f'53'70'6cULL;
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9ULL;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebULL;
  return key ^ (key >> 31);
}

}  // namespace

WeightedSplit::WeightedSplit(std::span<const uint32_t> weights) {
  uint64_t sum = 0;
  ends_.reserve(weights.size());
  for (const uint32_t weight : weights) ends_.push_back(sum += weight);
  RONDO_CHECK(sum > 0);
}

size_t WeightedSplit::Pick(uint64_t key) const {
  RONDO_DCHECK(!ends_.empty());
  // Where the key stands between 0 and the sum of all weights, in whole numbers.
  using Wide = unsigned __int128;
  const auto place = static_cast<uint64_t>(static_cast<Wide>(Mix(key)) * ends_.back() >> 64);
  return static_cast<size_t>(std::ranges::upper_bound(ends_, place) - ends_.begin());
}

}  // namespace rondo::route
