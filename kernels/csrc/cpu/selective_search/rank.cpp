#include "cpu/selective_search/rank.h"

#include <algorithm>

namespace frcnn::selective_search {
namespace {

// SplitMix64: a pseudo-random number that depends only on `value`.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

uint64_t box_key(const Box& box) {
  // Corners fit into 16 bits: the operator rejects larger images.
  return static_cast<uint64_t>(box.x1) << 48 | static_cast<uint64_t>(box.y1) << 32 |
         static_cast<uint64_t>(box.x2) << 16 | static_cast<uint64_t>(box.y2);
}

}  // namespace

// The published order (section 3.2): a box's level from the top of its hierarchy, 1 for the whole
// image, times a random number between 0 and 1. Here it depends on the hierarchy and the level.
void RankedBoxes::add(const Box& box, uint64_t level) {
  const uint64_t jitter = mix(hierarchies_ << 32 | level) >> 32;
  ranks_.emplace_back(level * jitter, static_cast<uint32_t>(boxes_.size()));
  boxes_.push_back(box);
}

void RankedBoxes::add(const std::vector<Box>& given, const std::vector<Box>& merged) {
  uint64_t level = 0;
  for (auto box = merged.rbegin(); box != merged.rend(); ++box) add(*box, ++level);
  for (const Box& box : given) add(box, ++level);
  ++hierarchies_;
}

std::vector<Box> RankedBoxes::best(int64_t min_side, int64_t max_boxes) {
  std::sort(ranks_.begin(), ranks_.end());
  std::size_t slots = 64;
  while (slots < boxes_.size() * 2) slots *= 2;
  // Keys are increased by 1: the box of the first pixel has key 0, which marks an empty slot.
  std::vector<uint64_t> table(slots, 0);
  std::vector<Box> result;
  for (const auto& [rank, position] : ranks_) {
    if (static_cast<int64_t>(result.size()) >= max_boxes) break;
    const Box& box = boxes_[position];
    if (box.x2 - box.x1 + 1 < min_side || box.y2 - box.y1 + 1 < min_side) continue;
    const uint64_t key = box_key(box) + 1;
    std::size_t slot = mix(key) & (slots - 1);
    while (table[slot] != 0 && table[slot] != key) slot = (slot + 1) & (slots - 1);
    if (table[slot] == key) continue;
    table[slot] = key;
    result.push_back(box);
  }
  return result;
}

}  // namespace frcnn::selective_search
