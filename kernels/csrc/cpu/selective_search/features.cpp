#include "cpu/selective_search/features.h"

#include <algorithm>

#include "cpu/selective_search/rows.h"

namespace frcnn::selective_search {
namespace {

// Pixels outside the image repeat the border, so differences there span one pixel.
void texture_row(const int16_t* plane, int y, int height, int width, uint8_t* codes) {
  const int16_t* row = plane + static_cast<std::size_t>(y) * width;
  const int16_t* above = y > 0 ? row - width : row;
  const int16_t* below = y + 1 < height ? row + width : row;
  const int last = width - 1;
  const auto bins = row_loops().texture_codes;
  if (width > 2) bins(row, row + 2, above + 1, below + 1, width - 2, codes + 1);
  bins(row, row + std::min(1, last), above, below, 1, codes);
  bins(row + std::max(0, last - 1), row + last, above + last, below + last, 1, codes + last);
}

}  // namespace

RegionCounts count_features(const Planes& planes, const SmoothPlanes& smooth,
                            const Segmentation& segmentation) {
  const int height = planes.height, width = planes.width, channels = planes.channels;
  const RowLoops& loops = row_loops();
  const Layout layout(channels);
  RegionCounts result{layout, segmentation.sizes, {}, {}};
  result.boxes.assign(segmentation.regions(), Box{width, height, -1, -1});
  result.counts.assign(static_cast<std::size_t>(segmentation.regions()) * layout.row(), 0);
  std::vector<uint8_t> codes(static_cast<std::size_t>(width) * 6);
  for (int y = 0; y < height; ++y) {
    const std::size_t start = static_cast<std::size_t>(y) * width;
    for (int c = 0; c < channels; ++c) {
      loops.colour_codes(planes.plane(c) + start, width, codes.data() + 2 * c * width);
      texture_row(smooth.plane(c), y, height, width, codes.data() + (2 * c + 1) * width);
    }
    const int32_t* labels = segmentation.labels.data() + start;
    for (int x = 0; x < width;) {
      const int first = x;
      const int32_t label = labels[first];
      uint32_t* row = result.counts.data() + static_cast<std::size_t>(label) * layout.row();
      for (; x < width && labels[x] == label; ++x) {
        for (int c = 0; c < channels; ++c) {
          ++row[c * kColourBins + codes[2 * c * width + x]];
          ++row[layout.colour + c * Layout::kTextureBins + codes[(2 * c + 1) * width + x]];
        }
      }
      Box& box = result.boxes[label];
      box = bounds(box, Box{first, y, x - 1, y});
    }
  }
  return result;
}

RegionSet join_regions(const RegionCounts& counts, const std::vector<RegionEdge>& edges,
                       const std::vector<int32_t>& labels, int regions) {
  const RowLoops& loops = row_loops();
  const Layout& layout = counts.layout;
  const std::size_t row = layout.row();
  RegionSet set{layout, std::vector<int32_t>(regions, 0), {}, {}, unique_pairs(edges, labels, regions)};
  set.boxes.assign(regions, Box{INT32_MAX, INT32_MAX, -1, -1});
  std::vector<uint32_t> sums(regions * row, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const int32_t label = labels[i];
    set.sizes[label] += counts.sizes[i];
    set.boxes[label] = bounds(set.boxes[label], counts.boxes[i]);
    loops.add_row(counts.counts.data() + i * row, static_cast<int>(row), sums.data() + label * row);
  }
  set.histograms.resize(regions * row);
  for (int i = 0; i < regions; ++i) {
    // kUnit - 1, so that a histogram with a single bin fits into 16 bits.
    const float scale = static_cast<float>(kUnit - 1) /
                        static_cast<float>(static_cast<int64_t>(set.sizes[i]) * layout.channels);
    loops.normalise(sums.data() + i * row, static_cast<int>(row), scale,
                    set.histograms.data() + i * row);
  }
  return set;
}

}  // namespace frcnn::selective_search
