// The graph of an image: edges between neighbouring pixels, by weight.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/selective_search/smooth.h"

namespace frcnn::selective_search {

// Edge weights, Euclidean distances of colours, are in eighths of a grey level.
inline constexpr int kWeightUnit = 8;
// One more than the heaviest edge, sqrt(3) * 255 grey levels.
inline constexpr int kWeights = 442 * kWeightUnit + 1;

// The edges of one image after another, lightest first: memory is kept from one to the next.
class PixelEdges {
 public:
  // `connectivity` 4: edges to the right and down; 8: to the lower right and left as well.
  // Of one weight they come in that order of directions, then in raster order.
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
  // Weighs all edges; returns how many have each weight and direction, directions side by side.
  std::vector<uint32_t> count_weights(const SmoothPlanes& planes, int directions);

  // Writes each edge's code to the next of the places of its weight and direction.
  void place_codes(const SmoothPlanes& planes, int directions, std::vector<uint32_t>& places);

  int32_t width_ = 0;
  std::vector<uint16_t> weights_;  // of all edges of each direction
  std::vector<uint32_t> codes_;    // pixel << 2 | direction, by weight
  std::vector<uint32_t> ends_;     // of each weight's stretch of codes_
};

}  // namespace frcnn::selective_search
