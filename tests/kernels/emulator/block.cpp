#include "block.h"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fibers.h"
#include "memory.h"

namespace emulator {
namespace {

constexpr unsigned kWarp = 32, kWholeBlock = 0;  // the mask of a meeting of the block

struct Thread {
  bool done = false, waits = false;
  const char* name = nullptr;  // of the meeting
  unsigned mask = 0;
  uint64_t value = 0;
  int64_t argument = 0;
  Combine combine = nullptr;
  std::source_location place;
  Moment moment;

  bool is_at_same_place(const Thread& other) const {
    return waits && name == other.name && mask == other.mask && place.line() == other.place.line();
  }
};

struct Launch {
  unsigned grid, block, size;
  size_t running;
  void (*body)(void*);
  void* arguments;
} launched;
std::vector<Thread> threads;
std::vector<size_t> ready;
const Moment* moment = nullptr;
std::string failure;
uint32_t blocks_so_far = 0;
constexpr size_t kDefaultShared = 48 << 10;
size_t most_shared_bytes = kDefaultShared;

uint32_t seed() {
  const char* text = std::getenv("FRCNN_EMULATOR_SEED");
  return text ? static_cast<uint32_t>(std::atoi(text)) : 0;
}
std::minstd_rand random_numbers(seed() + 1);

unsigned random_below(size_t count) { return random_numbers() % count; }

void run_thread() {
  launched.body(launched.arguments);
  threads[launched.running].done = true;
}
Fibers fibers(run_thread);

// The threads that a waiting thread waits for.
std::pair<size_t, size_t> range_of(const Thread& thread, size_t index) {
  if (thread.mask == kWholeBlock) return {0, launched.size};
  return {index / kWarp * kWarp, index / kWarp * kWarp + kWarp};
}

bool awaits(const Thread& thread, size_t other) {
  return thread.mask == kWholeBlock || (thread.mask >> other % kWarp & 1);
}

bool is_complete(size_t index) {
  const Thread& thread = threads[index];
  auto [begin, end] = range_of(thread, index);
  for (size_t i = begin; i < end; ++i) {
    if (!awaits(thread, i)) continue;
    if (i >= threads.size() || !threads[i].is_at_same_place(thread)) return false;
  }
  return true;
}

void exchange_clocks(size_t begin, unsigned mask) {
  uint32_t seen[kWarp] = {};
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    if (!(mask >> lane & 1)) continue;
    for (unsigned l = 0; l < kWarp; ++l) {
      seen[l] = std::max(seen[l], threads[begin + lane].moment.seen[l]);
    }
  }
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    if (!(mask >> lane & 1)) continue;
    Moment& of_lane = threads[begin + lane].moment;
    std::copy(seen, seen + kWarp, of_lane.seen);
    ++of_lane.seen[lane];
  }
}

void finish_meeting(size_t index) {
  Thread last = threads[index];
  auto [begin, end] = range_of(last, index);
  uint64_t values[kWarp] = {};
  if (last.combine) {
    for (size_t i = begin; i < end; ++i) values[i % kWarp] = awaits(last, i) ? threads[i].value : 0;
  }
  if (last.mask != kWholeBlock && !last.combine) exchange_clocks(begin, last.mask);
  for (size_t i = begin; i < end; ++i) {
    if (!awaits(last, i)) continue;
    Thread& thread = threads[i];
    thread.waits = false;
    if (last.mask == kWholeBlock) ++thread.moment.epoch;
    if (last.combine) thread.value = last.combine(values, last.mask, thread.argument);
    ready.push_back(i);
  }
}

std::string deadlock() {
  for (size_t i = 0; i < threads.size(); ++i) {
    const Thread& thread = threads[i];
    if (!thread.waits) continue;
    auto [begin, end] = range_of(thread, i);
    for (size_t other = begin; other < end; ++other) {
      if (!awaits(thread, other)) continue;
      bool exists = other < threads.size();
      if (exists && threads[other].is_at_same_place(thread)) continue;
      std::string file = thread.place.file_name();
      std::string text = "divergence: thread " + std::to_string(i) + " waits in " + thread.name +
                         " (" + file.substr(file.rfind('/') + 1) + ":" +
                         std::to_string(thread.place.line()) + ") for thread " +
                         std::to_string(other) + ", which ";
      if (!exists) return text + "does not exist";
      if (threads[other].done) return text + "has left the kernel";
      return text + "waits in " + threads[other].name + ", line " +
             std::to_string(threads[other].place.line());
    }
  }
  return "deadlock";
}

