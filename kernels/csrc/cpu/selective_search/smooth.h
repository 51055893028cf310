// Gaussian smoothing of planes before they are segmented.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/selective_search/colour.h"

namespace frcnn::selective_search {

// Like Planes, but in 1/16 of a grey level.
struct SmoothPlanes {
  int height;
  int width;
  int channels;
  std::vector<int16_t> values;

  std::size_t pixels() const { return static_cast<std::size_t>(height) * width; }
  const int16_t* plane(int channel) const { return values.data() + channel * pixels(); }
};

// Gaussian of sigma 0.8 over 5 x 5 pixels. Outside the image the border pixel is repeated.
SmoothPlanes smooth(const Planes& planes);

}  // namespace frcnn::selective_search
