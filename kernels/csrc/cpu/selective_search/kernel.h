// The loops over rows (rows.h), compiled for several instruction sets.
//
// The compiler vectorises these loops. They use builtins instead of library functions, whose copies
// the linker would merge.
#pragma once
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <type_traits>

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

// An edge that is not kept is overwritten by the next one. This is faster than a branch, which
// processors could not predict.
int select_edges(const int32_t* a, const int32_t* b, const uint16_t* weights, int count,
                 Range range, uint32_t code, uint32_t* codes, uint16_t* kept) {
  const auto span = static_cast<uint32_t>(range.last - range.first);
  int found = 0, i = 0;
#if defined(__x86_64__)
  if constexpr (std::is_same_v<ThisIsa, Avx512>) {
    const __m512i steps =
        _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60);
    for (; i + 16 <= count; i += 16) {
      const __m512i at_a = _mm512_loadu_si512(a + i), at_b = _mm512_loadu_si512(b + i);
      const __m512i weight = _mm512_maskz_cvtepu16_epi32(
          0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + i)));
      const __m512i above = _mm512_sub_epi32(weight, _mm512_set1_epi32(range.first));
      __mmask16 keep = _mm512_cmpneq_epi32_mask(at_a, at_b);
      keep = _mm512_mask_cmple_epu32_mask(keep, above, _mm512_set1_epi32(static_cast<int>(span)));
      keep = _mm512_mask_cmpge_epi32_mask(keep, _mm512_or_epi32(at_a, at_b), __m512i{});
      const __m512i code_of = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(code)), steps);
      _mm512_storeu_si512(codes + found, _mm512_maskz_compress_epi32(keep, code_of));
      const __m512i weight_of = _mm512_maskz_compress_epi32(keep, weight);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(kept + found),
                          _mm512_maskz_cvtepi32_epi16(0xffff, weight_of));
      found += __builtin_popcount(keep);
      code += 64;
    }
  }
#endif
  constexpr int kBlock = 128, kStep = 8;
  uint8_t keep[kBlock];
  for (; i < count; i += kBlock, code += 4 * kBlock) {
    const int block = count - i < kBlock ? count - i : kBlock;
    for (int j = 0; j < block; ++j) {
      const int32_t at_a = a[i + j], at_b = b[i + j];
      keep[j] = (at_a != at_b) & ((at_a | at_b) >= 0) &
                (static_cast<uint32_t>(weights[i + j] - range.first) <= span);
    }
    int j = 0;
    for (; j + kStep <= block; j += kStep) {
      uint64_t any;
      __builtin_memcpy(&any, keep + j, sizeof any);
      if (any == 0) continue;
      for (int k = j; k < j + kStep; ++k) {
        codes[found] = code + 4 * k;
        kept[found] = weights[i + k];
        found += keep[k];
      }
    }
    for (; j < block; ++j) {
      codes[found] = code + 4 * j;
      kept[found] = weights[i + j];
      found += keep[j];
    }
  }
  return found;
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
  return {&smooth_row, &smooth_column, &weigh_colour, &weigh_grey, &select_edges,  &colour_codes,
          &texture_codes, &add_row,    &normalise,    &intersection, &blend};
}

}  // namespace frcnn::selective_search
