// The RoI pooling kernels. Each kernels_*.cpp includes this file and compiles it for one
// instruction set. Do not call library templates here: the linker would merge their copies.
// Notation (job.h): P channels per panel, H x W cells, L lanes per vector.
#pragma once
#include <concepts>
#include <limits>
#include <type_traits>

#include "cpu/common/vector.h"
#include "cpu/roi_pool/element.h"
#include "cpu/roi_pool/job.h"
#include "cpu/roi_pool/stream.h"

namespace frcnn {
namespace {

// Packs a run of cells at equal distances in memory.
template <typename Stored>
void pack_run(const PackJob<Stored>& job, const Stored* from, int64_t cells, Compute<Stored>* to) {
  using T = Compute<Stored>;
  constexpr int64_t P = kPanelChannels<T>;
  constexpr int L = kLanes<T>;
  int64_t cell = 0;
  if constexpr (sizeof(Stored) == sizeof(T)) {
    if (job.column_stride == 1 && job.channels == P) {
      for (; cell + L <= cells; cell += L) {
        for (int64_t group = 0; group < P; group += L) {
          Vector<T> square[L];
#pragma GCC unroll 16
          for (int lane = 0; lane < L; ++lane) {
            square[lane] = load<T>(from + (group + lane) * job.channel_stride + cell);
          }
          transpose<T>(square);
#pragma GCC unroll 16
          for (int lane = 0; lane < L; ++lane) store(to + (cell + lane) * P + group, square[lane]);
        }
      }
    }
  }
  for (; cell < cells; ++cell) {
    const Stored* values = from + cell * job.column_stride;
    T* lanes = to + cell * P;
    for (int64_t c = 0; c < job.channels; ++c) lanes[c] = widen(values[c * job.channel_stride]);
    for (int64_t c = job.channels; c < P; ++c) lanes[c] = 0;
  }
}

template <typename Stored>
void pack(const PackJob<Stored>& job) {
  constexpr int64_t P = kPanelChannels<Compute<Stored>>;
  bool joined = job.row_stride == job.width * job.column_stride;
  int64_t rows = joined ? job.last_row - job.first_row : 1;
  for (int64_t row = job.first_row; row < job.last_row; row += rows) {
    pack_run<Stored>(
        job, job.map + row * job.row_stride, rows * job.width, job.panel + row * job.width * P);
  }
}

// The maxima of one window for P channels. Among equal values the first in row-major order wins.
template <typename T, bool with_cells>
inline void pool_window(
    const T* cells, int64_t cell_stride, int64_t row_stride, const int32_t* rows,
    const int32_t* columns, int64_t width, T* maxima, T* where) {
  constexpr int L = kLanes<T>, vectors = kPanelChannels<T> / L;
  using Index = typename LaneIndex<T>::type;
  // Not -FLT_MAX: recent headers of macOS can hide it from files that include <cfloat>.
  constexpr T lowest = std::numeric_limits<float>::lowest();
  bool empty = rows[0] == rows[1] || columns[0] == columns[1];
  Vector<T> best[vectors];
  Vector<Index> cell_of_best[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) {
    best[v] = broadcast<T>(empty ? T(0) : lowest);
    cell_of_best[v] = broadcast<Index>(-1);
  }
  if (!empty) {
    for (int64_t row = rows[0]; row < rows[1]; ++row) {
      const T* cell = cells + row * row_stride + columns[0] * cell_stride;
      const T* last = cells + row * row_stride + columns[1] * cell_stride;
      Index index = static_cast<Index>(row * width + columns[0]);
      for (; cell != last; cell += cell_stride, ++index) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          Vector<T> value = load<T>(cell + v * L);
          if constexpr (with_cells) {
            cell_of_best[v] = value > best[v] ? broadcast<Index>(index) : cell_of_best[v];
          }
          best[v] = value > best[v] ? value : best[v];
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) {
    store(maxima + v * L, best[v]);
    if constexpr (with_cells) store(where + v * L, (Vector<T>)cell_of_best[v]);
  }
}

// (bins, P) -> (P, bins), the order of the output. Squares are written from the last to the first:
// what a square at the edge writes beyond its row is overwritten by the following row.
template <typename T>
void transpose_tile(const T* tile, int64_t bins, T* lines) {
  constexpr int64_t P = kPanelChannels<T>;
  constexpr int L = kLanes<T>;
  for (int64_t bin = (bins - 1) / L * L; bin >= 0; bin -= L) {
    if (bins - bin <= 2) {  // faster without a square; 7 x 7 bins leave one such bin
      for (int64_t b = bin; b < bins; ++b) {
        for (int64_t c = 0; c < P; ++c) lines[c * bins + b] = tile[b * P + c];
      }
      continue;
    }
    for (int64_t group = 0; group < P; group += L) {
      Vector<T> square[L];
#pragma GCC unroll 16
      for (int lane = 0; lane < L; ++lane) square[lane] = load<T>(tile + (bin + lane) * P + group);
      transpose<T>(square);
#pragma GCC unroll 16
      for (int lane = 0; lane < L; ++lane) store(lines + (group + lane) * bins + bin, square[lane]);
    }
  }
}

// `bits` holds a cell number in a lane as wide as T.
template <typename T, std::signed_integral Cell>
inline void narrow(T bits, Cell& to) {
  typename LaneIndex<T>::type cell;
  std::memcpy(&cell, &bits, sizeof cell);
  to = static_cast<Cell>(cell);
}

// Writes `count` values in the output's type; `spare` is scratch for `count` values.
template <typename T, typename Out>
inline void write_out(const T* lines, int64_t count, Out* out, bool stream, T* spare) {
  const void* from = lines;
  if constexpr (sizeof(Out) != sizeof(T)) {
    auto* narrowed = reinterpret_cast<Out*>(spare);
    for (int64_t i = 0; i < count; ++i) narrow(lines[i], narrowed[i]);
    from = narrowed;
  }
  copy_out(out, from, count * sizeof(Out), stream);
}

// Cell: the type of the argmax, or void without one.
template <typename Stored, typename Cell>
void pool_rois(const PoolJob<Stored>& job) {
  using T = Compute<Stored>;
  constexpr bool with_cells = !std::is_void_v<Cell>;
  constexpr int64_t P = kPanelChannels<T>;
  int64_t bins = job.pooled_height * job.pooled_width;
  T* maxima = job.tile;
  T* where = maxima + tile_elements<T>(bins);
  T* lines = where + tile_elements<T>(bins);
  for (int64_t k = 0; k < job.roi_count; ++k) {
    int64_t roi = job.rois[k];
    const int32_t* rows = job.windows + roi * job.windows_per_roi;
    const int32_t* columns = rows + 2 * job.pooled_height;
    for (int64_t i = 0; i < job.pooled_height; ++i) {
      for (int64_t j = 0; j < job.pooled_width; ++j) {
        int64_t at = (i * job.pooled_width + j) * P;
        pool_window<T, with_cells>(
            job.cells, job.cell_stride, job.row_stride, rows + 2 * i, columns + 2 * j, job.width,
            maxima + at, where + at);
      }
    }
    transpose_tile<T>(maxima, bins, lines);
    write_out<T>(
        lines, job.channels * bins, job.out + roi * job.out_stride, job.stream, maxima);
    if constexpr (with_cells) {
      transpose_tile<T>(where, bins, lines);
      write_out<T>(
          lines, job.channels * bins, static_cast<Cell*>(job.argmax) + roi * job.out_stride,
          job.stream, where);
    }
  }
  if (job.stream) finish_stream();
}

template <typename Stored>
void pool(const PoolJob<Stored>& job) {
  if (job.argmax == nullptr) return pool_rois<Stored, void>(job);
  job.short_cells ? pool_rois<Stored, int16_t>(job) : pool_rois<Stored, int32_t>(job);
}

template <typename Stored>
constexpr RoiPoolKernel<Stored> kKernel{&pack<Stored>, &pool<Stored>};

}  // namespace

RoiPoolKernels roi_pool_kernels(ThisIsa) {
  return {kKernel<float>, kKernel<double>, kKernel<HalfBits>, kKernel<BFloat16Bits>};
}

}  // namespace frcnn
