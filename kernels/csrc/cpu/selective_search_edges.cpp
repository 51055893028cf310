#include "selective_search_edges.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "selective_search_simd.h"

namespace frcnn::selective_search {
namespace {

// Planes are in 16ths of a grey level, so half their distance is in eighths. The root and the
// product are correctly rounded: the same integer on every machine.
FRCNN_SIMD void weigh_colour(const int16_t* a0, const int16_t* b0, const int16_t* a1,
                             const int16_t* b1, const int16_t* a2, const int16_t* b2, int count,
                             uint16_t* weights) {
  for (int i = 0; i < count; ++i) {
    const int d0 = a0[i] - b0[i], d1 = a1[i] - b1[i], d2 = a2[i] - b2[i];
    const auto squares = static_cast<float>(d0 * d0 + d1 * d1 + d2 * d2);
    weights[i] = static_cast<uint16_t>(static_cast<int>(std::sqrt(squares) * 0.5f));
  }
}

FRCNN_SIMD void weigh_grey(const int16_t* a, const int16_t* b, int count, uint16_t* weights) {
  for (int i = 0; i < count; ++i) weights[i] = static_cast<uint16_t>(std::abs(a[i] - b[i]) >> 1);
}

// Weights of the edges from `count` pixels, `first` on, to those `offset` further.
void weigh(const SmoothPlanes& planes, std::size_t first, int count, int offset,
           uint16_t* weights) {
  const std::size_t pixels = planes.pixels();
  const int16_t* a = planes.plane(0) + first;
  const int16_t* b = a + offset;
  if (planes.channels == 1) {
    weigh_grey(a, b, count, weights);
  } else {
    weigh_colour(a, b, a + pixels, b + pixels, a + 2 * pixels, b + 2 * pixels, count, weights);
  }
}

}  // namespace

// A counting sort: the weights are few.
void PixelEdges::sort(const SmoothPlanes& planes) {
  const int height = planes.height, width = planes.width;
  const std::size_t pixels = planes.pixels();
  // Right edges are missing in the last column, lower ones in the last row.
  const int counts[2] = {width - 1, width};
  const int rows[2] = {height, height - 1};
  const int offsets[2] = {1, width};
  width_ = width;
  weights_.resize(2 * pixels);
  std::vector<uint32_t> places(2 * kWeights, 0);
  for (int direction = 0; direction < 2; ++direction) {
    uint32_t* tally = places.data() + direction;
    for (int y = 0; y < rows[direction]; ++y) {
      const std::size_t first = static_cast<std::size_t>(y) * width;
      uint16_t* weights = weights_.data() + direction * pixels + first;
      weigh(planes, first, counts[direction], offsets[direction], weights);
      for (int x = 0; x < counts[direction]; ++x) ++tally[2 * weights[x]];
    }
  }
  ends_.resize(kWeights);
  uint32_t total = 0;
  for (int i = 0; i < 2 * kWeights; ++i) {
    const uint32_t count = places[i];
    places[i] = total;
    total += count;
    ends_[i / 2] = total;
  }
  codes_.resize(total);
  for (int direction = 0; direction < 2; ++direction) {
    uint32_t* place = places.data() + direction;
    for (int y = 0; y < rows[direction]; ++y) {
      const std::size_t first = static_cast<std::size_t>(y) * width;
      const uint16_t* weights = weights_.data() + direction * pixels + first;
      for (int x = 0; x < counts[direction]; ++x) {
        codes_[place[2 * weights[x]]++] = static_cast<uint32_t>(first + x) << 1 | direction;
      }
    }
  }
}

}  // namespace frcnn::selective_search
