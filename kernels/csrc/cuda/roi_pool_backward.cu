// RoI pooling on the GPU, backward: deterministic, without atomics.
//
// A block owns the plane of one channel of one image. The bins of all RoIs, in order of RoI, then
// bin, are divided into steps of 32. Each warp of the block adds every n-th step to a plane of its
// own, and the n planes are added at the end. The number of warps that add depends only on the sizes
// of the tensors, so every run on every GPU gives the same bits. One warp adds in the CPU's order.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/shared_memory.h"
#include "dispatch.h"
#include "roi_pool_operators.h"

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr unsigned kAllLanes = 0xffffffff;
constexpr int kWarps = 4;           // per block; all of them clear and write the plane
constexpr int kAhead = 8;           // steps of a warp whose loads are in flight
constexpr int64_t kFewBins = 4096;  // of all RoIs: added by one warp, in the CPU's order

struct Shape {
  int64_t rois, batch, channels, bins, cells;
};

// How many planes of sums a block keeps, each with its own warp.
int planes_per_block(const Shape& shape, int64_t bytes_per_plane) {
  int64_t that_fit = kSharedBytes / bytes_per_plane;
  if (shape.rois * shape.bins <= kFewBins) return 1;
  return static_cast<int>(std::clamp(that_fit, int64_t{1}, int64_t{kWarps}));
}

// The bins that one lane adds, one per step. Those of other images are not loaded.
template <typename Stored, typename Cell, typename R>
struct Items {
  const Stored* gradient;
  const Cell* argmax;
  const R* rois;
  // From one step of this warp to its next: in RoIs and bins, and in elements, which are more if the
  // bins of a RoI end between the two.
  int64_t step_rois, step_bins, elements, elements_of_next_roi;
  int64_t bins, bin, rois_left, place;
  R image;

  __device__ Items(
      const Stored* gradient, const Cell* argmax, const R* rois, const Shape& shape, int64_t image,
      int64_t channel, int first, int step)
      : gradient(gradient),
        argmax(argmax),
        step_rois(divide(step, shape.bins)),
        step_bins(step - step_rois * shape.bins),
        bins(shape.bins),
        image(static_cast<R>(image)) {
    int64_t roi_stride = shape.channels * bins, roi = divide(first, bins);
    elements = step_rois * roi_stride + step_bins;
    elements_of_next_roi = elements + roi_stride - bins;
    bin = first - roi * bins;
    place = roi * roi_stride + channel * bins + bin;
    rois_left = shape.rois - roi;
    this->rois = rois + roi * 5;
  }

  // Start the loads of this lane's next bins. The value of a bin with cell -1 is not used.
  template <int ahead>
  __device__ void load(int32_t (&cells)[ahead], Stored (&values)[ahead]) {
    R images[ahead];
    int64_t places[ahead];
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      images[i] = rois_left > 0 ? *rois : -1;
      places[i] = place;
      bin += step_bins;
      bool in_next_roi = bin >= bins;
      if (in_next_roi) bin -= bins;
      place += in_next_roi ? elements_of_next_roi : elements;
      int64_t by_rois = step_rois + in_next_roi;
      rois += by_rois * 5;
      rois_left -= by_rois;
    }
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      bool adds = images[i] == image;
      cells[i] = adds ? argmax[places[i]] : -1;
      if (adds) values[i] = gradient[places[i]];
    }
  }
};

// Adds value to plane[cell] for every lane. If lanes share a cell, lower lanes add first: the lowest
// of them reads the values of the others.
template <typename Sum>
__device__ void add_in_order(Sum* plane, int64_t cells, int32_t cell, Sum value) {
  bool adds = static_cast<uint32_t>(cell) < cells;  // -1, an empty bin, adds nothing
  if (!__any_sync(kAllLanes, adds)) return;
  unsigned sharing = __match_any_sync(kAllLanes, cell);
  unsigned lower_lanes = (1u << threadIdx.x % kWarp) - 1;
  bool is_lowest = adds && (sharing & lower_lanes) == 0;
  Sum sum = is_lowest ? plane[cell] + value : value;
  unsigned left = is_lowest ? sharing & (sharing - 1) : 0;
  while (__any_sync(kAllLanes, left != 0)) {
    Sum other = __shfl_sync(kAllLanes, value, __ffs(left) - 1);
    if (left != 0) sum += other;
    left &= left - 1;
  }
  if (is_lowest) plane[cell] = sum;
  __syncwarp();
}

