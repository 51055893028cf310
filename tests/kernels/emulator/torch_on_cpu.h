// Included in front of each .cu file: the host code registers its operators for CPU tensors, in a
// namespace of its own, and tells the emulator which memory the kernels may touch.
#pragma once
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/c/shim.h>

#include "block.h"
#include "cuda_runtime.h"

namespace emulator {

// From the first to the last element of a tensor; the rest of its storage belongs to others.
inline AOTITorchError allow(AtenTensorHandle tensor, const void* data, bool writable) {
  int64_t dimensions = 0, elements = 0;
  int64_t *sizes = nullptr, *strides = nullptr;
  int32_t type = 0;
  aoti_torch_get_dim(tensor, &dimensions);
  aoti_torch_get_numel(tensor, &elements);
  aoti_torch_get_sizes(tensor, &sizes);
  aoti_torch_get_strides(tensor, &strides);
  aoti_torch_get_dtype(tensor, &type);
  int64_t last = 0;
  for (int64_t i = 0; i < dimensions; ++i) last += (sizes[i] - 1) * strides[i];
  size_t bytes = elements ? (last + 1) * aoti_torch_dtype_element_size(type) : 0;
  allow_memory(data, bytes, writable);
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

// No call of the emulated runtime fails, so there is never a message.
inline AOTITorchError no_message(int32_t, const char*, const char*, uint32_t, bool, char**) {
  return 0;
}

inline void free_message(char*) {}

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
// What STD_CUDA_CHECK calls. The macro itself cannot be replaced: torch 2.10 defines it in a header
// without an include guard, and the .cu files include that header again.
#define torch_c10_cuda_check_msg emulator::no_message
#define torch_c10_cuda_free_error_msg emulator::free_message
#undef STABLE_TORCH_LIBRARY_IMPL
#define STABLE_TORCH_LIBRARY_IMPL(name, device, m) EMULATED_LIBRARY_IMPL(EMULATED_NAMESPACE, m)
// A macro of its own, so that the namespace is expanded before torch 2.10 makes a string of it.
#define EMULATED_LIBRARY_IMPL(name, m) _STABLE_TORCH_LIBRARY_IMPL(name, CPU, m, C10_UID)