void run_block(unsigned block, size_t shared_bytes) {
  launched.block = block;
  begin_block(shared_bytes);
  threads.assign(launched.size, {});
  ready.clear();
  ++blocks_so_far;
  for (unsigned i = 0; i < launched.size; ++i) {
    threads[i].moment.block = blocks_so_far;
    threads[i].moment.thread = i;
    threads[i].moment.seen[i % kWarp] = 1;
    ready.push_back(i);
  }
  size_t done = 0;
  while (!ready.empty()) {
    std::swap(ready[random_below(ready.size())], ready.back());
    size_t index = launched.running = ready.back();
    ready.pop_back();
    moment = &threads[index].moment;
    fibers.resume(index);
    moment = nullptr;
    if (!failure.empty()) return;
    if (threads[index].done) {
      ++done;
    } else if (is_complete(index)) {
      finish_meeting(index);
    }
  }
  if (done < threads.size()) failure = deadlock();
}

}  // namespace

unsigned thread_index() { return static_cast<unsigned>(launched.running); }
unsigned block_index() { return launched.block; }
unsigned block_size() { return launched.size; }
unsigned grid_size() { return launched.grid; }
void* dynamic_shared() { return dynamic_memory(); }
const Moment*& current_moment() { return moment; }
bool is_on_stack(const void* address) { return fibers.on_stack(address); }

void fail(const std::string& what) {
  failure = what + " (block " + std::to_string(launched.block) + ")";
  fibers.yield();
  std::abort();  // a thread that failed is not resumed
}

void launch(
    void (*body)(void*), void* arguments, size_t bytes, unsigned grid, unsigned block,
    size_t shared_bytes) {
  if (grid == 0 || block == 0 || block > 1024) {
    throw std::runtime_error("launch: " + std::to_string(grid) + " blocks of " +
                             std::to_string(block) + " threads");
  }
  if (shared_bytes > std::exchange(most_shared_bytes, kDefaultShared)) {
    throw std::runtime_error("emulator: launch with " + std::to_string(shared_bytes) +
                             " bytes of shared memory, which the kernel did not opt in to");
  }
  launched = {std::min(grid, 1 + random_below(3)), 0, block, 0, body, arguments};
  begin_launch(blocks_so_far + 1, arguments, bytes);
  failure.clear();
  for (unsigned at = 0; at < launched.grid && failure.empty(); ++at) run_block(at, shared_bytes);
  if (failure.empty()) return;
  fibers.reset();
  throw std::runtime_error("emulator: " + failure);
}

void allow_shared_bytes(size_t bytes) { most_shared_bytes = bytes; }

void meet(const char* name, unsigned mask, std::source_location place) {
  Thread& thread = threads[launched.running];
  thread.name = name;
  thread.mask = mask;
  thread.place = place;
  thread.waits = true;
  fibers.yield();
}

void meet_block(const char* name, std::source_location place) {
  threads[launched.running].combine = nullptr;
  meet(name, kWholeBlock, place);
}

uint64_t meet_warp(
    const char* name, unsigned mask, uint64_t value, int64_t argument, Combine combine,
    std::source_location place) {
  size_t index = launched.running;
  if (!(mask >> index % kWarp & 1)) fail(std::string(name) + ": the mask excludes its own lane");
  Thread& thread = threads[index];
  thread.value = value;
  thread.argument = argument;
  thread.combine = combine;
  meet(name, mask, place);
  return threads[index].value;
}

uint64_t ballot(const uint64_t* values, unsigned mask, int64_t) {
  uint64_t bits = 0;
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) && values[lane]) bits |= uint64_t{1} << lane;
  }
  return bits;
}

uint64_t value_of_lane(const uint64_t* values, unsigned, int64_t lane) { return values[lane]; }

uint64_t lanes_with_same_value(const uint64_t* values, unsigned mask, int64_t lane) {
  uint64_t bits = 0;
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) && values[l] == values[lane]) bits |= uint64_t{1} << l;
  }
  return bits;
}

}  // namespace emulator
