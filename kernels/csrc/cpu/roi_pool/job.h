// A panel is the unit of work of RoI pooling on the CPU: kPanelBytes of channels of one image's
// feature map, stored next to each other in every cell. A panel is small enough to stay in the
// second-level cache while all RoIs of the image are pooled from it, and one vector instruction
// handles many of its channels.
//
// Notation: P channels per panel, H x W cells, `bins` = pooled height * pooled width.
#pragma once
#include <cstdint>
#include <type_traits>

#include "compute_type.h"
#include "cpu/common/isa.h"

namespace frcnn {

constexpr int64_t kPanelBytes = 128;

template <typename T>
constexpr int64_t kPanelChannels = kPanelBytes / static_cast<int64_t>(sizeof(T));

// The 16-bit types as stored in memory.
struct HalfBits {
  uint16_t bits;
};
struct BFloat16Bits {
  uint16_t bits;
};

// The 16-bit types are pooled as integers in the same order (key.h), the others as they are.
template <typename Stored>
using Pooled = std::conditional_t<sizeof(Stored) == sizeof(int16_t), int16_t, Stored>;

// Rows [first_row, last_row) of up to P channels of one image, to be packed as (H, W, P).
template <typename T>
struct PackJob {
  const T* map;  // the panel's first channel
  int64_t channel_stride, row_stride, column_stride;
  int64_t channels;  // at most P; the other lanes of the panel become 0
  int64_t first_row, last_row, width;
  T lowest;
  T* panel;
};

// RoIs pooled from one panel.
template <typename T>
struct PoolJob {
  const T* cells;       // row 0; only rows that a RoI touches need to be present
  int64_t cell_stride;  // positive: the loop over a row ends by address
  int64_t row_stride;
  int64_t channels;  // at most P
  int64_t pooled_height, pooled_width, width;
  const int32_t* windows;
  int64_t windows_per_roi;
  const int64_t* rois;
  int64_t roi_count;
  T lowest;             // the maximum of a window without a larger value
  T* out;               // at RoI 0 and the panel's first channel
  void* argmax;         // at the same position, or null
  bool short_cells;     // argmax is int16_t, else int32_t
  int64_t out_stride;   // in elements, from one RoI to the next
  bool stream;          // write past the caches because the output is too large for them
  bool negative_zeros;  // returned by pack
  void* scratch;        // scratch_bytes<T>(bins)
};

// Scratch contains the maxima, their cells, and one of the two in the output's order. With cells of
// 32 bits, 16-bit types also need 32 bits in it.
constexpr int64_t kScratchTiles = 3;
template <typename T>
constexpr int64_t tile_elements(int64_t bins) {
  return (bins + kPanelChannels<T>)*kPanelChannels<T>;
}
template <typename T>
constexpr int64_t scratch_bytes(int64_t bins) {
  int64_t lane = sizeof(T) > sizeof(int32_t) ? sizeof(T) : sizeof(int32_t);
  return kScratchTiles * tile_elements<T>(bins) * lane;
}

template <typename T>
struct PoolKernel {
  // Returns whether a 16-bit panel contains -0, which makes its maxima slower to find.
  bool (*pack)(const PackJob<T>&);
  void (*pool)(const PoolJob<T>&);
};

// The sums of the backward for some channels of one image, to be written in the result's type.
template <typename Stored>
struct SumJob {
  const Compute<Stored>* sums;
  int64_t sums_stride;  // from one channel's plane to the next
  int64_t channels, cells;
  Stored* result;                       // at the first channel
  int64_t channel_stride, cell_stride;  // one of the two is 1
};

template <typename Stored>
struct GradientKernel {
  void (*widen)(const Stored* from, int64_t count, Compute<Stored>* to);
  void (*write)(const SumJob<Stored>&);
};

struct RoiPoolKernels : PoolKernel<float>,
                        PoolKernel<double>,
                        PoolKernel<int16_t>,
                        GradientKernel<float>,
                        GradientKernel<double>,
                        GradientKernel<HalfBits>,
                        GradientKernel<BFloat16Bits> {};

RoiPoolKernels roi_pool_kernels(Baseline);
RoiPoolKernels roi_pool_kernels(Avx2);
RoiPoolKernels roi_pool_kernels(Avx512);

}  // namespace frcnn
