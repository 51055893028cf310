// Dynamic shared memory of a block, also more than a launch may use by default.
#pragma once
#include <cuda_runtime.h>
#include <torch/csrc/stable/macros.h>

#include <cstdint>

namespace frcnn {

constexpr int64_t kSharedBytes = 48 << 10;  // per block, on every GPU and without opting in

// Whether blocks of this kernel may have so many bytes on this device. If they are more than the
// default, the kernel opts in to them.
template <typename Kernel>
bool allow_shared(Kernel kernel, int64_t bytes, int32_t device) {
  if (bytes <= kSharedBytes) return true;
  int limit = 0;
  STD_CUDA_CHECK(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  if (bytes > limit) return false;
  STD_CUDA_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  return true;
}

}  // namespace frcnn
