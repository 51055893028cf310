#include "cpu/selective_search/smooth.h"

#include <algorithm>

#include "cpu/selective_search/rows.h"

namespace frcnn::selective_search {

SmoothPlanes smooth(const Planes& planes) {
  const int height = planes.height, width = planes.width;
  const RowLoops& loops = row_loops();
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
      loops.smooth_row(padded.data(), width, pass.data() + static_cast<std::size_t>(y) * width);
    }
    int16_t* out = result.values.data() + channel * planes.pixels();
    for (int y = 0; y < height; ++y) {
      const uint16_t* rows[5];
      for (int i = 0; i < 5; ++i) {
        rows[i] = pass.data() + static_cast<std::size_t>(std::clamp(y + i - 2, 0, height - 1)) * width;
      }
      loops.smooth_column(rows, width, out + static_cast<std::size_t>(y) * width);
    }
  }
  return result;
}

}  // namespace frcnn::selective_search
