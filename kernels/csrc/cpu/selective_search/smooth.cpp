#include "cpu/selective_search/smooth.h"

#include <algorithm>

#include "cpu/selective_search/simd.h"

namespace frcnn::selective_search {
namespace {

// exp(-x^2 / (2 * 0.8^2)) in 256ths.
constexpr int kCentre = 128, kNear = 58, kFar = 6;

// One row of the horizontal pass, in 256ths of a grey level. `row` has two repeated pixels
// on either side.
FRCNN_SIMD void smooth_row(const uint8_t* row, int width, uint16_t* out) {
  for (int x = 0; x < width; ++x) {
    out[x] = static_cast<uint16_t>(kCentre * row[x + 2] + kNear * (row[x + 1] + row[x + 3]) +
                                   kFar * (row[x] + row[x + 4]));
  }
}

FRCNN_SIMD void smooth_column(const uint16_t* const rows[5], int width, int16_t* out) {
  const uint16_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4];
  for (int x = 0; x < width; ++x) {
    const int sum = kCentre * c[x] + kNear * (b[x] + d[x]) + kFar * (a[x] + e[x]);
    out[x] = static_cast<int16_t>((sum + (1 << 11)) >> 12);
  }
}

}  // namespace

SmoothPlanes smooth(const Planes& planes) {
  const int height = planes.height, width = planes.width;
  SmoothPlanes result{height, width, planes.channels, {}};
  result.values.resize(planes.values.size());
  std::vector<uint8_t> padded(width + 4);
  std::vector<uint16_t> pass(planes.pixels());
  for (int channel = 0; channel < planes.channels; ++channel) {
    const uint8_t* in = planes.plane(channel);
    for (int y = 0; y < height; ++y) {
      const uint8_t* row = in + static_cast<std::size_t>(y) * width;
      std::copy(row, row + width, padded.begin() + 2);
      padded[0] = padded[1] = row[0];
      padded[width + 2] = padded[width + 3] = row[width - 1];
      smooth_row(padded.data(), width, pass.data() + static_cast<std::size_t>(y) * width);
    }
    int16_t* out = result.values.data() + channel * planes.pixels();
    for (int y = 0; y < height; ++y) {
      const uint16_t* rows[5];
      for (int i = 0; i < 5; ++i) {
        rows[i] = pass.data() + static_cast<std::size_t>(std::clamp(y + i - 2, 0, height - 1)) * width;
      }
      smooth_column(rows, width, out + static_cast<std::size_t>(y) * width);
    }
  }
  return result;
}

}  // namespace frcnn::selective_search
