// The loops over rows (rows.h), compiled for several instruction sets.
//
// The compiler vectorises these loops. They use builtins instead of library functions, whose copies
// the linker would merge.
#pragma once
#include "cpu/selective_search/rows.h"

namespace frcnn::selective_search {
namespace {

// exp(-x^2 / (2 * 0.8^2)), scaled so that the weights sum to 256.
constexpr int kCentre = 128, kNear = 58, kFar = 6;

void smooth_row(const uint8_t* row, int width, uint16_t* out) {
  for (int x = 0; x < width; ++x) {
    out[x] = static_cast<uint16_t>(kCentre * row[x + 2] + kNear * (row[x + 1] + row[x + 3]) +
                                   kFar * (row[x] + row[x + 4]));
  }
}

void smooth_column(const uint16_t* const rows[5], int width, int16_t* out) {
  const uint16_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4];
  for (int x = 0; x < width; ++x) {
    const int sum = kCentre * c[x] + kNear * (b[x] + d[x]) + kFar * (a[x] + e[x]);
    out[x] = static_cast<int16_t>((sum + (1 << 11)) >> 12);
  }
}

// Planes are in 1/16 of a grey level, so half of their distance is in 1/8. The square root and the
// product are correctly rounded, which gives the same integer on every machine.
void weigh_colour(const int16_t* a0, const int16_t* b0, const int16_t* a1, const int16_t* b1,
                  const int16_t* a2, const int16_t* b2, int count, uint16_t* weights) {
  for (int i = 0; i < count; ++i) {
    const int d0 = a0[i] - b0[i], d1 = a1[i] - b1[i], d2 = a2[i] - b2[i];
    const auto squares = static_cast<float>(d0 * d0 + d1 * d1 + d2 * d2);
    weights[i] = static_cast<uint16_t>(static_cast<int>(__builtin_sqrtf(squares) * 0.5f));
  }
}

void weigh_grey(const int16_t* a, const int16_t* b, int count, uint16_t* weights) {
  for (int i = 0; i < count; ++i) {
    weights[i] = static_cast<uint16_t>(__builtin_abs(a[i] - b[i]) >> 1);
  }
}

void colour_codes(const uint8_t* values, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(values[i] * kColourBins >> 8);
}

void texture_codes(const int16_t* left, const int16_t* right, const int16_t* above,
                   const int16_t* below, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) {
    const int16_t dx = right[i] - left[i], dy = below[i] - above[i];
    const int16_t across = dx < 0 ? -dx : dx, down = dy < 0 ? -dy : dy;
    const int16_t largest = across > down ? across : down;
    const int16_t orientation = (dx < 0) * 1 + (dy < 0) * 2 + (down > across) * 4;
    const int16_t magnitude = (largest >= 16) + (largest >= 32) + (largest >= 64) +
                              (largest >= 128) + (largest >= 256) + (largest >= 512) +
                              (largest >= 1024);
    codes[i] = static_cast<uint8_t>(orientation * kMagnitudes + magnitude);
  }
}

void add_row(const uint32_t* row, int count, uint32_t* sum) {
  for (int i = 0; i < count; ++i) sum[i] += row[i];
}

// The conversions and the product are correctly rounded, as IEEE 754 requires.
void normalise(const uint32_t* counts, int count, float scale, int16_t* out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<int16_t>(
        static_cast<int32_t>(static_cast<float>(static_cast<int32_t>(counts[i])) * scale));
  }
}

int32_t intersection(const int16_t* a, const int16_t* b, int count) {
  int32_t sum = 0;
  for (int i = 0; i < count; ++i) sum += a[i] < b[i] ? a[i] : b[i];
  return sum;
}

void blend(const int16_t* a, const int16_t* b, int32_t share, int count, int16_t* out) {
  const int32_t rest = kUnit - share;
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<int16_t>((a[i] * share + b[i] * rest + kUnit / 2) >> 15);
  }
}

}  // namespace

RowLoops row_loops(ThisIsa) {
  return {&smooth_row, &smooth_column, &weigh_colour, &weigh_grey,   &colour_codes,
          &texture_codes, &add_row,    &normalise,    &intersection, &blend};
}

}  // namespace frcnn::selective_search
