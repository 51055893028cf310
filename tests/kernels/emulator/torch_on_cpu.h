// Included in front of each .cu file: the host code registers its operators for CPU tensors, in a
// namespace of its own, and tells the emulator which memory the kernels may touch.
#pragma once
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/c/shim.h>

#include "block.h"
#include "cuda_runtime.h"

namespace emulator {

inline AOTITorchError allow(AtenTensorHandle tensor, const void* data, bool writable) {
  int64_t bytes = 0, offset = 0;
  int32_t type = 0;
  aoti_torch_get_storage_size(tensor, &bytes);
  aoti_torch_get_storage_offset(tensor, &offset);
  aoti_torch_get_dtype(tensor, &type);
  offset *= static_cast<int64_t>(aoti_torch_dtype_element_size(type));
  allow_memory(static_cast<const char*>(data) - offset, static_cast<size_t>(bytes), writable);
  return 0;
}

inline AOTITorchError mutable_data(AtenTensorHandle tensor, void** data) {
  AOTITorchError error = torch_get_mutable_data_ptr(tensor, data);
  return error ? error : allow(tensor, *data, true);
}

inline AOTITorchError const_data(AtenTensorHandle tensor, const void** data) {
  AOTITorchError error = torch_get_const_data_ptr(tensor, data);
  return error ? error : allow(tensor, *data, false);
}

inline AOTITorchError no_stream(int32_t, void**) { return 0; }

struct NoDeviceGuard {
  explicit NoDeviceGuard(int32_t) {}
};

}  // namespace emulator

// Before the headers whose inline functions call them.
#define torch_get_mutable_data_ptr emulator::mutable_data
#define torch_get_const_data_ptr emulator::const_data
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/macros.h>

namespace torch::stable::accelerator {
using emulator::NoDeviceGuard;
}

#define DeviceGuard NoDeviceGuard
#define aoti_torch_get_current_cuda_stream emulator::no_stream
#undef STD_CUDA_CHECK
#define STD_CUDA_CHECK(call) static_cast<void>(call)
#undef STD_CUDA_KERNEL_LAUNCH_CHECK
#define STD_CUDA_KERNEL_LAUNCH_CHECK()
#undef STABLE_TORCH_LIBRARY_IMPL
#define STABLE_TORCH_LIBRARY_IMPL(name, device, m) \
  _STABLE_TORCH_LIBRARY_IMPL(EMULATED_NAMESPACE, CPU, m, C10_UID)
