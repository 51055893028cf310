// The RoI pooling kernels. Each kernels_*.cpp includes this file and compiles it for one
// instruction set. Do not call library templates here: the linker would merge their copies.
// Notation (job.h): P channels per panel, H x W cells, L lanes per vector.
#pragma once
#include <type_traits>

#include "cpu/common/vector.h"
#include "cpu/roi_pool/gradient.h"
#include "cpu/roi_pool/job.h"
#include "cpu/roi_pool/key.h"
#include "cpu/roi_pool/pack.h"
#include "cpu/roi_pool/stream.h"
#include "cpu/roi_pool/transpose.h"

namespace frcnn {
namespace {

// L values of a panel as lanes of type T, which may be wider.
template <typename T, typename Panel>
inline Vector<T> load_lanes(const Panel* from) {
  if constexpr (std::is_same_v<T, Panel>) {
    return load(from);
  } else {
    typedef Panel Narrow
        __attribute__((vector_size(kLanes<T> * sizeof(Panel)), aligned(alignof(Panel)), may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), Vector<T>);
  }
}

// The maxima of one window for P channels. Among equal values the first in row-major order wins.
template <typename T, bool with_cells, bool negative_zeros, typename Panel>
inline void pool_window(
    const PoolJob<Panel>& job, const int32_t* rows, const int32_t* columns, T* maxima,
    typename LaneIndex<T>::type* where) {
  constexpr int64_t P = kPanelChannels<Panel>;
  constexpr int L = kLanes<T>, vectors = P / L < 8 ? P / L : 8;
  using Index = typename LaneIndex<T>::type;
  bool empty = rows[0] == rows[1] || columns[0] == columns[1];
  for (int64_t group = 0; group < P; group += vectors * L) {
    Vector<T> best[vectors];
    Vector<Index> cell_of_best[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      best[v] = broadcast<T>(empty ? T(0) : T(job.lowest));
      cell_of_best[v] = broadcast<Index>(-1);
    }
    const int32_t last_row = empty ? rows[0] : rows[1];
    for (int64_t row = rows[0]; row < last_row; ++row) {
      const Panel* cell = job.cells + row * job.row_stride + columns[0] * job.cell_stride + group;
      const Panel* last = job.cells + row * job.row_stride + columns[1] * job.cell_stride + group;
      Index index = static_cast<Index>(row * job.width + columns[0]);
      for (; cell != last; cell += job.cell_stride, ++index) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          Vector<T> value = load_lanes<T>(cell + v * L);
          if constexpr (with_cells || negative_zeros) {
            auto better = value > best[v];
            if constexpr (negative_zeros) {
              better = without_sign_of_zero(value) > without_sign_of_zero(best[v]);
            }
            cell_of_best[v] = better ? broadcast<Index>(index) : cell_of_best[v];
            best[v] = better ? value : best[v];
          } else {
            best[v] = value > best[v] ? value : best[v];  // one instruction
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      store(maxima + group + v * L, best[v]);
      if constexpr (with_cells) store(where + group + v * L, cell_of_best[v]);
    }
  }
}

// (bins, P) -> (P, bins), the order of the output; change(value) is applied to a value or a vector.
// Squares are written from the last to the first: what a square at the edge writes beyond its row
// is overwritten by the following row.
template <int64_t P, typename T, typename Change>
void transpose_tile(const T* tile, int64_t bins, T* lines, Change change) {
  constexpr int L = kLanes<T>;
  for (int64_t bin = (bins - 1) / L * L; bin >= 0; bin -= L) {
    if (bins - bin <= 2) {  // faster without a square; 7 x 7 bins leave one such bin
      for (int64_t b = bin; b < bins; ++b) {
        for (int64_t c = 0; c < P; ++c)
          lines[c * bins + b] = static_cast<T>(change(tile[b * P + c]));
      }
      continue;
    }
    for (int64_t group = 0; group < P; group += kBlockLanes<T>) {
      transpose(tile + bin * P + group, P, [&](int c, Vector<T> values) {
        store(lines + (group + c) * bins + bin, change(values));
      });
    }
  }
}

// Writes `count` values in the output's type; `spare` is scratch for `count` values.
template <typename T, typename Out>
inline void write_out(const T* lines, int64_t count, Out* out, bool stream, void* spare) {
  const void* from = lines;
  if constexpr (sizeof(Out) != sizeof(T)) {
    auto* narrowed = static_cast<Out*>(spare);
    for (int64_t i = 0; i < count; ++i) narrowed[i] = static_cast<Out>(lines[i]);
    from = narrowed;
  }
  copy_out(out, from, count * sizeof(Out), stream);
}

// T: the type of the lanes, as wide as a cell number. Cell: the type of the argmax, or void without
// one.
template <typename T, typename Cell, bool negative_zeros, typename Panel>
void pool_rois(const PoolJob<Panel>& job) {
  using Index = typename LaneIndex<T>::type;
  constexpr bool with_cells = !std::is_void_v<Cell>;
  constexpr int64_t P = kPanelChannels<Panel>;
  int64_t bins = job.pooled_height * job.pooled_width;
  T* maxima = static_cast<T*>(job.scratch);
  auto* where = reinterpret_cast<Index*>(maxima + tile_elements<Panel>(bins));
  T* lines = maxima + 2 * tile_elements<Panel>(bins);
  auto* cell_lines = reinterpret_cast<Index*>(lines);
  for (int64_t k = 0; k < job.roi_count; ++k) {
    int64_t roi = job.rois[k];
    const int32_t* rows = job.windows + roi * job.windows_per_roi;
    const int32_t* columns = rows + 2 * job.pooled_height;
    for (int64_t i = 0; i < job.pooled_height; ++i) {
      for (int64_t j = 0; j < job.pooled_width; ++j) {
        int64_t at = (i * job.pooled_width + j) * P;
        pool_window<T, with_cells, negative_zeros>(
            job, rows + 2 * i, columns + 2 * j, maxima + at, where + at);
      }
    }
    transpose_tile<P>(maxima, bins, lines, [](auto value) {
      if constexpr (std::is_same_v<Panel, int16_t>) {
        return flip_key(value);
      } else {
        return value;
      }
    });
    write_out(lines, job.channels * bins, job.out + roi * job.out_stride, job.stream, maxima);
    if constexpr (with_cells) {
      transpose_tile<P>(where, bins, cell_lines, [](auto cells) { return cells; });
      write_out(
          cell_lines, job.channels * bins, static_cast<Cell*>(job.argmax) + roi * job.out_stride,
          job.stream, where);
    }
  }
  if (job.stream) finish_stream();
}

template <bool negative_zeros, typename T>
void pool_rois(const PoolJob<T>& job) {
  using Wide = std::conditional_t<sizeof(T) == sizeof(int16_t), int32_t, T>;
  if (job.argmax == nullptr) return pool_rois<T, void, negative_zeros>(job);
  job.short_cells ? pool_rois<T, int16_t, negative_zeros>(job)
                  : pool_rois<Wide, int32_t, negative_zeros>(job);
}

template <typename T>
void pool(const PoolJob<T>& job) {
  if constexpr (std::is_same_v<T, int16_t>) {
    if (job.negative_zeros) return pool_rois<true>(job);
  }
  pool_rois<false>(job);
}

template <typename T>
constexpr PoolKernel<T> kPool{&pack<T>, &pool<T>};

template <typename Stored>
constexpr GradientKernel<Stored> kGradient{&widen_run<Stored>, &write_sums<Stored>};

}  // namespace

RoiPoolKernels roi_pool_kernels(ThisIsa) {
  return {kPool<float>,      kPool<double>,       kPool<int16_t>,         kGradient<float>,
          kGradient<double>, kGradient<HalfBits>, kGradient<BFloat16Bits>};
}

}  // namespace frcnn
