// Inputs and outputs of the weight gradient of a 5 x 5 depthwise convolution, for some channels.
#pragma once
#include <cstdint>

#include "cpu/common/isa.h"

namespace frcnn {

constexpr int kDepthwiseKernel = 5;
// Channels per task: a multiple of the lanes of every instruction set.
constexpr int64_t kDepthwiseChannels = 16;

// Sizes are in cells. `input` and `gradient` are (N, H, W, C) and start at the task's first
// channel.
struct DepthwiseJob {
  const float* input;
  const float* gradient;
  int64_t images, height, width, out_height, out_width;
  int64_t channels;        // C, the distance from one cell to the next
  int64_t count;           // of channels in this task, at most kDepthwiseChannels
  int64_t stride;
  float* padded;           // scratch for one image of kDepthwiseChannels and its border
  float* result;           // (count, 5, 5)

  int64_t padded_height() const { return height + kDepthwiseKernel - 1; }
  int64_t padded_width() const { return width + kDepthwiseKernel - 1; }
};

using DepthwiseKernel = void (*)(const DepthwiseJob&);

DepthwiseKernel depthwise_kernel(Baseline);
DepthwiseKernel depthwise_kernel(Avx2);
DepthwiseKernel depthwise_kernel(Avx512);

}  // namespace frcnn
