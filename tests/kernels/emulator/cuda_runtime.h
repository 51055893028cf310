// CUDA on the CPU, as far as the kernels need it. Found in place of the toolkit's header.
//
// Each thread of a block is a fiber (block.h). Blocks run one after another. A kernel must accept
// any number of blocks: a launch runs at most a few, so that every loop over the grid repeats.
#pragma once
#include <math.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <tuple>
#include <type_traits>

#include "block.h"

#define __global__
// Inlined, as by nvcc. The compiler does not report reads of structures that are passed by value.
#define __device__ __attribute__((always_inline))
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
// One array per process: a block runs alone. The section tells it from other memory.
#define __shared__ static __attribute__((section("emulated_shared")))

using std::max;
using std::min;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define threadIdx (dim3(emulator::thread_index(), 0, 0))
#define blockIdx (dim3(emulator::block_index(), 0, 0))
#define blockDim (dim3(emulator::block_size()))
#define gridDim (dim3(emulator::grid_size()))

using Place = std::source_location;

inline void __syncthreads(Place place = Place::current()) {
  emulator::meet_block("__syncthreads", place);
}

inline void __syncwarp(unsigned mask = ~0u, Place place = Place::current()) {
  emulator::meet_warp("__syncwarp", mask, 0, 0, nullptr, place);
}

inline unsigned __ballot_sync(unsigned mask, bool holds, Place place = Place::current()) {
  return emulator::meet_warp("__ballot_sync", mask, holds, 0, emulator::ballot, place);
}

inline bool __any_sync(unsigned mask, bool holds, Place place = Place::current()) {
  return emulator::meet_warp("__any_sync", mask, holds, 0, emulator::ballot, place) != 0;
}

inline bool __all_sync(unsigned mask, bool holds, Place place = Place::current()) {
  return emulator::meet_warp("__all_sync", mask, holds, 0, emulator::ballot, place) == mask;
}

namespace emulator {

template <typename T>
uint64_t to_bits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <typename T>
T shuffle(const char* name, unsigned mask, T value, int64_t source, Place place) {
  uint64_t bits = meet_warp(name, mask, to_bits(value), source, value_of_lane, place);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace emulator

template <typename T>
unsigned __match_any_sync(unsigned mask, T value, Place place = Place::current()) {
  return emulator::meet_warp(
      "__match_any_sync", mask, emulator::to_bits(value), emulator::thread_index() % 32,
      emulator::lanes_with_same_value, place);
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, Place place = Place::current()) {
  return emulator::shuffle("__shfl_sync", mask, value, lane & 31, place);
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, Place place = Place::current()) {
  int lane = emulator::thread_index() % 32;
  return emulator::shuffle("__shfl_xor_sync", mask, value, lane ^ bits, place);
}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, Place place = Place::current()) {
  int lane = emulator::thread_index() % 32, from = lane - static_cast<int>(by);
  return emulator::shuffle("__shfl_up_sync", mask, value, from < 0 ? lane : from, place);
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, Place place = Place::current()) {
  int lane = emulator::thread_index() % 32, from = lane + static_cast<int>(by);
  return emulator::shuffle("__shfl_down_sync", mask, value, from > 31 ? lane : from, place);
}

inline int __popc(unsigned bits) { return std::popcount(bits); }
inline int __popcll(uint64_t bits) { return std::popcount(bits); }
inline int __ffs(unsigned bits) { return __builtin_ffs(static_cast<int>(bits)); }
inline int __ffsll(uint64_t bits) { return __builtin_ffsll(static_cast<int64_t>(bits)); }
inline int __clz(unsigned bits) { return std::countl_zero(bits); }

// Blocks and fibers run one at a time, so this is atomic. The address is checked, but not for races.
template <typename T>
__attribute__((no_sanitize("thread"))) T atomicAdd(T* to, T value) {
  emulator::check_atomic(to, sizeof *to);
  T before = *to;
  *to = before + value;
  return before;
}

using cudaStream_t = void*;
using cudaError_t = int;
constexpr int cudaMemcpyDeviceToHost = 2;

constexpr int cudaDevAttrMaxSharedMemoryPerBlockOptin = 97;
constexpr int cudaFuncAttributeMaxDynamicSharedMemorySize = 8;

inline cudaError_t cudaGetLastError() { return 0; }
inline cudaError_t cudaDeviceGetAttribute(int* value, int, int) {
  *value = 64 << 10;  // shared memory of a block of compute capability 7.5, the least supported
  return 0;
}
template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, int, int bytes) {
  emulator::allow_shared_bytes(bytes);
  return 0;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return 0; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, int, cudaStream_t) {
  std::memcpy(to, from, bytes);
  return 0;
}

namespace emulator {

// `kernel<<<grid, block, shared, stream>>>(arguments)` is rewritten to
// `emulator::kernel(call, grid, block, shared, stream)(arguments)`.
template <typename Call>
struct kernel {
  Call call;
  unsigned grid, block;
  size_t shared_bytes;

  kernel(Call call, dim3 grid, dim3 block, size_t shared_bytes = 0, cudaStream_t = nullptr)
      : call(call), grid(grid.x), block(block.x), shared_bytes(shared_bytes) {}

  template <typename... Arguments>
  void operator()(Arguments... arguments) {
    std::tuple<Call, Arguments...> all(call, arguments...);
    auto body = [](void* pointer) __attribute__((no_sanitize("thread"))) {
      auto copied = *static_cast<std::tuple<Call, Arguments...>*>(pointer);  // to the fiber's stack
      std::apply([](auto& call, auto&... values) { call(values...); }, copied);
    };
    launch(body, &all, sizeof all, grid, block, shared_bytes);
  }
};

}  // namespace emulator
