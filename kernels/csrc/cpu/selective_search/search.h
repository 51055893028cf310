// Selective search (Uijlings et al., IJCV 2013): boxes of likely objects, computed from pixels.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/selective_search/colour.h"
#include "cpu/selective_search/features.h"

namespace frcnn::selective_search {

// One hierarchy is computed for each combination of the entries of the three lists.
struct Settings {
  std::vector<ColourSpace> colour_spaces;
  std::vector<int> thresholds;    // k of the segmentations
  std::vector<int> similarities;  // sets of Similarity bits
  int connectivity;               // neighbours of a pixel, 4 or 8
  int base_threshold;             // k of the segmentation of the pixels, where the others start
  int min_region;                 // smallest region at the start of a hierarchy, in pixels
  int64_t min_side;               // boxes with a shorter side are omitted
  int64_t max_boxes;
};

// Boxes of `rgb` (height x width x 3), best first. The same pixels always give the same boxes.
std::vector<Box> search(const uint8_t* rgb, int height, int width, const Settings& settings);

}  // namespace frcnn::selective_search
