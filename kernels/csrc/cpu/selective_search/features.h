// Features of regions: colour and texture histograms, sizes and bounding boxes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/selective_search/rows.h"
#include "cpu/selective_search/segment.h"

namespace frcnn::selective_search {

struct Box {
  int32_t x1, y1, x2, y2;  // inclusive corners
};

// The smallest box that contains both boxes.
inline Box bounds(const Box& a, const Box& b) {
  return {std::min(a.x1, b.x1), std::min(a.y1, b.y1), std::max(a.x2, b.x2), std::max(a.y2, b.y2)};
}

// Layout of a histogram row: colour bins, then texture bins, each padded with zeros to whole
// vectors.
struct Layout {
  static constexpr int kTextureBins = kOrientations * kMagnitudes;
  static constexpr int kVector = 16;

  explicit Layout(int channels)
      : channels(channels),
        colour((kColourBins * channels + kVector - 1) / kVector * kVector),
        texture(kTextureBins * channels) {}

  int row() const { return colour + texture; }

  int channels;
  int colour;
  int texture;
};

// Regions with pixel counts, which can be added exactly when regions are merged.
struct RegionCounts {
  Layout layout;
  std::vector<int32_t> sizes;
  std::vector<Box> boxes;
  std::vector<uint32_t> counts;  // regions x layout.row()
};

// Regions ready for grouping.
struct RegionSet {
  Layout layout;
  std::vector<int32_t> sizes;
  std::vector<Box> boxes;
  std::vector<int16_t> histograms;     // regions x layout.row(); each half sums to kUnit
  std::vector<RegionEdge> neighbours;  // each pair once

  int regions() const { return static_cast<int>(sizes.size()); }
};

RegionCounts count_features(const Planes& planes, const SmoothPlanes& smooth,
                            const Segmentation& segmentation);

// Joins the regions of `counts` that have the same label; labels are 0..regions - 1.
RegionSet join_regions(const RegionCounts& counts, const std::vector<RegionEdge>& edges,
                       const std::vector<int32_t>& labels, int regions);

}  // namespace frcnn::selective_search
