// Colour spaces of selective search, as 8-bit planes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace frcnn::selective_search {

enum class ColourSpace { kHsv, kLab, kRgi, kGrey, kHue };
inline constexpr int kColourSpaces = 5;

// One to three planes of `height` x `width` values from 0 to 255, one after another.
struct Planes {
  int height;
  int width;
  int channels;
  std::vector<uint8_t> values;

  std::size_t pixels() const { return static_cast<std::size_t>(height) * width; }
  const uint8_t* plane(int channel) const { return values.data() + channel * pixels(); }
};

// `rgb`: height x width x 3, interleaved. Uses integer arithmetic only.
Planes convert_colour(const uint8_t* rgb, int height, int width, ColourSpace space);

}  // namespace frcnn::selective_search
