// Helpers for all CUDA launches. All indices have 64 bits.
#pragma once
#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>

namespace frcnn {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int64_t kMostBlocks = int64_t{1} << 20;  // threads loop over the remaining items

inline cudaStream_t current_stream(const torch::stable::Tensor& tensor) {
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

inline unsigned blocks_for(int64_t items, int64_t items_per_block) {
  int64_t blocks = (items + items_per_block - 1) / items_per_block;
  return static_cast<unsigned>(std::min(blocks, kMostBlocks));
}

// A quotient of numbers that are not negative. GPUs divide 64-bit numbers by long sequences of
// instructions, so 32 bits are used where they suffice.
__device__ inline int64_t divide(int64_t a, int64_t b) {
  if ((a | b) >> 32 == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

// Loop over this thread's share of `count` items; all threads of a launch share them.
#define FRCNN_FOR_EACH(item, count)                                                        \
  for (int64_t item = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;         \
       item < (count); item += static_cast<int64_t>(gridDim.x) * blockDim.x)

}  // namespace frcnn
