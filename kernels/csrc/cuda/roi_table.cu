#include "cuda/roi_table.h"

#include <torch/csrc/stable/ops.h>

#include <cstdlib>
#include <string>

#include "checks.h"
#include "cuda/launch.h"
#include "dispatch.h"
#include "roi_window.h"

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename R>
__device__ bool is_valid(const R* roi, int64_t images) {
  bool finite = true;
  for (int k = 0; k < 5; ++k) finite = finite && isfinite(roi[k]);
  return finite && roi[0] >= 0 && roi[0] < static_cast<R>(images) && roi[0] == floor(roi[0]);
}

template <typename R>
__device__ int32_t* write_spans(
    R low, R high, R scale, int64_t bins, int64_t extent, bool valid, int32_t* to) {
  Axis axis = project<R>(low, high, scale);
  for (int64_t bin = 0; bin < bins; ++bin) {
    Span span = sub_window<R>(axis, bin, bins, extent);
    bool empty = !valid || span.empty();
    *to++ = empty ? 0 : static_cast<int32_t>(span.begin);
    *to++ = empty ? 0 : static_cast<int32_t>(span.end);
  }
  return to;
}

template <typename R>
__global__ void fill_table(
    const R* rois, int64_t count, int64_t batch, int64_t height, int64_t width,
    int64_t pooled_height, int64_t pooled_width, R scale, int32_t* windows, int64_t* images,
    int32_t* bad_rois) {
  FRCNN_FOR_EACH(r, count) {
    const R* roi = rois + r * 5;
    bool valid = is_valid(roi, batch);
    if (!valid) atomicAdd(bad_rois, 1);
    images[r] = valid ? static_cast<int64_t>(roi[0]) : 0;
    int32_t* to = windows + r * 2 * (pooled_height + pooled_width);
    R zero = 0;
    R x1 = valid ? roi[1] : zero, y1 = valid ? roi[2] : zero;
    R x2 = valid ? roi[3] : zero, y2 = valid ? roi[4] : zero;
    to = write_spans<R>(y1, y2, scale, pooled_height, height, valid, to);
    write_spans<R>(x1, x2, scale, pooled_width, width, valid, to);
  }
}

void report_bad_rois(const Tensor& bad_rois, cudaStream_t stream) {
  const char* debug = std::getenv("FRCNN_DEBUG");
  if (debug == nullptr || std::string(debug) != "1") return;
  int32_t count = 0;
  STD_CUDA_CHECK(cudaMemcpyAsync(
      &count, bad_rois.const_data_ptr<int32_t>(), sizeof count, cudaMemcpyDeviceToHost, stream));
  STD_CUDA_CHECK(cudaStreamSynchronize(stream));
  require(count == 0, "roi_pool: a RoI is not finite or its image index is outside the batch");
}

}  // namespace

RoiTable make_roi_table(const Tensor& rois, const RoiGrid& grid) {
  torch::stable::accelerator::DeviceGuard guard(rois.get_device_index());
  int64_t count = rois.size(0);
  RoiTable table{
      torch::stable::new_empty(
          rois, {count, 2 * (grid.pooled_height + grid.pooled_width)}, ScalarType::Int),
      torch::stable::new_empty(rois, {count}, ScalarType::Long)};
  if (count == 0) return table;
  Tensor bad_rois = torch::stable::new_zeros(rois, {1}, ScalarType::Int);
  cudaStream_t stream = current_stream(rois);
  with_corners(rois, [&](const auto* corners) {
    using R = std::remove_cv_t<std::remove_pointer_t<decltype(corners)>>;
    fill_table<R><<<blocks_for(count, kThreads), kThreads, 0, stream>>>(
        corners, count, grid.images, grid.height, grid.width, grid.pooled_height,
        grid.pooled_width, static_cast<R>(grid.spatial_scale),
        table.windows.mutable_data_ptr<int32_t>(),
        table.images.mutable_data_ptr<int64_t>(), bad_rois.mutable_data_ptr<int32_t>());
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  report_bad_rois(bad_rois, stream);
  return table;
}

}  // namespace frcnn
