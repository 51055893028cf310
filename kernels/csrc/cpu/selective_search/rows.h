// Loops over rows of pixels and histograms, compiled for several instruction sets.
//
// They use integers, or single IEEE operations on floats, which round the same way everywhere. So
// the instruction set never changes a result.
#pragma once

#include <cstdint>

#include "cpu/common/isa.h"

namespace frcnn::selective_search {

inline constexpr int kColourBins = 25;  // per channel
inline constexpr int kOrientations = 8;
inline constexpr int kMagnitudes = 8;  // per channel and orientation
// The sum of a colour or texture histogram, and the greatest value of a similarity.
inline constexpr int kUnit = 1 << 15;

inline constexpr int kMoreSelected = 16;

// Edge weights, inclusive.
struct Range {
  int32_t first;
  int32_t last;
};

struct RowLoops {
  // Smooths one row horizontally; the result is in 1/256 of a grey level. `row` is padded with two
  // repeated pixels on each side.
  void (*smooth_row)(const uint8_t* row, int width, uint16_t* out);

  // Smooths one row vertically, from the five rows around it; the result is in 1/16 of a grey
  // level.
  void (*smooth_column)(const uint16_t* const rows[5], int width, int16_t* out);

  // Weights of the edges between pixels a and b, in three smoothed planes or in one.
  void (*weigh_colour)(const int16_t* a0, const int16_t* b0, const int16_t* a1, const int16_t* b1,
                       const int16_t* a2, const int16_t* b2, int count, uint16_t* weights);
  void (*weigh_grey)(const int16_t* a, const int16_t* b, int count, uint16_t* weights);

  // Selects the edges of a row with a weight in `range` between pixels of different groups, neither
  // of which is negative. Writes their codes, which increase by 4 per pixel, and their weights.
  // Returns their number. May write up to kMoreSelected values more.
  int (*select_edges)(const int32_t* a, const int32_t* b, const uint16_t* weights, int count,
                      Range range, uint32_t code, uint32_t* codes, uint16_t* kept);

  // Colour bins of a row.
  void (*colour_codes)(const uint8_t* values, int count, uint8_t* codes);

  // Texture bins of a row: orientation (octant) and magnitude (doubles from bin to bin) of the
  // gradient, computed as central differences of a smoothed plane.
  void (*texture_codes)(const int16_t* left, const int16_t* right, const int16_t* above,
                        const int16_t* below, int count, uint8_t* codes);

  // sum += row
  void (*add_row)(const uint32_t* row, int count, uint32_t* sum);

  // Counts times `scale`, rounded down.
  void (*normalise)(const uint32_t* counts, int count, float scale, int16_t* out);

  // Sum of the minima of each pair of bins.
  int32_t (*intersection)(const int16_t* a, const int16_t* b, int count);

  // Mean of two histograms, weighted by `share` and kUnit - share.
  void (*blend)(const int16_t* a, const int16_t* b, int32_t share, int count, int16_t* out);
};

RowLoops row_loops(Baseline);
RowLoops row_loops(Avx2);
RowLoops row_loops(Avx512);

// The loops for the chosen instruction set.
inline const RowLoops& row_loops() {
  static const RowLoops chosen = with_isa([](auto isa) { return row_loops(isa); });
  return chosen;
}

}  // namespace frcnn::selective_search
