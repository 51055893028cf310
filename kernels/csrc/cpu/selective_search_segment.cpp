#include "selective_search_segment.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "selective_search_forest.h"
#include "selective_search_simd.h"

namespace frcnn::selective_search {
namespace {

// The four edges of a pixel that lead to pixels not yet visited.
enum Direction { kRight, kDown, kDownRight, kDownLeft, kDirections };

// sqrt(3) * 255 grey levels, and a place for its end.
constexpr int kWeights = 442 * kWeightUnit + 1;

// Weight of the edge from a[i] to b[i]: Euclidean distance over the channels. The root and the
// product are correctly rounded, so the integer is the same on every machine.
FRCNN_SIMD void weigh3(const int16_t* a0, const int16_t* b0, const int16_t* a1, const int16_t* b1,
                       const int16_t* a2, const int16_t* b2, int count, uint16_t* out) {
  for (int i = 0; i < count; ++i) {
    const int d0 = a0[i] - b0[i], d1 = a1[i] - b1[i], d2 = a2[i] - b2[i];
    const int squares = d0 * d0 + d1 * d1 + d2 * d2;
    out[i] = static_cast<uint16_t>(static_cast<int>(std::sqrt(static_cast<float>(squares)) * 0.5f));
  }
}

FRCNN_SIMD void weigh1(const int16_t* a, const int16_t* b, int count, uint16_t* out) {
  for (int i = 0; i < count; ++i) out[i] = static_cast<uint16_t>(std::abs(a[i] - b[i]) >> 1);
}

struct PixelEdges {
  // Sorted by weight, then direction, then raster order: (pixel << 2) | direction.
  std::vector<uint32_t> codes;
  std::vector<uint32_t> ends;  // of each weight's stretch of `codes`
};

// Edges of one row in one direction: which pixels have one, and how far off its other end is.
struct Stretch {
  int first;
  int count;
  std::ptrdiff_t offset;
};

Stretch stretch(int direction, int y, int height, int width) {
  if (direction == kRight) return {0, width - 1, 1};
  if (y + 1 == height) return {0, 0, 0};
  if (direction == kDown) return {0, width, width};
  if (direction == kDownRight) return {0, width - 1, width + 1};
  return {1, width - 1, width - 1};
}

PixelEdges sort_edges(const SmoothPlanes& planes) {
  const int height = planes.height, width = planes.width;
  const std::size_t pixels = planes.pixels();
  std::vector<uint16_t> weights(pixels * kDirections);
  std::vector<uint32_t> places(kWeights * kDirections, 0);
  for (int y = 0; y < height; ++y) {
    for (int direction = 0; direction < kDirections; ++direction) {
      const Stretch s = stretch(direction, y, height, width);
      const std::size_t first = static_cast<std::size_t>(y) * width + s.first;
      uint16_t* out = weights.data() + pixels * direction + first;
      const int16_t* a = planes.plane(0) + first;
      const int16_t* b = a + s.offset;
      if (planes.channels == 1) {
        weigh1(a, b, s.count, out);
      } else {
        weigh3(a, b, a + pixels, b + pixels, a + 2 * pixels, b + 2 * pixels, s.count, out);
      }
      for (int i = 0; i < s.count; ++i) ++places[out[i] * kDirections + direction];
    }
  }
  PixelEdges edges;
  edges.ends.resize(kWeights);
  uint32_t total = 0;
  for (int weight = 0; weight < kWeights; ++weight) {
    for (int direction = 0; direction < kDirections; ++direction) {
      const uint32_t count = places[weight * kDirections + direction];
      places[weight * kDirections + direction] = total;
      total += count;
    }
    edges.ends[weight] = total;
  }
  edges.codes.resize(total);
  for (int y = 0; y < height; ++y) {
    for (int direction = 0; direction < kDirections; ++direction) {
      const Stretch s = stretch(direction, y, height, width);
      const std::size_t first = static_cast<std::size_t>(y) * width + s.first;
      const uint16_t* in = weights.data() + pixels * direction + first;
      for (int i = 0; i < s.count; ++i) {
        const uint32_t code = static_cast<uint32_t>(first + i) << 2 | direction;
        edges.codes[places[in[i] * kDirections + direction]++] = code;
      }
    }
  }
  return edges;
}

// Merges along the sorted edges; those that did not join their ends are returned.
std::vector<RegionEdge> merge_pixels(const PixelEdges& edges, int width, Forest& forest) {
  const int32_t offsets[kDirections] = {1, width, width + 1, width - 1};
  std::vector<RegionEdge> rejected;
  std::size_t i = 0;
  for (int weight = 0; weight < kWeights; ++weight) {
    for (; i < edges.ends[weight]; ++i) {
      const int32_t pixel = static_cast<int32_t>(edges.codes[i] >> 2);
      const int32_t a = forest.find(pixel);
      const int32_t b = forest.find(pixel + offsets[edges.codes[i] & 3]);
      if (a == b) continue;
      if (forest.joins(a, b, weight)) {
        forest.merge(a, b, weight);
      } else {
        rejected.push_back({a, b, weight});
      }
    }
  }
  return rejected;
}

void merge_small(const std::vector<RegionEdge>& edges, int min_size, Forest& forest) {
  for (const RegionEdge& edge : edges) {
    const int32_t a = forest.find(edge.a), b = forest.find(edge.b);
    if (a != b && (forest.size(a) < min_size || forest.size(b) < min_size)) {
      forest.merge(a, b, edge.weight);
    }
  }
}

// Roots numbered in the order in which elements meet them.
int number_roots(Forest& forest, int32_t elements, std::vector<int32_t>* labels) {
  labels->assign(elements, -1);
  std::vector<int32_t>& label = *labels;
  std::vector<int32_t> numbers(elements, -1);
  int count = 0;
  for (int32_t i = 0; i < elements; ++i) {
    const int32_t root = forest.find(i);
    if (numbers[root] < 0) numbers[root] = count++;
    label[i] = numbers[root];
  }
  return count;
}

// One edge for each pair of regions, the first met: the lightest.
std::vector<RegionEdge> unique_pairs(const std::vector<RegionEdge>& edges,
                                     const std::vector<int32_t>& labels, int regions) {
  std::size_t slots = 64;
  while (slots < static_cast<std::size_t>(regions) * 16) slots *= 2;
  std::vector<uint64_t> table(slots, ~uint64_t{0});
  std::vector<RegionEdge> unique;
  for (const RegionEdge& edge : edges) {
    int32_t a = labels[edge.a], b = labels[edge.b];
    if (a == b) continue;
    if (a > b) std::swap(a, b);
    const uint64_t key = static_cast<uint64_t>(a) << 32 | static_cast<uint32_t>(b);
    std::size_t slot = (key * 0x9E3779B97F4A7C15u) >> 20 & (slots - 1);
    while (table[slot] != key && table[slot] != ~uint64_t{0}) slot = (slot + 1) & (slots - 1);
    if (table[slot] == key) continue;
    table[slot] = key;
    unique.push_back({a, b, edge.weight});
  }
  return unique;
}

}  // namespace

Segmentation segment_pixels(const SmoothPlanes& planes, int k, int min_size) {
  const auto pixels = static_cast<int32_t>(planes.pixels());
  Forest forest(k, kWeightUnit);
  forest.assign(pixels);
  const PixelEdges edges = sort_edges(planes);
  const std::vector<RegionEdge> rejected = merge_pixels(edges, planes.width, forest);
  merge_small(rejected, min_size, forest);
  Segmentation result;
  const int regions = number_roots(forest, pixels, &result.labels);
  result.sizes.resize(regions);
  result.internal.resize(regions);
  for (int32_t i = 0; i < pixels; ++i) {
    if (forest.is_root(i)) {
      result.sizes[result.labels[i]] = forest.size(i);
      result.internal[result.labels[i]] = forest.internal(i);
    }
  }
  result.edges = unique_pairs(rejected, result.labels, regions);
  return result;
}

int segment_regions(const Segmentation& base, int k, int min_size, std::vector<int32_t>* labels) {
  Forest forest(k, kWeightUnit);
  for (int i = 0; i < base.regions(); ++i) forest.add(base.sizes[i], base.internal[i]);
  for (const RegionEdge& edge : base.edges) {
    const int32_t a = forest.find(edge.a), b = forest.find(edge.b);
    if (a != b && forest.joins(a, b, edge.weight)) forest.merge(a, b, edge.weight);
  }
  merge_small(base.edges, min_size, forest);
  return number_roots(forest, base.regions(), labels);
}

}  // namespace frcnn::selective_search
