#include "cpu/selective_search/colour.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace frcnn::selective_search {
namespace {

constexpr int kShift = 16;
constexpr int kHalf = 1 << (kShift - 1);

// (value * quotients(n)[d]) >> kShift is value * n / d: a multiplication instead of a division.
template <int size>
std::array<int, size> quotients(int numerator) {
  std::array<int, size> table{};
  for (int d = 1; d < size; ++d) table[d] = (numerator * (2 << kShift) / d + 1) / 2;
  return table;
}

uint8_t to_byte(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

// Hue (0..255 for the full circle), saturation and value of the hexcone model.
struct Hsv {
  const std::array<int, 256> saturation = quotients<256>(255);
  const std::array<int, 256> turn = quotients<256>(128);  // a third of 128 is a sixth of 256

  void operator()(int r, int g, int b, uint8_t* h, uint8_t* s, uint8_t* v) const {
    const int largest = std::max({r, g, b});
    const int range = largest - std::min({r, g, b});
    int sector, difference;
    if (largest == r) {
      sector = 0, difference = g - b;
    } else if (largest == g) {
      sector = 1, difference = b - r;
    } else {
      sector = 2, difference = r - g;
    }
    const int thirds = sector * (256 << kShift) + difference * turn[range];
    *h = static_cast<uint8_t>((thirds + 3 * kHalf + 3 * (256 << kShift)) / (3 << kShift));
    *s = to_byte((range * saturation[largest] + kHalf) >> kShift);
    *v = static_cast<uint8_t>(largest);
  }
};

// CIE L*a*b* of sRGB under D65, each channel scaled to 0..255.
struct Lab {
  std::array<int, 256> linear{};   // sRGB to linear light, 0..4095
  std::array<int, 4096> root{};    // f(i / 4095), 0..32768

  Lab() {
    // The tables are rounded to few bits, so differences between math libraries do not matter.
    for (int i = 0; i < 256; ++i) {
      const double c = i / 255.0;
      const double light = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
      linear[i] = static_cast<int>(std::lround(light * 4095));
    }
    for (int i = 0; i < 4096; ++i) {
      const double t = i / 4095.0;
      const double f = t > 0.008856 ? std::cbrt(t) : 7.787 * t + 16.0 / 116;
      root[i] = static_cast<int>(std::lround(f * 32768));
    }
  }

  void operator()(int r, int g, int b, uint8_t* l, uint8_t* a, uint8_t* bb) const {
    const int red = linear[r], green = linear[g], blue = linear[b];
    // The rows of RGB to XYZ over the white point, in 4096ths; each sums to 4096.
    const int x = root[(1777 * red + 1541 * green + 778 * blue + 2048) >> 12];
    const int y = root[(871 * red + 2929 * green + 296 * blue + 2048) >> 12];
    const int z = root[(73 * red + 448 * green + 3575 * blue + 2048) >> 12];
    // L = 116 fy - 16 is 0 to 100, so 2.55 L fills a byte; a and b are centred on 128.
    *l = to_byte((y * 1183 - (163 << 15) + (1 << 16)) >> 17);
    *a = to_byte(((x - y) * 500 + (128 << 15) + (1 << 14)) >> 15);
    *bb = to_byte(((y - z) * 200 + (128 << 15) + (1 << 14)) >> 15);
  }
};

int grey(int r, int g, int b) { return (19595 * r + 38470 * g + 7471 * b + kHalf) >> kShift; }

// Red and green as fractions of r + g + b, and the intensity.
struct Rgi {
  const std::array<int, 766> share = quotients<766>(255);

  void operator()(int r, int g, int b, uint8_t* red, uint8_t* green, uint8_t* i) const {
    const int inverse = share[r + g + b];
    *red = to_byte((r * inverse + kHalf) >> kShift);
    *green = to_byte((g * inverse + kHalf) >> kShift);
    *i = static_cast<uint8_t>(grey(r, g, b));
  }
};

template <typename Function>
void each_pixel(const uint8_t* rgb, Planes& planes, const Function& function) {
  const std::size_t pixels = planes.pixels();
  uint8_t* first = planes.values.data();
  for (std::size_t i = 0; i < pixels; ++i) {
    function(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2], first + i, first + pixels + i,
             first + 2 * pixels + i);
  }
}

}  // namespace

Planes convert_colour(const uint8_t* rgb, int height, int width, ColourSpace space) {
  static const Hsv hsv;
  static const Lab lab;
  static const Rgi rgi;
  const bool single = space == ColourSpace::kGrey || space == ColourSpace::kHue;
  Planes planes{height, width, single ? 1 : 3, {}};
  // Hue is computed with saturation and value, which are removed afterwards.
  planes.values.resize(planes.pixels() * (space == ColourSpace::kGrey ? 1 : 3));
  switch (space) {
    case ColourSpace::kLab:
      each_pixel(rgb, planes, lab);
      break;
    case ColourSpace::kRgi:
      each_pixel(rgb, planes, rgi);
      break;
    case ColourSpace::kGrey:
      for (std::size_t i = 0; i < planes.pixels(); ++i) {
        planes.values[i] = static_cast<uint8_t>(grey(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]));
      }
      break;
    case ColourSpace::kHsv:
    case ColourSpace::kHue:
      each_pixel(rgb, planes, hsv);
      break;
  }
  planes.values.resize(planes.pixels() * planes.channels);
  return planes;
}

}  // namespace frcnn::selective_search
