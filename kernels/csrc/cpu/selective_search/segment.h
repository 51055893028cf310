// Graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004).
//
// Edges are processed in order of increasing weight. An edge joins the components at its two ends
// if its weight is at most Int(C) + k / |C| for both components C, where Int(C) is the weight of
// the heaviest edge inside C. Pixels are segmented once with a small k; segmentations with larger k
// start from its few thousand regions.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/selective_search/edges.h"
#include "cpu/selective_search/forest.h"
#include "cpu/selective_search/smooth.h"

namespace frcnn::selective_search {

struct RegionEdge {
  int32_t a;
  int32_t b;
  int32_t weight;  // weight of the lightest pixel edge between the two
};

struct Segmentation {
  std::vector<int32_t> labels;    // region of each pixel, 0..regions - 1 in raster order
  std::vector<int32_t> sizes;     // pixels of each region
  std::vector<int32_t> internal;  // Int(C) of each region
  std::vector<RegionEdge> edges;  // one for each pair of neighbours, lightest first

  int regions() const { return static_cast<int>(sizes.size()); }
};

// Memory that is reused for several segmentations of planes of one size.
struct SegmentationMemory {
  SegmentationMemory(int height, int width, int connectivity)
      : edges(height, width, connectivity), groups(int64_t{height} * width) {}

  PixelEdges edges;
  Forest forest;
  Scratch<int32_t> groups;
};

// Regions of fewer than `min_size` pixels are merged with a neighbour.
Segmentation segment_pixels(const SmoothPlanes& planes, int k, int min_size,
                            SegmentationMemory& memory);

// The lightest of `edges` for each pair of labels. `edges` are sorted, lightest first; `labels`
// gives each region its new region, 0..regions - 1.
std::vector<RegionEdge> unique_pairs(const std::vector<RegionEdge>& edges,
                                     const std::vector<int32_t>& labels, int regions);

// Labels the regions of `base` for a larger k, with 0..count - 1. Returns the count.
int segment_regions(const Segmentation& base, int k, int min_size, std::vector<int32_t>& labels);

}  // namespace frcnn::selective_search
