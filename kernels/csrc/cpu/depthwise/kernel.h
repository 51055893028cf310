// Weight gradient of a 5 x 5 depthwise convolution, compiled for several instruction sets. Computes
// one vector of channels at a time; the sums of all weights stay in registers.
#pragma once
#include "cpu/common/vector.h"
#include "cpu/depthwise/job.h"

namespace frcnn {
namespace {

constexpr int kWeights = kDepthwiseKernel * kDepthwiseKernel;

// Copies one image's vector of channels, surrounded by a border of zeros.
void pad_image(const DepthwiseJob& job, int64_t image, int64_t channel, int64_t count) {
  constexpr int L = kLanes<float>;
  const Vector<float> zero{};
  int64_t border = kDepthwiseKernel / 2;
  float* to = job.padded;
  for (int64_t y = -border; y < job.height + border; ++y) {
    bool inside = y >= 0 && y < job.height;
    const float* row = job.input + (image * job.height + y) * job.width * job.channels + channel;
    for (int64_t x = -border; x < job.width + border; ++x, to += L) {
      bool is_cell = inside && x >= 0 && x < job.width;
      store(to, is_cell ? load_some(row + x * job.channels, count) : zero);
    }
  }
}

void add_image(const DepthwiseJob& job, const float* gradient, int64_t count,
               Vector<float> (&sums)[kWeights]) {
  constexpr int L = kLanes<float>;
  int64_t row_stride = job.padded_width() * L;
  for (int64_t y = 0; y < job.out_height; ++y) {
    const float* window = job.padded + y * job.stride * row_stride;
    for (int64_t x = 0; x < job.out_width; ++x) {
      Vector<float> slope = load_some(gradient, count);
#pragma GCC unroll 25
      for (int k = 0; k < kWeights; ++k) {
        sums[k] += slope * load(window + k / kDepthwiseKernel * row_stride + k % kDepthwiseKernel * L);
      }
      gradient += job.channels;
      window += job.stride * L;
    }
  }
}

void depthwise_weight_gradient(const DepthwiseJob& job) {
  constexpr int L = kLanes<float>;
  for (int64_t channel = 0; channel < job.count; channel += L) {
    int64_t count = job.count - channel < L ? job.count - channel : L;
    Vector<float> sums[kWeights] = {};
    for (int64_t image = 0; image < job.images; ++image) {
      pad_image(job, image, channel, count);
      int64_t cells = job.out_height * job.out_width;
      add_image(job, job.gradient + image * cells * job.channels + channel, count, sums);
    }
    for (int64_t c = 0; c < count; ++c) {
      for (int k = 0; k < kWeights; ++k) job.result[(channel + c) * kWeights + k] = sums[k][c];
    }
  }
}

}  // namespace

DepthwiseKernel depthwise_kernel(ThisIsa) { return &depthwise_weight_gradient; }

}  // namespace frcnn
