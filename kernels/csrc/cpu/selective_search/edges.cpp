#include "cpu/selective_search/edges.h"

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

void weigh(const RowLoops& loops, const SmoothPlanes& planes, const Row& row, uint16_t* weights) {
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

// A counting sort, because there are few different weights.
void PixelEdges::sort(const SmoothPlanes& planes, int connectivity) {
  const int directions = connectivity / 2;
  width_ = planes.width;
  std::vector<uint32_t> places = count_weights(planes, directions);
  ends_.resize(kWeights);
  uint32_t total = 0;
  for (int i = 0; i < directions * kWeights; ++i) {
    const uint32_t count = places[i];
    places[i] = total;
    total += count;
    ends_[i / directions] = total;
  }
  codes_.resize(total);
  place_codes(planes, directions, places);
}

std::vector<uint32_t> PixelEdges::count_weights(const SmoothPlanes& planes, int directions) {
  const RowLoops& loops = row_loops();
  const std::size_t pixels = planes.pixels();
  weights_.resize(directions * pixels);
  std::vector<uint32_t> counts(directions * kWeights, 0);
  for (int direction = 0; direction < directions; ++direction) {
    uint32_t* count = counts.data() + direction;
    for (int y = 0; y < planes.height; ++y) {
      const Row edges = row(direction, y, planes.height, planes.width);
      uint16_t* weights = weights_.data() + direction * pixels + edges.first;
      weigh(loops, planes, edges, weights);
      for (int i = 0; i < edges.count; ++i) ++count[directions * weights[i]];
    }
  }
  return counts;
}

void PixelEdges::place_codes(const SmoothPlanes& planes, int directions,
                             std::vector<uint32_t>& places) {
  const std::size_t pixels = planes.pixels();
  for (int direction = 0; direction < directions; ++direction) {
    uint32_t* place = places.data() + direction;
    for (int y = 0; y < planes.height; ++y) {
      const Row edges = row(direction, y, planes.height, planes.width);
      const uint16_t* weights = weights_.data() + direction * pixels + edges.first;
      for (int i = 0; i < edges.count; ++i) {
        codes_[place[directions * weights[i]]++] =
            static_cast<uint32_t>(edges.first + i) << 2 | direction;
      }
    }
  }
}

}  // namespace frcnn::selective_search
