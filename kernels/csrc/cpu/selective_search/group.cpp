#include "cpu/selective_search/group.h"

#include <algorithm>

#include "cpu/selective_search/rows.h"

namespace frcnn::selective_search {
namespace {

class Grouping {
 public:
  Grouping(const RegionSet& set, int similarities, int64_t image_size)
      : layout_(set.layout), similarities_(similarities), image_size_(image_size) {
    const std::size_t most = 2 * static_cast<std::size_t>(set.regions());
    sizes_ = set.sizes, boxes_ = set.boxes;
    sizes_.reserve(most), boxes_.reserve(most);
    joined_into_.assign(most, -1);
    seen_by_.assign(most, -1);
    if (similarities_ & (kColour | kTexture)) {
      histograms_ = set.histograms;
      histograms_.resize(most * layout_.row());
    }
    link(set);
  }

  std::vector<Box> run() {
    const std::size_t given = sizes_.size();
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      const uint64_t pair = queue_.back();
      queue_.pop_back();
      const int32_t a = elder(pair), b = younger(pair);
      if (!stands(b)) continue;
      if (stands(a)) {
        join(a, b);
      } else {
        push_best(b);
      }
    }
    return {boxes_.begin() + given, boxes_.end()};
  }

 private:
  // A pair of neighbours: their similarity, then the two inverted, so that of equally similar
  // pairs the oldest is the greatest. A pair belongs to its younger region. Of each region's
  // pairs only the most similar one waits in the queue; when its other half is gone by the time
  // its turn comes, the next best takes its place.
  static constexpr int kBits = 23;
  static constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;

  static int32_t elder(uint64_t pair) { return static_cast<int32_t>(~pair >> kBits & kMask); }
  static int32_t younger(uint64_t pair) { return static_cast<int32_t>(~pair & kMask); }

  uint64_t pair(int32_t elder, int32_t younger) const {
    return static_cast<uint64_t>(similarity(elder, younger)) << (2 * kBits) |
           (~static_cast<uint64_t>(elder) & kMask) << kBits |
           (~static_cast<uint64_t>(younger) & kMask);
  }

  struct Stretch {
    std::size_t first;
    std::size_t count;
  };

  void link(const RegionSet& set) {
    stretches_.assign(set.regions(), Stretch{0, 0});
    for (const RegionEdge& edge : set.neighbours) {
      ++stretches_[edge.a].count, ++stretches_[edge.b].count;
    }
    std::size_t total = 0;
    for (Stretch& stretch : stretches_) {
      stretch.first = total;
      total += stretch.count;
      stretch.count = 0;
    }
    neighbours_.resize(total);
    pairs_.resize(total, 0);
    for (const RegionEdge& edge : set.neighbours) {
      Stretch &a = stretches_[edge.a], &b = stretches_[edge.b];
      neighbours_[a.first + a.count++] = edge.b;
      pairs_[b.first + b.count] = pair(edge.a, edge.b);
      neighbours_[b.first + b.count++] = edge.a;
    }
    for (int32_t i = 0; i < set.regions(); ++i) push_best(i);
  }

  bool stands(int32_t region) const { return joined_into_[region] < 0; }

  // Queues the most similar of the pairs that belong to `region`, if one is left.
  void push_best(int32_t region) {
    const Stretch stretch = stretches_[region];
    uint64_t best = 0;
    for (std::size_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      if (pairs_[i] > best && stands(elder(pairs_[i]))) best = pairs_[i];
    }
    if (best == 0) return;
    queue_.push_back(best);
    std::push_heap(queue_.begin(), queue_.end());
  }

  const int16_t* histogram(int32_t region) const {
    return histograms_.data() + static_cast<std::size_t>(region) * layout_.row();
  }

  int32_t similarity(int32_t a, int32_t b) const {
    int32_t sum = 0;
    if (similarities_ & kColour) {
      sum += loops_.intersection(histogram(a), histogram(b), layout_.colour);
    }
    if (similarities_ & kTexture) {
      sum += loops_.intersection(histogram(a) + layout_.colour, histogram(b) + layout_.colour,
                                 layout_.texture);
    }
    const int64_t both = static_cast<int64_t>(sizes_[a]) + sizes_[b];
    if (similarities_ & kSize) sum += kUnit - static_cast<int32_t>(both * kUnit / image_size_);
    if (similarities_ & kFill) {
      const Box box = bounds(boxes_[a], boxes_[b]);
      const int64_t area = static_cast<int64_t>(box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1);
      sum += kUnit - static_cast<int32_t>((area - both) * kUnit / image_size_);
    }
    return sum;
  }

  void join(int32_t a, int32_t b) {
    const auto made = static_cast<int32_t>(sizes_.size());
    const int64_t both = static_cast<int64_t>(sizes_[a]) + sizes_[b];
    if (similarities_ & (kColour | kTexture)) {
      const auto share = static_cast<int32_t>(sizes_[a] * int64_t{kUnit} / both);
      loops_.blend(histogram(a), histogram(b), share, layout_.row(),
                   histograms_.data() + static_cast<std::size_t>(made) * layout_.row());
    }
    boxes_.push_back(bounds(boxes_[a], boxes_[b]));
    sizes_.push_back(static_cast<int32_t>(both));
    joined_into_[a] = joined_into_[b] = made;
    seen_by_[made] = made;
    const std::size_t first = neighbours_.size();
    for (const int32_t part : {a, b}) {
      for (std::size_t i = 0; i < stretches_[part].count; ++i) {
        const int32_t other = current(neighbours_[stretches_[part].first + i]);
        if (seen_by_[other] == made) continue;
        seen_by_[other] = made;
        neighbours_.push_back(other);
        pairs_.push_back(pair(other, made));
      }
    }
    stretches_.push_back({first, neighbours_.size() - first});
    push_best(made);
  }

  // The region that holds `region` now; paths are halved on the way.
  int32_t current(int32_t region) {
    while (!stands(region)) {
      const int32_t above = joined_into_[region];
      if (!stands(above)) joined_into_[region] = joined_into_[above];
      region = above;
    }
    return region;
  }

  const RowLoops& loops_ = row_loops();
  const Layout layout_;
  const int similarities_;
  const int64_t image_size_;
  std::vector<int32_t> sizes_;
  std::vector<Box> boxes_;
  std::vector<int16_t> histograms_;
  std::vector<int32_t> joined_into_;  // -1 while a region stands
  std::vector<int32_t> seen_by_;      // the last region whose neighbours it was listed among
  std::vector<int32_t> neighbours_;   // as they were when a region was made
  std::vector<uint64_t> pairs_;       // beside neighbours_; 0 where it is the neighbour's
  std::vector<Stretch> stretches_;    // of each region in neighbours_ and pairs_
  std::vector<uint64_t> queue_;       // a heap
};

}  // namespace

std::vector<Box> group_regions(const RegionSet& set, int similarities, int64_t image_size) {
  return Grouping(set, similarities, image_size).run();
}

}  // namespace frcnn::selective_search
