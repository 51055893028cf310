#include "cpu/selective_search/features.h"

#include <algorithm>
#include <cstdlib>

#include "cpu/selective_search/simd.h"

namespace frcnn::selective_search {
namespace {

Box join(const Box& a, const Box& b) {
  return {std::min(a.x1, b.x1), std::min(a.y1, b.y1), std::max(a.x2, b.x2), std::max(a.y2, b.y2)};
}

FRCNN_SIMD void colour_codes(const uint8_t* values, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) {
    codes[i] = static_cast<uint8_t>(values[i] * Layout::kColourBins >> 8);
  }
}

// Orientation (the octant of the gradient) and magnitude (doubling from one bin to the next)
// of a row's gradients, central differences of a smoothed plane.
FRCNN_SIMD void texture_codes(const int16_t* left, const int16_t* right, const int16_t* above,
                              const int16_t* below, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) {
    const int16_t dx = right[i] - left[i], dy = below[i] - above[i];
    const int16_t across = dx < 0 ? -dx : dx, down = dy < 0 ? -dy : dy;
    const int16_t largest = across > down ? across : down;
    const int16_t orientation = (dx < 0) * 1 + (dy < 0) * 2 + (down > across) * 4;
    const int16_t magnitude = (largest >= 16) + (largest >= 32) + (largest >= 64) +
                              (largest >= 128) + (largest >= 256) + (largest >= 512) +
                              (largest >= 1024);
    codes[i] = static_cast<uint8_t>(orientation * Layout::kMagnitudes + magnitude);
  }
}

// Gradients are clamped at the border: the outermost difference spans one pixel.
void texture_row(const int16_t* plane, int y, int height, int width, uint8_t* codes) {
  const int16_t* row = plane + static_cast<std::size_t>(y) * width;
  const int16_t* above = y > 0 ? row - width : row;
  const int16_t* below = y + 1 < height ? row + width : row;
  const int last = width - 1;
  if (width > 2) texture_codes(row, row + 2, above + 1, below + 1, width - 2, codes + 1);
  texture_codes(row, row + std::min(1, last), above, below, 1, codes);
  texture_codes(row + std::max(0, last - 1), row + last, above + last, below + last, 1, codes + last);
}

FRCNN_SIMD void add_row(const uint32_t* row, int count, uint32_t* sum) {
  for (int i = 0; i < count; ++i) sum[i] += row[i];
}

// Counts in units of kUnit / total. The conversions and the product are correctly rounded.
FRCNN_SIMD void normalise(const uint32_t* counts, int count, float scale, int16_t* out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<int16_t>(
        static_cast<int32_t>(static_cast<float>(static_cast<int32_t>(counts[i])) * scale));
  }
}

}  // namespace

RegionCounts count_features(const Planes& planes, const SmoothPlanes& smooth,
                            const Segmentation& segmentation) {
  const int height = planes.height, width = planes.width, channels = planes.channels;
  const Layout layout(channels);
  RegionCounts result{layout, segmentation.sizes, {}, {}};
  result.boxes.assign(segmentation.regions(), Box{width, height, -1, -1});
  result.counts.assign(static_cast<std::size_t>(segmentation.regions()) * layout.row(), 0);
  std::vector<uint8_t> codes(static_cast<std::size_t>(width) * 6);
  for (int y = 0; y < height; ++y) {
    const std::size_t start = static_cast<std::size_t>(y) * width;
    for (int c = 0; c < channels; ++c) {
      colour_codes(planes.plane(c) + start, width, codes.data() + 2 * c * width);
      texture_row(smooth.plane(c), y, height, width, codes.data() + (2 * c + 1) * width);
    }
    const int32_t* labels = segmentation.labels.data() + start;
    for (int x = 0; x < width;) {
      const int first = x;
      const int32_t label = labels[first];
      uint32_t* row = result.counts.data() + static_cast<std::size_t>(label) * layout.row();
      for (; x < width && labels[x] == label; ++x) {
        for (int c = 0; c < channels; ++c) {
          ++row[c * Layout::kColourBins + codes[2 * c * width + x]];
          ++row[layout.colour + c * Layout::kTextureBins + codes[(2 * c + 1) * width + x]];
        }
      }
      Box& box = result.boxes[label];
      box = join(box, Box{first, y, x - 1, y});
    }
  }
  return result;
}

RegionSet join_regions(const RegionCounts& counts, const std::vector<RegionEdge>& edges,
                       const std::vector<int32_t>& labels, int regions) {
  const Layout& layout = counts.layout;
  const std::size_t row = layout.row();
  RegionSet set{layout, std::vector<int32_t>(regions, 0), {}, {}, unique_pairs(edges, labels, regions)};
  set.boxes.assign(regions, Box{INT32_MAX, INT32_MAX, -1, -1});
  std::vector<uint32_t> sums(regions * row, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const int32_t label = labels[i];
    set.sizes[label] += counts.sizes[i];
    set.boxes[label] = join(set.boxes[label], counts.boxes[i]);
    add_row(counts.counts.data() + i * row, static_cast<int>(row), sums.data() + label * row);
  }
  set.histograms.resize(regions * row);
  for (int i = 0; i < regions; ++i) {
    // One less than kUnit, so that a single full bin fits 16 bits.
    const float scale = static_cast<float>(kUnit - 1) /
                        static_cast<float>(static_cast<int64_t>(set.sizes[i]) * layout.channels);
    normalise(sums.data() + i * row, static_cast<int>(row), scale, set.histograms.data() + i * row);
  }
  return set;
}

}  // namespace frcnn::selective_search
