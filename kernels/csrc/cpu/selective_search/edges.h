// The graph of an image: edges between neighbouring pixels, sorted by weight.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/selective_search/smooth.h"

namespace frcnn::selective_search {

// Edge weights, Euclidean distances of colours, are in eighths of a grey level.
inline constexpr int kWeightUnit = 8;
// One more than the heaviest edge, sqrt(3) * 255 grey levels.
inline constexpr int kWeights = 442 * kWeightUnit + 1;

// The edges of an image, lightest first. The next call of sort() reuses the memory.
class PixelEdges {
 public:
  // `connectivity` 4: edges to the right and down; 8: also to the lower right and lower left.
  // Edges of equal weight are sorted by direction, in this order, then in raster order.
  void sort(const SmoothPlanes& planes, int connectivity);

  // Calls use(pixel, neighbour, weight) for each edge.
  template <typename Function>
  void each(const Function& use) const {
    const int32_t offsets[4] = {1, width_, width_ + 1, width_ - 1};
    std::size_t i = 0;
    for (int32_t weight = 0; weight < kWeights; ++weight) {
      for (; i < ends_[weight]; ++i) {
        const auto pixel = static_cast<int32_t>(codes_[i] >> 2);
        use(pixel, pixel + offsets[codes_[i] & 3], weight);
      }
    }
  }

 private:
  // Computes all weights. Returns the number of edges at [weight * directions + direction].
  std::vector<uint32_t> count_weights(const SmoothPlanes& planes, int directions);

  // Writes each edge's code to the next free place for its weight and direction.
  void place_codes(const SmoothPlanes& planes, int directions, std::vector<uint32_t>& places);

  int32_t width_ = 0;
  std::vector<uint16_t> weights_;  // of all edges, one direction after another
  std::vector<uint32_t> codes_;    // pixel << 2 | direction, sorted by weight
  std::vector<uint32_t> ends_;     // for each weight, the end of its range in codes_
};

}  // namespace frcnn::selective_search
