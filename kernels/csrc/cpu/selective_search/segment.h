// Graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004).
//
// Edges are taken lightest first; one joins the components C at its ends if it is no heavier
// than Int(C) + k / |C| of either, Int(C) being the heaviest edge inside. Pixels are segmented
// once at a small k; the segmentations at larger k are made from its few thousand regions.
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
  int32_t weight;  // of the lightest pixel edge between the two
};

struct Segmentation {
  std::vector<int32_t> labels;    // region of each pixel, 0..regions - 1 in raster order
  std::vector<int32_t> sizes;     // pixels of each region
  std::vector<int32_t> internal;  // Int(C) of each region
  std::vector<RegionEdge> edges;  // one for each pair of neighbours, lightest first

  int regions() const { return static_cast<int>(sizes.size()); }
};

// Memory that is kept from one image to the next.
struct SegmentationMemory {
  PixelEdges edges;
  Forest forest;
  std::vector<RegionEdge> rejected;
};

// Regions under `min_size` pixels are merged with a neighbour. `connectivity`: 4 or 8.
Segmentation segment_pixels(const SmoothPlanes& planes, int connectivity, int k, int min_size,
                            SegmentationMemory& memory);

// `edges`, lightest first, between regions that are joined as `labels` (0..regions - 1) say: the
// lightest for each pair.
std::vector<RegionEdge> unique_pairs(const std::vector<RegionEdge>& edges,
                                     const std::vector<int32_t>& labels, int regions);

// Labels of the regions of `base`, 0..count - 1, at another k. Returns the count.
int segment_regions(const Segmentation& base, int k, int min_size, std::vector<int32_t>& labels);

}  // namespace frcnn::selective_search
