// A panel is the unit of work of RoI pooling on the CPU: kPanelBytes of channels of one image's
// feature map, stored next to each other in every cell. A panel is small enough to stay in the
// second-level cache while all RoIs of the image are pooled from it, and one vector instruction
// handles many of its channels.
//
// Notation: P channels per panel, H x W cells, `bins` = pooled height * pooled width.
#pragma once
#include <cstdint>

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

// Rows [first_row, last_row) of up to P channels of one image, to be packed as (H, W, P).
template <typename Stored>
struct PackJob {
  const Stored* map;  // the panel's first channel
  int64_t channel_stride, row_stride, column_stride;
  int64_t channels;  // at most P; the other lanes of the panel become 0
  int64_t first_row, last_row, width;
  Compute<Stored>* panel;
};

// RoIs pooled from one panel.
template <typename Stored>
struct PoolJob {
  const Compute<Stored>* cells;  // row 0; only rows that a RoI touches need to be present
  int64_t cell_stride;           // positive: the loop over a row ends by address
  int64_t row_stride;
  int64_t channels;  // at most P
  int64_t pooled_height, pooled_width, width;
  const int32_t* windows;
  int64_t windows_per_roi;
  const int64_t* rois;
  int64_t roi_count;
  Stored* out;         // at RoI 0 and the panel's first channel
  void* argmax;        // at the same position, or null
  bool short_cells;    // argmax is int16_t, else int32_t
  int64_t out_stride;  // in elements, from one RoI to the next
  bool stream;         // write past the caches because the output is too large for them
  Compute<Stored>* tile;   // scratch, kScratchTiles * tile_elements(bins)
};

// Scratch contains the maxima, their cells, and one of the two in the output's order.
constexpr int64_t kScratchTiles = 3;
template <typename T>
constexpr int64_t tile_elements(int64_t bins) {
  return (bins + kPanelChannels<T>) * kPanelChannels<T>;
}

template <typename Stored>
struct RoiPoolKernel {
  void (*pack)(const PackJob<Stored>&);
  void (*pool)(const PoolJob<Stored>&);
};

// The kernels for each type of features.
struct RoiPoolKernels : RoiPoolKernel<float>,
                        RoiPoolKernel<double>,
                        RoiPoolKernel<HalfBits>,
                        RoiPoolKernel<BFloat16Bits> {};

RoiPoolKernels roi_pool_kernels(Baseline);
RoiPoolKernels roi_pool_kernels(Avx2);
RoiPoolKernels roi_pool_kernels(Avx512);

}  // namespace frcnn
