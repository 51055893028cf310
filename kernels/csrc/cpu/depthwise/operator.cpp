// The weight gradient of a 5 x 5 depthwise convolution on the CPU, 16 channels per task.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>

#include "checks.h"
#include "cpu/common/isa.h"
#include "cpu/common/scratch.h"
#include "cpu/depthwise/job.h"

namespace frcnn {
namespace {

using torch::stable::Tensor;

// The sums and the order of their additions do not depend on the number of threads.
Tensor depthwise_weight_gradient(const Tensor& gradient, const Tensor& input, int64_t stride) {
  check_depthwise(gradient, input, stride);
  DepthwiseKernel kernel = with_isa([](auto isa) { return depthwise_kernel(isa); });
  int64_t channels = input.size(3);
  Tensor result = torch::stable::new_empty(input, {channels, 1, kDepthwiseKernel, kDepthwiseKernel});
  DepthwiseJob whole{
      input.const_data_ptr<float>(), gradient.const_data_ptr<float>(), input.size(0),
      input.size(1), input.size(2), gradient.size(1), gradient.size(2), channels, 0, stride,
      nullptr, result.mutable_data_ptr<float>()};
  int64_t tasks = (channels + kDepthwiseChannels - 1) / kDepthwiseChannels;
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    Scratch<float> padded(whole.padded_height() * whole.padded_width() * kDepthwiseChannels);
    for (int64_t task = begin; task < end; ++task) {
      int64_t first = task * kDepthwiseChannels;
      DepthwiseJob job = whole;
      job.input += first;
      job.gradient += first;
      job.result += first * kDepthwiseKernel * kDepthwiseKernel;
      job.count = std::min(kDepthwiseChannels, channels - first);
      job.padded = padded.get();
      kernel(job);
    }
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CPU, m) {
  m.impl("depthwise_weight_gradient", TORCH_BOX(&depthwise_weight_gradient));
}

}  // namespace frcnn
