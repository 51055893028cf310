// What the backward does with vectors, for files compiled for one instruction set: it widens
// gradients, and writes the sums in the result's type and layout.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu/roi_pool/convert.h"
#include "cpu/roi_pool/job.h"
#include "cpu/roi_pool/transpose.h"

namespace frcnn {
namespace {

template <typename Stored>
constexpr bool kIsWide = std::is_same_v<Stored, Compute<Stored>>;

template <typename Stored>
void widen_run(const Stored* from, int64_t count, Compute<Stored>* to) {
  constexpr int L = kLanes<Compute<Stored>>;
  if constexpr (!kIsWide<Stored>) {
    for (int64_t at = 0; at < count; at += L) {
      int64_t some = count - at < L ? count - at : L;
      Bits16 bits{};
      if (some == L) {
        std::memcpy(&bits, from + at, sizeof bits);
        store(to + at, widen(Stored{}, bits));
      } else {
        std::memcpy(&bits, from + at, some * sizeof(Stored));
        Vector<float> values = widen(Stored{}, bits);
        std::memcpy(to + at, &values, some * sizeof(float));
      }
    }
  }
}

// Writes the first `count` lanes.
template <typename Stored>
inline void write_lanes(Vector<Compute<Stored>> sums, int64_t count, Stored* to) {
  constexpr int L = kLanes<Compute<Stored>>;
  auto copy = [&](auto values) {
    if (count == L) {
      std::memcpy(to, &values, sizeof values);
    } else {
      std::memcpy(to, &values, count * sizeof(Stored));
    }
  };
  if constexpr (kIsWide<Stored>) {
    copy(sums);
  } else {
    copy(narrow(Stored{}, sums));
  }
}

template <typename Stored>
void write_sums(const SumJob<Stored>& job) {
  using Sum = Compute<Stored>;
  constexpr int L = kLanes<Sum>, n = kBlockLanes<Sum>;
  if (job.cell_stride == 1) {
    for (int64_t c = 0; c < job.channels; ++c) {
      const Sum* sums = job.sums + c * job.sums_stride;
      Stored* to = job.result + c * job.channel_stride;
      for (int64_t cell = 0; cell < job.cells; cell += L) {
        int64_t some = job.cells - cell < L ? job.cells - cell : L;
        write_lanes<Stored>(load_some(sums + cell, some), some, to + cell);
      }
    }
    return;
  }
  int64_t channels = job.channels / L * L;
  int64_t whole = job.cells / n * n;
  for (int64_t cell = 0; cell < job.cells; ++cell) {
    if (cell < whole && cell % n == 0) {
      for (int64_t group = 0; group < channels; group += L) {
        transpose(
            job.sums + group * job.sums_stride + cell, job.sums_stride,
            [&](int i, Vector<Sum> sums) {
              write_lanes<Stored>(sums, L, job.result + (cell + i) * job.cell_stride + group);
            });
      }
    }
    for (int64_t group = cell < whole ? channels : 0; group < job.channels; group += L) {
      int64_t some = job.channels - group < L ? job.channels - group : L;
      Sum lanes[L] = {};
      for (int64_t c = 0; c < some; ++c) lanes[c] = job.sums[(group + c) * job.sums_stride + cell];
      write_lanes<Stored>(load(lanes), some, job.result + cell * job.cell_stride + group);
    }
  }
}

}  // namespace
}  // namespace frcnn