// Adds the bins of one warp: `first`, one per lane, and every `step` after it. While the bins of some
// steps are added, those of as many next steps are loaded. They are awaited together: the compiler
// gives all these loads one scoreboard, so waiting for one step would also wait for later ones.
template <int ahead, typename Stored, typename Cell, typename R>
__device__ void add_steps(
    Items<Stored, Cell, R> items, int64_t first, int64_t count, int64_t step, int64_t cells,
    Compute<Stored>* plane) {
  int32_t cell[ahead];
  Stored value[ahead] = {};
  items.load(cell, value);
  for (int64_t item = first; item < count; item += ahead * step) {
    int32_t cell_now[ahead];
    Compute<Stored> value_now[ahead];
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      cell_now[i] = cell[i];
      value_now[i] = widen(value[i]);
    }
    items.load(cell, value);
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      add_in_order<Compute<Stored>>(plane, cells, cell_now[i], value_now[i]);
    }
  }
}

// The planes of sums are in shared memory if they fit, else there is one per block, in `sums`.
template <typename Stored, typename Cell, typename R>
__global__ void __launch_bounds__(kWarps* kWarp) scatter(
    const Stored* gradient, const Cell* argmax, const R* rois, Shape shape, int planes,
    Compute<Stored>* sums, Stored* result, int64_t channel_stride, int64_t cell_stride) {
  using Sum = Compute<Stored>;
  extern __shared__ __align__(16) unsigned char shared[];
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int64_t count = shape.rois * shape.bins;
  for (int64_t at = blockIdx.x; at < shape.batch * shape.channels; at += gridDim.x) {
    int64_t image = divide(at, shape.channels), channel = at - image * shape.channels;
    Sum* plane = sums == nullptr ? reinterpret_cast<Sum*>(shared) : sums + at * shape.cells;
    for (int64_t i = threadIdx.x; i < planes * shape.cells; i += blockDim.x) plane[i] = 0;
    __syncthreads();
    if (warp < planes && count > 0) {
      int first = warp * kWarp, step = planes * kWarp;
      Items<Stored, Cell, R> items(
          gradient, argmax, rois, shape, image, channel, first + lane, step);
      if (sums == nullptr) {  // with a pointer that is known to be one to shared memory
        Sum* own = reinterpret_cast<Sum*>(shared) + warp * shape.cells;
        add_steps<kAhead>(items, first, count, step, shape.cells, own);
      } else {
        add_steps<1>(items, first, count, step, shape.cells, plane);
      }
    }
    __syncthreads();
    Stored* to = result + image * shape.channels * shape.cells + channel * channel_stride;
    for (int64_t i = threadIdx.x; i < shape.cells; i += blockDim.x) {
      Sum sum = plane[i];
      for (int other = 1; other < planes; ++other) sum += plane[other * shape.cells + i];
      narrow(sum, to[i * cell_stride]);
    }
    __syncthreads();
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
    int64_t blocks = shape.batch * shape.channels;
    int64_t bytes_per_plane = shape.cells * static_cast<int64_t>(sizeof(Sum));
    int planes = planes_per_block(shape, bytes_per_plane);
    ScalarType sum_type = std::is_same_v<Sum, double> ? ScalarType::Double : ScalarType::Float;
    with_corners(gradient.rois, [&](const auto* corners) {
      using R = std::remove_cv_t<std::remove_pointer_t<decltype(corners)>>;
      auto kernel = scatter<Stored, Cell, R>;
      bool in_shared = allow_shared(kernel, planes * bytes_per_plane, result.get_device_index());
      Tensor sums =
          torch::stable::new_empty(result, {in_shared ? 0 : blocks * shape.cells}, sum_type);
      size_t shared_bytes = in_shared ? planes * bytes_per_plane : 0;
      kernel<<<blocks_for(blocks, 1), kWarps * kWarp, shared_bytes, current_stream(result)>>>(
          static_cast<const Stored*>(gradient.grad_output.const_data_ptr()),
          gradient.argmax.const_data_ptr<Cell>(), corners, shape, planes,
          in_shared ? nullptr : static_cast<Sum*>(sums.mutable_data_ptr()),
          static_cast<Stored*>(result.mutable_data_ptr()),
          gradient.channels_last ? 1 : shape.cells, gradient.channels_last ? shape.channels : 1);
      STD_CUDA_KERNEL_LAUNCH_CHECK();
    });
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CUDA, m) { RoiPoolBackward<Cuda>::implement(m); }

}  // namespace frcnn
