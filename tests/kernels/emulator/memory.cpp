#include "memory.h"

#include <array>
#include <vector>

#include "block.h"

extern "C" {
// The linker's names for the section of the __shared__ arrays, which is missing without any.
extern char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));
}

namespace emulator {
namespace {

struct Range {
  const char *begin, *end;
  bool writable = true;
  bool holds(const char* address, size_t bytes) const {
    return address >= begin && address + bytes <= end;
  }
};

// block 0: there was none.
struct Access {
  uint32_t block, thread, epoch, clock;
};

struct Cell {
  const char* address;
  Access write, read;
};

constexpr size_t kMostShared = 228 << 10;  // more than any GPU has
constexpr size_t kCells = 1 << 18;         // of global memory; later accesses replace earlier ones
alignas(128) char dynamic[kMostShared];
Range dynamic_range, arguments_range;
std::array<Range, 16> allowed;  // the memory of the tensors that were used last
size_t next_allowed = 0;
uint32_t first_block = 0;
std::vector<Cell> dynamic_cells(kMostShared), static_cells, global_cells(kCells);

std::string thread_name(uint32_t thread) { return "thread " + std::to_string(thread); }

// Blocks of a launch are not ordered, and each has its own shared memory.
bool is_ordered(const Access& earlier, const Moment& now, bool is_shared) {
  if (earlier.block != now.block) return is_shared || earlier.block < first_block;
  if (earlier.thread == now.thread || earlier.epoch != now.epoch) return true;
  return earlier.thread / 32 == now.thread / 32 && earlier.clock <= now.seen[earlier.thread % 32];
}

Cell& cell_of(const char* address, bool& is_shared) {
  is_shared = true;
  if (dynamic_range.holds(address, 1)) return dynamic_cells[address - dynamic_range.begin];
  Range section{__start_emulated_shared, __stop_emulated_shared};
  if (section.holds(address, 1)) {
    static_cells.resize(section.end - section.begin);
    return static_cells[address - section.begin];
  }
  is_shared = false;
  Cell& cell = global_cells[(reinterpret_cast<uintptr_t>(address) * 0x9E3779B97F4A7C15u) >> 46];
  if (cell.address != address) cell = {address, {}, {}};
  return cell;
}

void check_order(const char* address, bool is_write, const Moment& now) {
  bool is_shared;
  Cell& cell = cell_of(address, is_shared);
  const Access* other = nullptr;
  if (is_write && !is_ordered(cell.read, now, is_shared)) other = &cell.read;
  if (!is_ordered(cell.write, now, is_shared)) other = &cell.write;
  if (other != nullptr) {
    fail("race in " + std::string(is_shared ? "shared" : "global") + " memory: " +
         thread_name(now.thread) + (is_write ? " writes" : " reads") + " what " +
         thread_name(other->thread) + (other == &cell.read ? " read" : " wrote") +
         (other->block == now.block ? " without a barrier between" : " in another block"));
  }
  if (!is_write && is_shared && cell.write.block != now.block) {
    fail(thread_name(now.thread) + " reads shared memory that its block has not written");
  }
  (is_write ? cell.write : cell.read) = {
      now.block, now.thread, now.epoch, now.seen[now.thread % 32]};
}

// The object that an access is inside of, or null.
const Range* find_range(const char* address, size_t bytes) {
  static Range section{__start_emulated_shared, __stop_emulated_shared};
  if (dynamic_range.holds(address, bytes)) return &dynamic_range;
  if (section.holds(address, bytes)) return &section;
  for (const Range& range : allowed) {
    if (range.holds(address, bytes)) return &range;
  }
  return nullptr;
}

void check(const void* pointer, size_t bytes, bool is_write, bool is_atomic = false) {
  const Moment* moment = current_moment();
  if (moment == nullptr) return;
  auto address = static_cast<const char*>(pointer);
  if (is_on_stack(address) || arguments_range.holds(address, bytes)) return;
  current_moment() = nullptr;  // the emulator's own accesses are not checked
  const Range* range = find_range(address, bytes);
  auto access = [&] { return thread_name(moment->thread) + (is_write ? " writes" : " reads"); };
  if (range == nullptr) {
    bool is_dynamic = Range{dynamic, dynamic + kMostShared}.holds(address, bytes);
    fail(access() + " outside of " +
         (is_dynamic ? "the shared memory of the launch" : "all tensors and shared memory"));
  }
  if (is_write && !range->writable) fail(access() + " to a tensor that is const");
  size_t step = bytes < 4 ? bytes : 4;
  bool can_race = range->writable && !is_atomic;
  for (size_t at = 0; can_race && at < bytes; at += step) {
    check_order(address + at, is_write, *moment);
  }
  current_moment() = moment;
}

}  // namespace

void allow_memory(const void* begin, size_t bytes, bool writable) {
  auto first = static_cast<const char*>(begin), last = first + bytes;
  for (Range& range : allowed) {
    bool overlaps = range.begin < last && first < range.end;
    if (overlaps) range = {nullptr, nullptr};  // the same tensor, or one that was freed
  }
  allowed[next_allowed++ % allowed.size()] = {first, last, writable};
}

void check_atomic(const void* address, size_t bytes) { check(address, bytes, true, true); }

void begin_launch(uint32_t block, const void* arguments, size_t bytes) {
  first_block = block;
  arguments_range = {static_cast<const char*>(arguments),
                     static_cast<const char*>(arguments) + bytes};
}

void begin_block(size_t bytes) { dynamic_range = {dynamic, dynamic + bytes}; }

void* dynamic_memory() { return dynamic; }

}  // namespace emulator

// What code compiled with -fsanitize=thread and -fsanitize=bounds calls.
extern "C" {

#define REPORTED(bytes)                                                                    \
  void __tsan_read##bytes(void* p) { emulator::check(p, bytes, false); }                   \
  void __tsan_write##bytes(void* p) { emulator::check(p, bytes, true); }                   \
  void __tsan_unaligned_read##bytes(void* p) { emulator::check(p, bytes, false); }         \
  void __tsan_unaligned_write##bytes(void* p) { emulator::check(p, bytes, true); }
REPORTED(1)
REPORTED(2)
REPORTED(4)
REPORTED(8)
REPORTED(16)
void __tsan_read_range(void* p, size_t bytes) { emulator::check(p, bytes, false); }
void __tsan_write_range(void* p, size_t bytes) { emulator::check(p, bytes, true); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}

// Of host code, such as reference counts.
#define ATOMIC(bits)                                                                       \
  uint##bits##_t __tsan_atomic##bits##_load(uint##bits##_t* p, int) {                       \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                           \
  }                                                                                        \
  void __tsan_atomic##bits##_store(uint##bits##_t* p, uint##bits##_t value, int) {          \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                                          \
  }                                                                                        \
  uint##bits##_t __tsan_atomic##bits##_fetch_add(uint##bits##_t* p, uint##bits##_t value, int) { \
    return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);                                 \
  }                                                                                        \
  uint##bits##_t __tsan_atomic##bits##_fetch_sub(uint##bits##_t* p, uint##bits##_t value, int) { \
    return __atomic_fetch_sub(p, value, __ATOMIC_SEQ_CST);                                 \
  }
ATOMIC(8)
ATOMIC(32)
ATOMIC(64)

void __ubsan_handle_out_of_bounds(void*, uintptr_t index) {
  emulator::fail("index " + std::to_string(index) + " is outside of an array");
}
}
