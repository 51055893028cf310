// The graph of an image: edges between neighbouring pixels, sorted by weight.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/common/scratch.h"
#include "cpu/selective_search/smooth.h"

namespace frcnn::selective_search {

// Edge weights, Euclidean distances of colours, are in eighths of a grey level.
inline constexpr int kWeightUnit = 8;
// One more than the heaviest edge, sqrt(3) * 255 grey levels.
inline constexpr int kWeights = 442 * kWeightUnit + 1;

// The edges of an image, weighed once and sorted in parts. Can be reused for other planes of the
// same size.
class PixelEdges {
 public:
  // `connectivity` 4: edges to the right and down; 8: also to the lower right and lower left.
  PixelEdges(int height, int width, int connectivity);

  // Computes all weights.
  void weigh(const SmoothPlanes& planes);

  // The smallest weight such that this share (at most 1) of the edges is not heavier.
  int32_t quantile(double share) const;

  // Sorts the edges with a weight of `first` to `last` between pixels of different groups. Pixels
  // of a negative group have no edges. Edges of equal weight are sorted by direction, in the order
  // above, then in raster order.
  void sort(const int32_t* groups, int32_t first, int32_t last);

  // Calls use(pixel, neighbour, weight) for each sorted edge, and earlier prefetch(pixel) for both
  // pixels, because the pixels of consecutive edges are far apart.
  template <typename Use, typename Prefetch>
  void each(const Use& use, const Prefetch& prefetch) const {
    const int32_t offsets[4] = {1, width_, width_ + 1, width_ - 1};
    const uint32_t *code = codes_.get(), *ends = ends_.data();
    const uint32_t* const last = code + sorted_;
    for (int32_t weight = first_; code < last; ++weight) {
      for (const uint32_t* const end = codes_.get() + ends[weight]; code < end; ++code) {
        const auto later = static_cast<int32_t>(code[kAhead] >> 2);
        prefetch(later);
        prefetch(later + offsets[code[kAhead] & 3]);
        const auto pixel = static_cast<int32_t>(*code >> 2);
        use(pixel, pixel + offsets[*code & 3], weight);
      }
    }
  }

 private:
  static constexpr uint32_t kAhead = 16;

  int height_;
  int width_;
  int directions_;
  int32_t first_ = 0;                   // the smallest weight of the last sort()
  uint32_t sorted_ = 0;                 // the number of edges of the last sort()
  std::vector<uint32_t> counts_;        // for each weight, the number of edges
  std::vector<uint32_t> ends_;          // for each weight, the end of its range in codes_
  Scratch<uint16_t> weights_;           // of all edges, one direction after another
  Scratch<uint32_t> selected_;          // codes (pixel << 2 | direction) before they are sorted
  Scratch<uint16_t> selected_weights_;  // their weights
  Scratch<uint32_t> codes_;             // sorted by weight, and then kAhead zeros
};

}  // namespace frcnn::selective_search
