// Selective search (Uijlings et al., IJCV 2013): boxes of likely objects, from pixels.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/selective_search/colour.h"
#include "cpu/selective_search/features.h"

namespace frcnn::selective_search {

// What the hierarchies differ in: each combination of the three lists makes one.
struct Settings {
  std::vector<ColourSpace> colour_spaces;
  std::vector<int> thresholds;    // k of the segmentations
  std::vector<int> similarities;  // sets of Similarity bits
  int connectivity;               // 4 or 8 neighbours of a pixel
  int base_threshold;             // k of the segmentation whose regions they are made from
  int min_region;                 // pixels of the smallest region of a hierarchy
  int64_t min_side;               // boxes with a shorter side are left out
  int64_t max_boxes;
};

// Boxes of `rgb` (height x width x 3), best first; the same for the same pixels, always.
std::vector<Box> search(const uint8_t* rgb, int height, int width, const Settings& settings);

}  // namespace frcnn::selective_search
