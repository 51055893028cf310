// What the weight gradient of a 5 x 5 depthwise convolution computes for some channels.
#pragma once
#include <cstdint>

#include "cpu/common/isa.h"

namespace frcnn {

constexpr int kDepthwiseKernel = 5;
constexpr int64_t kDepthwiseChannels = 16;  // of a task; a multiple of every instruction set's lanes

// Sizes in cells; `input` and `gradient` are (N, H, W, C), from the task's first channel on.
struct DepthwiseJob {
  const float* input;
  const float* gradient;
  int64_t images, height, width, out_height, out_width;
  int64_t channels;        // C, from one cell to the next
  int64_t count;           // channels of the task, at most kDepthwiseChannels
  int64_t stride;
  float* padded;           // scratch for one image of kDepthwiseChannels with its border
  float* result;           // (count, 5, 5)

  int64_t padded_height() const { return height + kDepthwiseKernel - 1; }
  int64_t padded_width() const { return width + kDepthwiseKernel - 1; }
};

using DepthwiseKernel = void (*)(const DepthwiseJob&);

DepthwiseKernel depthwise_kernel(Baseline);
DepthwiseKernel depthwise_kernel(Avx2);
DepthwiseKernel depthwise_kernel(Avx512);

}  // namespace frcnn
