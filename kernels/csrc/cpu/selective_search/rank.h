// One list out of the boxes of many hierarchies: best first, without duplicates.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/selective_search/features.h"

namespace frcnn::selective_search {

class RankedBoxes {
 public:
  // The boxes of one hierarchy: `merged` in the order in which they were made, after `given`,
  // the regions it began with.
  void add(const std::vector<Box>& given, const std::vector<Box>& merged);

  // At most `max_boxes` whose sides are both at least `min_side` pixels.
  std::vector<Box> best(int64_t min_side, int64_t max_boxes);

 private:
  void add(const Box& box, uint64_t level);

  uint64_t hierarchies_ = 0;
  std::vector<Box> boxes_;
  std::vector<std::pair<uint64_t, uint32_t>> ranks_;  // and position in boxes_
};

}  // namespace frcnn::selective_search
