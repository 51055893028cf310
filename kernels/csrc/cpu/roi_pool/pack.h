// Packing of panels, for files compiled for one instruction set.
#pragma once
#include <cstdint>
#include <type_traits>

#include "cpu/roi_pool/job.h"
#include "cpu/roi_pool/key.h"
#include "cpu/roi_pool/transpose.h"

namespace frcnn {
namespace {

// Values as they are in a panel; V is T or a vector of it.
template <typename T, typename V>
inline V in_panel(V value, const PackJob<T>& job) {
  if constexpr (std::is_same_v<T, int16_t>) {
    return static_cast<V>(without_nan<V>(flip_key(value), V{} + job.lowest));
  } else {
    return value;
  }
}

// Packs a run of cells at equal distances in memory. Lanes of `zeros` become true for keys of -0.
template <typename T>
void pack_run(
    const PackJob<T>& job, const T* from, int64_t cells, T* to,
    Vector<typename LaneIndex<T>::type>& zeros) {
  constexpr int64_t P = kPanelChannels<T>;
  constexpr int L = kLanes<T>, n = kBlockLanes<T>;
  auto put = [&](T* lanes, Vector<T> values) {
    values = in_panel<T>(values, job);
    if constexpr (std::is_same_v<T, int16_t>) zeros |= values == -1;
    store(lanes, values);
  };
  // Cells and channels that are packed in whole vectors.
  int64_t channels = job.channels / L * L, whole = 0;
  if (job.column_stride == 1) {
    whole = cells / n * n;
    for (int64_t cell = 0; cell < whole; cell += n) {
      for (int64_t group = 0; group < channels; group += L) {
        const T* block = from + group * job.channel_stride + cell;
        transpose(block, job.channel_stride, [&](int c, Vector<T> values) {
          put(to + (cell + c) * P + group, values);
        });
      }
    }
  } else if (job.channel_stride == 1) {
    whole = cells;
    for (int64_t cell = 0; cell < cells; ++cell) {
      for (int64_t group = 0; group < channels; group += L) {
        put(to + cell * P + group, load(from + cell * job.column_stride + group));
      }
    }
  }
  for (int64_t cell = 0; cell < cells; ++cell) {
    const T* values = from + cell * job.column_stride;
    T* lanes = to + cell * P;
    for (int64_t c = cell < whole ? channels : 0; c < job.channels; ++c) {
      lanes[c] = in_panel<T>(values[c * job.channel_stride], job);
      if constexpr (std::is_same_v<T, int16_t>) zeros[0] |= lanes[c] == -1;
    }
    for (int64_t c = job.channels; c < P; ++c) lanes[c] = 0;
  }
}

template <typename T>
bool pack(const PackJob<T>& job) {
  constexpr int64_t P = kPanelChannels<T>;
  bool joined = job.row_stride == job.width * job.column_stride;
  int64_t rows = joined ? job.last_row - job.first_row : 1;
  Vector<typename LaneIndex<T>::type> zeros{};
  for (int64_t row = job.first_row; row < job.last_row; row += rows) {
    pack_run<T>(
        job, job.map + row * job.row_stride, rows * job.width, job.panel + row * job.width * P,
        zeros);
  }
  return any((Vector<int32_t>)zeros);
}

}  // namespace
}  // namespace frcnn
