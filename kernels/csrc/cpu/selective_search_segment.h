// Graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004).
//
// Two components merge along an edge no heavier than Int(C) + k / |C| of either, where Int(C)
// is the heaviest edge inside; edges are taken by weight. Pixels are segmented once at a
// small k; the segmentations at larger k are then made from its regions.
#pragma once

#include <cstdint>
#include <vector>

#include "selective_search_smooth.h"

namespace frcnn::selective_search {

// Weights are in eighths of a grey level.
inline constexpr int kWeightUnit = 8;

struct RegionEdge {
  int32_t a;
  int32_t b;
  int32_t weight;  // of the lightest pixel edge between the two
};

struct Segmentation {
  std::vector<int32_t> labels;       // region of each pixel, 0..regions - 1 in raster order
  std::vector<int32_t> sizes;        // pixels of each region
  std::vector<int32_t> internal;     // Int(C) of each region
  std::vector<RegionEdge> edges;     // one for each pair of neighbours, lightest first

  int regions() const { return static_cast<int>(sizes.size()); }
};

// Regions under `min_size` pixels are merged with a neighbour.
Segmentation segment_pixels(const SmoothPlanes& planes, int k, int min_size);

// Labels of the regions of `base`, 0..count - 1, at a larger k. Returns the count.
int segment_regions(const Segmentation& base, int k, int min_size, std::vector<int32_t>* labels);

}  // namespace frcnn::selective_search
