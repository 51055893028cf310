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
      if (!is_root(b)) continue;
      if (is_root(a)) {
        join(a, b);
      } else {
        push_best(b);
      }
    }
    return {boxes_.begin() + given, boxes_.end()};
  }

 private:
  // A pair of neighbours as an integer: the similarity, then the inverted numbers of the elder and
  // the younger region. So among equally similar pairs the oldest is the greatest. A pair belongs
  // to its younger region. The queue holds only the most similar pair of each region. If the elder
  // region of a pair has been joined meanwhile, the region's next best pair is queued instead.
  static constexpr int kBits = 23;
  static constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;

  static int32_t elder(uint64_t pair) { return static_cast<int32_t>(~pair >> kBits & kMask); }
  static int32_t younger(uint64_t pair) { return static_cast<int32_t>(~pair & kMask); }

  uint64_t pair(int32_t elder, int32_t younger) const {
    return static_cast<uint64_t>(similarity(elder, younger)) << (2 * kBits) |
           (~static_cast<uint64_t>(elder) & kMask) << kBits |
           (~static_cast<uint64_t>(younger) & kMask);
  }

  struct Range {
    std::size_t first;
    std::size_t count;
  };

  void link(const RegionSet& set) {
    ranges_.assign(set.regions(), Range{0, 0});
    for (const RegionEdge& edge : set.neighbours) {
      ++ranges_[edge.a].count, ++ranges_[edge.b].count;
    }
    std::size_t total = 0;
    for (Range& range : ranges_) {
      range.first = total;
      total += range.count;
      range.count = 0;
    }
    neighbours_.resize(total);
    pairs_.resize(total, 0);
    for (const RegionEdge& edge : set.neighbours) {
      Range &a = ranges_[edge.a], &b = ranges_[edge.b];
      neighbours_[a.first + a.count++] = edge.b;
      pairs_[b.first + b.count] = pair(edge.a, edge.b);
      neighbours_[b.first + b.count++] = edge.a;
    }
    for (int32_t i = 0; i < set.regions(); ++i) push_best(i);
  }

  bool is_root(int32_t region) const { return joined_into_[region] < 0; }

  // Adds to the queue the most similar remaining pair of `region`, if there is one.
  void push_best(int32_t region) {
    const Range range = ranges_[region];
    uint64_t best = 0;
    for (std::size_t i = range.first; i < range.first + range.count; ++i) {
      if (pairs_[i] > best && is_root(elder(pairs_[i]))) best = pairs_[i];
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
    const auto joined = static_cast<int32_t>(sizes_.size());
    const int64_t both = static_cast<int64_t>(sizes_[a]) + sizes_[b];
    if (similarities_ & (kColour | kTexture)) {
      const auto share = static_cast<int32_t>(sizes_[a] * int64_t{kUnit} / both);
      loops_.blend(histogram(a), histogram(b), share, layout_.row(),
                   histograms_.data() + static_cast<std::size_t>(joined) * layout_.row());
    }
    boxes_.push_back(bounds(boxes_[a], boxes_[b]));
    sizes_.push_back(static_cast<int32_t>(both));
    joined_into_[a] = joined_into_[b] = joined;
    seen_by_[joined] = joined;
    const std::size_t first = neighbours_.size();
    for (const int32_t part : {a, b}) {
      for (std::size_t i = 0; i < ranges_[part].count; ++i) {
        const int32_t other = current(neighbours_[ranges_[part].first + i]);
        if (seen_by_[other] == joined) continue;
        seen_by_[other] = joined;
        neighbours_.push_back(other);
        pairs_.push_back(pair(other, joined));
      }
    }
    ranges_.push_back({first, neighbours_.size() - first});
    push_best(joined);
  }

  // Returns the region that now contains `region`. Halves the path on the way.
  int32_t current(int32_t region) {
    while (!is_root(region)) {
      const int32_t above = joined_into_[region];
      if (!is_root(above)) joined_into_[region] = joined_into_[above];
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
  std::vector<int32_t> joined_into_;  // -1 for a region that has not been joined
  std::vector<int32_t> seen_by_;      // the last region that listed this one as a neighbour
  std::vector<int32_t> neighbours_;   // as they were when the region was created
  std::vector<uint64_t> pairs_;       // one per neighbour; 0 if the pair belongs to the neighbour
  std::vector<Range> ranges_;        // for each region, its range in neighbours_ and pairs_
  std::vector<uint64_t> queue_;       // a heap
};

}  // namespace

std::vector<Box> group_regions(const RegionSet& set, int similarities, int64_t image_size) {
  return Grouping(set, similarities, image_size).run();
}

}  // namespace frcnn::selective_search
