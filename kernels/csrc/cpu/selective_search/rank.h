// Merges the boxes of many hierarchies into one list: best first, without duplicates.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/selective_search/features.h"

namespace frcnn::selective_search {

class RankedBoxes {
 public:
  // Adds the boxes of one hierarchy. `given`: its initial regions. `merged`: the joined regions, in
  // the order in which they were created.
  void add(const std::vector<Box>& given, const std::vector<Box>& merged);

  // The first `max_boxes` boxes whose sides are both at least `min_side` pixels.
  std::vector<Box> best(int64_t min_side, int64_t max_boxes);

 private:
  void add(const Box& box, uint64_t level);

  uint64_t hierarchies_ = 0;
  std::vector<Box> boxes_;
  std::vector<std::pair<uint64_t, uint32_t>> ranks_;  // rank, position in boxes_
};

}  // namespace frcnn::selective_search
