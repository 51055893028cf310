#include "cpu/selective_search/segment.h"

#include <cstddef>
#include <utility>

namespace frcnn::selective_search {
namespace {

// The second pass of the method: small components are joined along their lightest edge.
void merge_small(const std::vector<RegionEdge>& edges, int min_size, Forest& forest) {
  for (const RegionEdge& edge : edges) {
    const int32_t a = forest.find(edge.a), b = forest.find(edge.b);
    if (a != b && (forest.size(a) < min_size || forest.size(b) < min_size)) {
      forest.merge(a, b, edge.weight);
    }
  }
}

// Numbers the components in the order of their first elements. Returns their count.
int number_components(Forest& forest, int32_t elements, std::vector<int32_t>& labels) {
  labels.resize(elements);
  std::vector<int32_t> numbers(elements, -1);
  int count = 0;
  for (int32_t i = 0; i < elements; ++i) {
    int32_t& number = numbers[forest.find(i)];
    if (number < 0) number = count++;
    labels[i] = number;
  }
  return count;
}

}  // namespace

std::vector<RegionEdge> unique_pairs(const std::vector<RegionEdge>& edges,
                                     const std::vector<int32_t>& labels, int regions) {
  constexpr uint64_t kEmpty = ~uint64_t{0};
  std::size_t slots = 64;
  while (slots < static_cast<std::size_t>(regions) * 8) slots *= 2;
  std::vector<uint64_t> table(slots, kEmpty);
  std::vector<RegionEdge> unique;
  for (const RegionEdge& edge : edges) {
    int32_t a = labels[edge.a], b = labels[edge.b];
    if (a == b) continue;
    if (a > b) std::swap(a, b);
    const uint64_t pair = static_cast<uint64_t>(a) << 32 | static_cast<uint32_t>(b);
    std::size_t slot = (pair * 0x9E3779B97F4A7C15u >> 32) & (slots - 1);
    while (table[slot] != pair && table[slot] != kEmpty) slot = (slot + 1) & (slots - 1);
    if (table[slot] == pair) continue;
    table[slot] = pair;
    unique.push_back({a, b, edge.weight});
  }
  return unique;
}

Segmentation segment_pixels(const SmoothPlanes& planes, int connectivity, int k, int min_size,
                            SegmentationMemory& memory) {
  const auto pixels = static_cast<int32_t>(planes.pixels());
  Forest& forest = memory.forest;
  forest.reset(k * kWeightUnit);
  forest.add_singles(pixels);
  memory.edges.sort(planes, connectivity);
  memory.rejected.clear();
  memory.edges.each([&](int32_t pixel, int32_t neighbour, int32_t weight) {
    const int32_t a = forest.find(pixel), b = forest.find(neighbour);
    if (a == b) return;
    if (forest.joins(a, b, weight)) {
      forest.merge(a, b, weight);
    } else {
      memory.rejected.push_back({a, b, weight});
    }
  });
  merge_small(memory.rejected, min_size, forest);

  Segmentation result;
  const int regions = number_components(forest, pixels, result.labels);
  result.sizes.resize(regions);
  result.internal.resize(regions);
  for (int32_t i = 0; i < pixels; ++i) {
    if (!forest.is_root(i)) continue;
    result.sizes[result.labels[i]] = forest.size(i);
    result.internal[result.labels[i]] = forest.internal(i);
  }
  result.edges = unique_pairs(memory.rejected, result.labels, regions);
  return result;
}

int segment_regions(const Segmentation& base, int k, int min_size, std::vector<int32_t>& labels) {
  Forest forest;
  forest.reset(k * kWeightUnit);
  for (int i = 0; i < base.regions(); ++i) forest.add(base.sizes[i], base.internal[i]);
  for (const RegionEdge& edge : base.edges) {
    const int32_t a = forest.find(edge.a), b = forest.find(edge.b);
    if (a != b && forest.joins(a, b, edge.weight)) forest.merge(a, b, edge.weight);
  }
  merge_small(base.edges, min_size, forest);
  return number_components(forest, base.regions(), labels);
}

}  // namespace frcnn::selective_search
