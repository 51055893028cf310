// RoI pooling on the GPU, forward: one thread per output.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <cfloat>

#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/roi_table.h"
#include "dispatch.h"
#include "roi_pool_operators.h"

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// No bounds checks for N and H x W are needed: all windows of the table lie within the map.
struct Geometry {
  int64_t channels, width, pooled_height, pooled_width;
  int64_t image_stride, channel_stride, row_stride, column_stride;
};

// Neighbouring threads compute neighbouring bins, or neighbouring channels if channels_last.
template <typename Stored, typename Cell, bool channels_last>
__global__ void pool(
    const Stored* features, const int32_t* windows, const int64_t* images, Geometry g,
    int64_t count, Stored* out, Cell* argmax) {
  int64_t bins = g.pooled_height * g.pooled_width;
  FRCNN_FOR_EACH(item, count) {
    int64_t roi = divide(item, bins * g.channels);
    int64_t in_roi = item - roi * bins * g.channels;
    int64_t inner = channels_last ? g.channels : bins;
    int64_t outer_index = divide(in_roi, inner), inner_index = in_roi - outer_index * inner;
    int64_t channel = channels_last ? inner_index : outer_index;
    int64_t bin = channels_last ? outer_index : inner_index;
    int64_t bin_row = divide(bin, g.pooled_width);
    const int32_t* rows = windows + roi * 2 * (g.pooled_height + g.pooled_width);
    const int32_t* columns = rows + 2 * (g.pooled_height + bin - bin_row * g.pooled_width);
    rows += 2 * bin_row;
    const Stored* plane = features + images[roi] * g.image_stride + channel * g.channel_stride;
    bool empty = rows[0] >= rows[1] || columns[0] >= columns[1];
    Compute<Stored> best = empty ? 0 : -FLT_MAX;
    int64_t cell_of_best = -1;
    for (int64_t row = rows[0]; row < rows[1]; ++row) {
      for (int64_t column = columns[0]; column < columns[1]; ++column) {
        auto value = widen(plane[row * g.row_stride + column * g.column_stride]);
        if (value > best) {
          best = value;
          cell_of_best = row * g.width + column;
        }
      }
    }
    int64_t at = (roi * g.channels + channel) * bins + bin;
    narrow(best, out[at]);
    if (argmax != nullptr) argmax[at] = static_cast<Cell>(cell_of_best);
  }
}

struct Cuda {
  using Half = __half;
  using BFloat16 = __nv_bfloat16;

  static void prepare(Tensor&) {}
  static RoiTable table(const Tensor& rois, const RoiGrid& grid) {
    return make_roi_table(rois, grid);
  }

  template <typename Stored>
  static void forward(const Tensor& features, const RoiTable& table, Tensor& out, Tensor* argmax) {
    torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
    int64_t count = out.numel();
    if (count == 0) return;
    Geometry geometry{
        features.size(1), features.size(3), out.size(2), out.size(3), features.stride(0),
        features.stride(1), features.stride(2), features.stride(3)};
    with_cell_type(argmax ? argmax->scalar_type() : ScalarType::Int, [&](auto cell) {
      using Cell = typename decltype(cell)::type;
      auto launch = [&](auto kernel) {
        kernel<<<blocks_for(count, kThreads), kThreads, 0, current_stream(features)>>>(
            static_cast<const Stored*>(features.const_data_ptr()),
            table.windows.const_data_ptr<int32_t>(), table.images.const_data_ptr<int64_t>(),
            geometry, count, static_cast<Stored*>(out.mutable_data_ptr()),
            argmax ? argmax->mutable_data_ptr<Cell>() : nullptr);
        STD_CUDA_KERNEL_LAUNCH_CHECK();
      };
      bool channels_last = geometry.channel_stride == 1;
      channels_last ? launch(pool<Stored, Cell, true>) : launch(pool<Stored, Cell, false>);
    });
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CUDA, m) { RoiPoolForward<Cuda>::implement(m); }

}  // namespace frcnn

// Called by frcnn_kernels.cuda_architectures().
extern "C" __attribute__((visibility("default"))) const char* frcnn_cuda_architectures() {
  return FRCNN_CUDA_ARCHS;
}
