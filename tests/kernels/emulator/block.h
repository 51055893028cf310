// One block of threads on the CPU: its meeting points, and the memory that it may touch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>

namespace emulator {

// Of the thread that runs.
unsigned thread_index();
unsigned block_index();
unsigned block_size();
unsigned grid_size();
void* dynamic_shared();

// Run `body(arguments)` once per thread of a grid. Throws std::runtime_error if the kernel is wrong.
void launch(
    void (*body)(void*), void* arguments, size_t bytes_of_arguments, unsigned grid, unsigned block,
    size_t shared_bytes);

// A thread waits until all threads of its block, or all lanes of the mask, are at the same place.
void meet_block(const char* name, std::source_location place);

// What a lane gets, from the values of all lanes of a warp.
using Combine = uint64_t (*)(const uint64_t* values, unsigned mask, int64_t argument);
uint64_t meet_warp(
    const char* name, unsigned mask, uint64_t value, int64_t argument, Combine combine,
    std::source_location place);
uint64_t ballot(const uint64_t* values, unsigned mask, int64_t);
uint64_t value_of_lane(const uint64_t* values, unsigned mask, int64_t lane);
uint64_t lanes_with_same_value(const uint64_t* values, unsigned mask, int64_t lane);

// Memory of a tensor, which the next launches may touch.
void allow_memory(const void* begin, size_t bytes, bool writable);
// Of the next launch; as in CUDA, 48 KB without this call.
void allow_shared_bytes(size_t bytes);
void check_atomic(const void* address, size_t bytes);

}  // namespace emulator
