#include "cpu/selective_search/edges.h"

#include <algorithm>

#include "cpu/selective_search/rows.h"

namespace frcnn::selective_search {
namespace {

// The edges of one direction that start in row y.
struct Row {
  std::size_t first;  // pixel
  int count;          // number of pixels, starting at `first`
  int offset;         // from a pixel to its neighbour
};

Row row(int direction, int y, int height, int width) {
  const std::size_t first = static_cast<std::size_t>(y) * width;
  if (direction == 0) return {first, width - 1, 1};
  if (y + 1 == height) return {first, 0, 0};
  if (direction == 1) return {first, width, width};
  if (direction == 2) return {first, width - 1, width + 1};
  return {first + 1, width - 1, width - 1};
}

void weigh_row(const RowLoops& loops, const SmoothPlanes& planes, const Row& row, uint16_t* weights) {
  const std::size_t pixels = planes.pixels();
  const int16_t* a = planes.plane(0) + row.first;
  const int16_t* b = a + row.offset;
  if (planes.channels == 1) {
    loops.weigh_grey(a, b, row.count, weights);
  } else {
    loops.weigh_colour(a, b, a + pixels, b + pixels, a + 2 * pixels, b + 2 * pixels, row.count,
                       weights);
  }
}

}  // namespace

PixelEdges::PixelEdges(int height, int width, int connectivity)
    : height_(height),
      width_(width),
      directions_(connectivity / 2),
      weights_(int64_t{directions_} * height * width),
      selected_(int64_t{directions_} * height * width + kMoreSelected),
      selected_weights_(int64_t{directions_} * height * width + kMoreSelected),
      codes_(int64_t{directions_} * height * width + kAhead) {}

void PixelEdges::weigh(const SmoothPlanes& planes) {
  const RowLoops& loops = row_loops();
  counts_.assign(kWeights, 0);
  for (int direction = 0; direction < directions_; ++direction) {
    for (int y = 0; y < height_; ++y) {
      const Row edges = row(direction, y, height_, width_);
      uint16_t* weights = weights_.get() + direction * planes.pixels() + edges.first;
      weigh_row(loops, planes, edges, weights);
      for (int i = 0; i < edges.count; ++i) ++counts_[weights[i]];
    }
  }
}

int32_t PixelEdges::quantile(double share) const {
  uint64_t total = 0;
  for (const uint32_t count : counts_) total += count;
  int32_t weight = 0;
  for (uint64_t sum = counts_[0]; sum < share * total; sum += counts_[weight]) ++weight;
  return weight;
}

// A counting sort, because there are few different weights.
void PixelEdges::sort(const int32_t* groups, int32_t first, int32_t last) {
  const RowLoops& loops = row_loops();
  const std::size_t pixels = static_cast<std::size_t>(height_) * width_;
  uint32_t* selected = selected_.get();
  uint16_t* weights = selected_weights_.get();
  sorted_ = 0;
  for (int direction = 0; direction < directions_; ++direction) {
    for (int y = 0; y < height_; ++y) {
      const Row edges = row(direction, y, height_, width_);
      const int32_t* a = groups + edges.first;
      sorted_ += loops.select_edges(
          a, a + edges.offset, weights_.get() + direction * pixels + edges.first, edges.count,
          {first, last}, static_cast<uint32_t>(edges.first) << 2 | direction, selected + sorted_,
          weights + sorted_);
    }
  }
  first_ = first;
  ends_.assign(kWeights, 0);
  for (uint32_t i = 0; i < sorted_; ++i) ++ends_[weights[i]];
  uint32_t total = 0;
  for (int32_t weight = first; weight <= last; ++weight) {
    const uint32_t count = ends_[weight];
    ends_[weight] = total;
    total += count;
  }
  uint32_t *places = ends_.data(), *codes = codes_.get();
  for (uint32_t i = 0; i < sorted_; ++i) codes[places[weights[i]]++] = selected[i];
  std::fill_n(codes + sorted_, kAhead, 0);
}

}  // namespace frcnn::selective_search
