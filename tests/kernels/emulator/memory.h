// The memory accesses of a kernel: each must be inside an object, and none may race with another.
//
// The compiler reports every access (-fsanitize=thread, whose functions are in memory.cpp). Two
// accesses by different threads to the same address, one of them a write, race unless a barrier
// that both threads passed lies between them. Votes and shuffles order no memory, as in CUDA.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

// The current moment of a thread: an access is ordered before it if the other thread was seen
// there. A barrier of the block begins an epoch, and one of a warp exchanges what its lanes saw.
struct Moment {
  uint32_t block = 0;  // numbered from 1 over all launches
  uint32_t thread = 0;
  uint32_t epoch = 0;
  uint32_t seen[32] = {};  // by lane: the last clock whose accesses this thread sees
};

void begin_launch(uint32_t first_block, const void* arguments, size_t bytes);
void begin_block(size_t dynamic_bytes);
void* dynamic_memory();

// In block.cpp.
const Moment*& current_moment();  // null outside of kernels
bool is_on_stack(const void* address);
[[noreturn]] void fail(const std::string& what);  // called by a thread; ends the launch

}  // namespace emulator
