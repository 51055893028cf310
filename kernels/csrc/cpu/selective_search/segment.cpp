#include "cpu/selective_search/segment.h"

#include <cstddef>
#include <utility>

namespace frcnn::selective_search {
namespace {

// How much of all edges, lightest first, the rounds of join_pixels() have processed at their ends.
constexpr double kRoundEnds[] = {0.45, 0.7, 1};

// Collects the first edge of each pair of regions.
class UniquePairs {
 public:
  explicit UniquePairs(int regions) {
    std::size_t slots = 64;
    while (slots < static_cast<std::size_t>(regions) * 8) slots *= 2;
    table_.assign(slots, kEmpty);
  }

  void add(int32_t a, int32_t b, int32_t weight) {
    if (a == b) return;
    if (a > b) std::swap(a, b);
    const uint64_t pair = static_cast<uint64_t>(a) << 32 | static_cast<uint32_t>(b);
    std::size_t slot = (pair * 0x9E3779B97F4A7C15u >> 32) & (table_.size() - 1);
    while (table_[slot] != pair && table_[slot] != kEmpty) slot = (slot + 1) & (table_.size() - 1);
    if (table_[slot] == pair) return;
    table_[slot] = pair;
    edges_.push_back({a, b, weight});
  }

  std::vector<RegionEdge> take() { return std::move(edges_); }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  std::vector<uint64_t> table_;
  std::vector<RegionEdge> edges_;
};

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
int number_components(Forest& forest, std::vector<int32_t>& labels) {
  const int32_t elements = forest.elements();
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

// The components as regions, without edges.
Segmentation regions_of(Forest& forest) {
  Segmentation result;
  const int regions = number_components(forest, result.labels);
  result.sizes.resize(regions);
  result.internal.resize(regions);
  for (int32_t i = 0; i < forest.elements(); ++i) {
    if (!forest.is_root(i)) continue;
    result.sizes[result.labels[i]] = forest.size(i);
    result.internal[result.labels[i]] = forest.internal(i);
  }
  return result;
}

Forest forest_of(const Segmentation& base, int k) {
  Forest forest;
  forest.reset(k * kWeightUnit);
  for (int i = 0; i < base.regions(); ++i) forest.add(base.sizes[i], base.internal[i]);
  return forest;
}

// Joins pixels in rounds of increasing weight. Most edges are inside a component, or at one whose
// limit is below all remaining weights, so that it never grows again. Such edges are removed in
// raster order before each round, which is faster than to find the components of every edge.
void join_pixels(const SmoothPlanes& planes, SegmentationMemory& memory) {
  Forest& forest = memory.forest;
  memory.edges.weigh(planes);
  int32_t first = 0;
  for (const double end : kRoundEnds) {
    const int32_t last = end < 1 ? memory.edges.quantile(end) : kWeights - 1;
    if (last < first) continue;
    forest.find_growing(first, memory.groups.get());
    memory.edges.sort(memory.groups.get(), first, last);
    memory.edges.each(
        [&](int32_t a, int32_t b, int32_t weight) { forest.grow(a, b, weight); },
        [&](int32_t pixel) { forest.prefetch(pixel); });
    first = last + 1;
  }
}

// The lightest edge between each pair of neighbouring regions, lightest first.
std::vector<RegionEdge> boundaries(const Segmentation& regions, PixelEdges& edges) {
  const int32_t* labels = regions.labels.data();
  UniquePairs pairs(regions.regions());
  edges.sort(labels, 0, kWeights - 1);
  edges.each(
      [&](int32_t a, int32_t b, int32_t weight) { pairs.add(labels[a], labels[b], weight); },
      [&](int32_t pixel) { __builtin_prefetch(labels + pixel); });
  return pairs.take();
}

}  // namespace

std::vector<RegionEdge> unique_pairs(const std::vector<RegionEdge>& edges,
                                     const std::vector<int32_t>& labels, int regions) {
  UniquePairs pairs(regions);
  for (const RegionEdge& edge : edges) pairs.add(labels[edge.a], labels[edge.b], edge.weight);
  return pairs.take();
}

Segmentation segment_pixels(const SmoothPlanes& planes, int k, int min_size,
                            SegmentationMemory& memory) {
  memory.forest.reset(k * kWeightUnit);
  memory.forest.add_singles(static_cast<int32_t>(planes.pixels()));
  join_pixels(planes, memory);
  Segmentation components = regions_of(memory.forest);
  components.edges = boundaries(components, memory.edges);

  Forest forest = forest_of(components, k);
  merge_small(components.edges, min_size, forest);
  Segmentation result = regions_of(forest);
  result.edges = unique_pairs(components.edges, result.labels, result.regions());
  for (int32_t& label : components.labels) label = result.labels[label];
  result.labels = std::move(components.labels);
  return result;
}

int segment_regions(const Segmentation& base, int k, int min_size, std::vector<int32_t>& labels) {
  Forest forest = forest_of(base, k);
  for (const RegionEdge& edge : base.edges) forest.grow(edge.a, edge.b, edge.weight);
  merge_small(base.edges, min_size, forest);
  return number_components(forest, labels);
}

}  // namespace frcnn::selective_search
