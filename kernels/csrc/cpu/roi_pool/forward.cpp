// RoI pooling on the CPU, forward: passes panels of the feature map to the vector kernels.
//
// The work is a list of (image, panel, RoI) triples in this order, so a thread packs a panel once
// and pools many RoIs from it. Results do not depend on how the triples are divided among threads.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "cpu/common/isa.h"
#include "cpu/common/scratch.h"
#include "cpu/roi_pool/fresh_memory.h"
#include "cpu/roi_pool/job.h"
#include "cpu/roi_pool/roi_table.h"
#include "dispatch.h"
#include "roi_pool_operators.h"

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Outputs of at least this size are written past the caches.
constexpr int64_t kStreamBytes = 4 << 20;
// For at most this many RoIs it is faster to read channels-last features in place than to pack
// them.
constexpr int64_t kFewRois = 8;
constexpr int64_t kElementsPerTask = 1 << 15;

// The maximum of a window of NaNs; for the 16-bit types the key of -infinity.
template <typename Stored>
constexpr Pooled<Stored> kLowest = std::numeric_limits<float>::lowest();
template <>
constexpr int16_t kLowest<HalfBits> = ~0x7c00;
template <>
constexpr int16_t kLowest<BFloat16Bits> = ~0x7f80;

// One forward pass; `pool(begin, end)` computes a range of its triples.
template <typename Stored>
struct Forward {
  using T = Pooled<Stored>;
  static constexpr int64_t P = kPanelChannels<T>;

  const Tensor& features;
  const RoiTable& table;
  Tensor& out;
  Tensor* argmax;  // or null
  PoolKernel<T> run = with_isa([](auto isa) { return roi_pool_kernels(isa); });
  int64_t channels = features.size(1), height = features.size(2), width = features.size(3);
  int64_t panels = (channels + P - 1) / P;
  int64_t bins = out.size(2) * out.size(3);
  bool short_cells = argmax != nullptr && argmax->scalar_type() == ScalarType::Short;
  bool stream = out.numel() * static_cast<int64_t>(sizeof(Stored)) >= kStreamBytes;

  void pool(int64_t begin, int64_t end) const {
    Scratch<T> panel(height * width * P);
    Scratch<char> scratch(scratch_bytes<T>(bins));
    for (int64_t image = 0; image < table.images(); ++image) {
      int64_t first = table.first_of_image[image];
      int64_t count = table.first_of_image[image + 1] - first;
      int64_t from = std::max(begin - first * panels, int64_t{0});
      int64_t to = std::min(end - first * panels, count * panels);
      while (from < to) {
        int64_t p = from / count, roi = from % count;
        int64_t rois = std::min(count - roi, to - from);
        pool_panel(
            image, p * P, table.by_image.data() + first + roi, rois, panel.get(), scratch.get());
        from += rois;
      }
    }
  }

  void pool_panel(
      int64_t image, int64_t channel, const int64_t* rois, int64_t roi_count, T* panel,
      void* scratch) const {
    int64_t panel_channels = std::min(P, channels - channel);
    const T* map = static_cast<const T*>(features.const_data_ptr()) + image * features.stride(0) +
                   channel * features.stride(1);
    PoolJob<T> job{
        panel,
        P,
        width * P,
        panel_channels,
        out.size(2),
        out.size(3),
        width,
        table.windows.data(),
        table.windows_per_roi,
        rois,
        roi_count,
        kLowest<Stored>,
        output_of(channel),
        argmax_of(channel),
        short_cells,
        channels * bins,
        stream,
        false,
        scratch};
    // The kernel ends a row by its address, so cells of stride 0 (expanded features) are packed.
    bool in_place = std::is_same_v<Stored, T> && features.stride(1) == 1 &&
                    features.stride(3) > 0 && panel_channels == P;
    if (in_place && roi_count <= kFewRois) {
      job.cells = map;
      job.cell_stride = features.stride(3);
      job.row_stride = features.stride(2);
    } else {
      auto [first_row, last_row] = rows_touched(rois, roi_count);
      job.negative_zeros = run.pack(
          {map, features.stride(1), features.stride(2), features.stride(3), panel_channels,
           first_row, last_row, width, kLowest<Stored>, panel});
    }
    run.pool(job);
  }

  T* output_of(int64_t channel) const {
    return static_cast<T*>(out.mutable_data_ptr()) + channel * bins;
  }

  void* argmax_of(int64_t channel) const {
    if (argmax == nullptr) return nullptr;
    int64_t bytes = short_cells ? sizeof(int16_t) : sizeof(int32_t);
    return static_cast<char*>(argmax->mutable_data_ptr()) + channel * bins * bytes;
  }

  std::tuple<int64_t, int64_t> rows_touched(const int64_t* rois, int64_t roi_count) const {
    int64_t first = height, last = 0, pooled_height = out.size(2);
    for (int64_t k = 0; k < roi_count; ++k) {
      const int32_t* rows = table.windows_of(rois[k]);
      first = std::min<int64_t>(first, rows[0]);
      last = std::max<int64_t>(last, rows[2 * pooled_height - 1]);
    }
    return {std::min(first, last), last};
  }
};

struct Cpu {
  using Half = HalfBits;
  using BFloat16 = BFloat16Bits;

  static void prepare(Tensor& output) { prefer_huge_pages(output); }
  static RoiTable table(const Tensor& rois, const RoiGrid& grid) {
    return make_roi_table(rois, grid);
  }

  template <typename Stored>
  static void forward(const Tensor& features, const RoiTable& table, Tensor& out, Tensor* argmax) {
    Forward<Stored> forward{features, table, out, argmax};
    int64_t elements = std::max<int64_t>(1, forward.P * forward.bins);
    int64_t triples = forward.panels * static_cast<int64_t>(table.by_image.size());
    torch::stable::parallel_for(
        0, triples, std::max<int64_t>(1, kElementsPerTask / elements),
        [&](int64_t begin, int64_t end) { forward.pool(begin, end); });
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CPU, m) { RoiPoolForward<Cpu>::implement(m); }

}  // namespace frcnn
