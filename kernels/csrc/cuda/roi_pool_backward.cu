// RoI pooling on the GPU, backward: deterministic, with the same order of additions as the CPU.
//
// A warp owns the plane of one channel of one image and adds the gradients of one RoI after
// another, 32 bins at a time. Lanes that share a cell add one after another, the lower bin first.
// Nothing else writes to the plane, so no atomics are needed and every run gives the same bits.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "cuda/element.h"
#include "cuda/launch.h"
#include "dispatch.h"
#include "roi_pool_operators.h"

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr unsigned kAllLanes = 0xffffffff;
constexpr int64_t kSharedBytes = 48 << 10;  // per block, without opting in to more

struct Shape {
  int64_t rois, batch, channels, bins, cells;
};

// Adds value to plane[cell] for every lane. If lanes share a cell, lower lanes add first.
template <typename Sum>
__device__ void add_by_turns(Sum* plane, int64_t cells, int32_t cell, Sum value) {
  bool adds = static_cast<uint32_t>(cell) < cells;  // -1, an empty bin, adds nothing
  unsigned sharing = __match_any_sync(kAllLanes, cell);
  unsigned lower_lanes = (1u << threadIdx.x % kWarp) - 1;
  int turn = adds ? __popc(sharing & lower_lanes) : -1;
  for (int t = 0; __any_sync(kAllLanes, turn >= t); ++t) {
    if (turn == t) plane[cell] += value;
    __syncwarp();
  }
}

// One warp per block. The plane of sums is in shared memory if it fits, else in `sums`.
template <typename Stored, typename Cell, typename R>
__global__ void scatter(
    const Stored* gradient, const Cell* argmax, const R* rois, Shape shape, bool in_shared,
    Compute<Stored>* sums, Stored* result, int64_t channel_stride, int64_t cell_stride) {
  using Sum = Compute<Stored>;
  extern __shared__ __align__(16) unsigned char shared[];
  int lane = threadIdx.x;
  for (int64_t at = blockIdx.x; at < shape.batch * shape.channels; at += gridDim.x) {
    int64_t image = at / shape.channels, channel = at % shape.channels;
    Sum* plane = in_shared ? reinterpret_cast<Sum*>(shared) : sums + at * shape.cells;
    for (int64_t cell = lane; cell < shape.cells; cell += kWarp) plane[cell] = 0;
    __syncwarp();
    for (int64_t roi = 0; roi < shape.rois; ++roi) {
      if (rois[roi * 5] != static_cast<R>(image)) continue;
      int64_t first = (roi * shape.channels + channel) * shape.bins;
      for (int64_t bin = lane; bin - lane < shape.bins; bin += kWarp) {
        bool inside = bin < shape.bins;
        int32_t cell = inside ? argmax[first + bin] : -1;
        Sum value = inside ? widen(gradient[first + bin]) : Sum(0);
        add_by_turns<Sum>(plane, shape.cells, cell, value);
      }
    }
    Stored* to = result + image * shape.channels * shape.cells + channel * channel_stride;
    for (int64_t cell = lane; cell < shape.cells; cell += kWarp) {
      narrow(plane[cell], to[cell * cell_stride]);
    }
    __syncwarp();
  }
}

struct Cuda {
  using Half = __half;
  using BFloat16 = __nv_bfloat16;

  static void prepare(Tensor&) {}

  template <typename Stored, typename Cell>
  static void backward(RoiPoolGradient& gradient) {
    using Sum = Compute<Stored>;
    Tensor& result = gradient.result;
    if (result.numel() == 0) return;
    torch::stable::accelerator::DeviceGuard guard(result.get_device_index());
    Shape shape{
        gradient.rois.size(0), gradient.batch(), gradient.channels(), gradient.bins(),
        gradient.cells()};
    int64_t planes = shape.batch * shape.channels;
    int64_t bytes = shape.cells * static_cast<int64_t>(sizeof(Sum));
    bool in_shared = bytes <= kSharedBytes;
    ScalarType sum_type = std::is_same_v<Sum, double> ? ScalarType::Double : ScalarType::Float;
    Tensor sums =
        torch::stable::new_empty(result, {in_shared ? 0 : planes * shape.cells}, sum_type);
    with_corners(gradient.rois, [&](const auto* corners) {
      scatter<<<blocks_for(planes, 1), kWarp, in_shared ? bytes : 0, current_stream(result)>>>(
          static_cast<const Stored*>(gradient.grad_output.const_data_ptr()),
          gradient.argmax.const_data_ptr<Cell>(), corners, shape, in_shared,
          static_cast<Sum*>(sums.mutable_data_ptr()),
          static_cast<Stored*>(result.mutable_data_ptr()),
          gradient.channels_last ? 1 : shape.cells, gradient.channels_last ? shape.channels : 1);
      STD_CUDA_KERNEL_LAUNCH_CHECK();
    });
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CUDA, m) { RoiPoolBackward<Cuda>::implement(m); }

}  // namespace frcnn
