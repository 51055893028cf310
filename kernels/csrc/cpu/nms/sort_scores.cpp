#include "cpu/nms/sort_scores.h"

#include <array>
#include <bit>
#include <cmath>

namespace frcnn {
namespace {

constexpr int kDigitBits = 11;
constexpr int kDigits = 3;

struct Entry {
  uint32_t key;
  int64_t index;
};

// Keys increase as scores decrease. The bits of a float increase with its magnitude; +0 and -0 are
// the same score.
uint32_t falling_key(float score) {
  if (std::isnan(score)) return 0;
  auto bits = std::bit_cast<uint32_t>(score == 0 ? 0.0f : score);
  bool negative = bits >> 31;
  return negative ? bits : 0x7fffffff - bits;
}

}  // namespace

std::vector<int64_t> order_by_falling_score(const float* scores, int64_t count) {
  std::vector<Entry> entries(count), sorted(count);
  for (int64_t i = 0; i < count; ++i) entries[i] = {falling_key(scores[i]), i};
  for (int digit = 0; digit < kDigits; ++digit) {  // radix sort, least significant digit first
    constexpr uint32_t mask = (1u << kDigitBits) - 1;
    std::array<int64_t, mask + 2> start{};
    for (const Entry& e : entries) ++start[(e.key >> digit * kDigitBits & mask) + 1];
    for (uint32_t d = 0; d < mask; ++d) start[d + 1] += start[d];
    for (const Entry& e : entries) sorted[start[e.key >> digit * kDigitBits & mask]++] = e;
    entries.swap(sorted);
  }
  std::vector<int64_t> order(count);
  for (int64_t i = 0; i < count; ++i) order[i] = entries[i].index;
  return order;
}

}  // namespace frcnn
