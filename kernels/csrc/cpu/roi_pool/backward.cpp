// RoI pooling on the CPU, backward: each gradient is added to the cell that was the maximum.
//
// A thread owns the planes of some channels and adds their gradients in order of RoI, then bin.
// This order does not depend on the number of threads, so the sums do not either. Sums are float32
// or float64. They are computed in the result if its type and layout allow, else in a copy.
//
// Each addition reads a cell number, a gradient and a sum, and writes the sum. The time is limited
// by these four memory accesses, and by waiting for sums that were just written: neighbouring bins
// often share their maximum.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "compute_type.h"
#include "cpu/common/isa.h"
#include "cpu/common/scratch.h"
#include "cpu/roi_pool/fresh_memory.h"
#include "cpu/roi_pool/job.h"
#include "cpu/roi_pool/roi_table.h"
#include "roi_pool_operators.h"

namespace frcnn {
namespace {

using torch::stable::Tensor;

// Sums per cell in one block: the planes of 38 x 63 cells then take 613 KB.
constexpr int64_t kBlockBytes = 256;
// Channels whose additions alternate, so that none waits for its last sum.
constexpr int64_t kAbreast = 4;
constexpr int64_t kChannelsPerTask = 16;

template <typename Stored, typename Cell>
struct Backward {
  using Sum = Compute<Stored>;
  static constexpr int64_t kBlock = kBlockBytes / static_cast<int64_t>(sizeof(Sum));

  const Stored* gradient;  // (R, C, bins)
  const Cell* argmax;      // (R, C, bins)
  const RoiTable& table;
  int64_t channels, bins, cells;
  Stored* result;  // (N, C, cells), or (N, cells, C) where channels_last
  bool channels_last;
  GradientKernel<Stored> kernel = with_isa([](auto isa) { return roi_pool_kernels(isa); });

  static constexpr bool widens = !std::is_same_v<Stored, Sum>;
  bool in_place() const { return !widens && !channels_last; }
  // Distance from one channel's plane of sums to the next.
  int64_t plane() const { return in_place() ? cells : (cells + 15) / 16 * 16 + 16; }

  // Computes planes [begin, end), counted over all images and channels.
  void run(int64_t begin, int64_t end) const {
    Scratch<Sum> copy(in_place() ? 0 : kBlock * plane());
    Scratch<Sum> widened(widens ? kAbreast * bins : 0);
    while (begin < end) {
      int64_t image = begin / channels, channel = begin % channels;
      int64_t count = std::min({kBlock, channels - channel, end - begin});
      Sum* sums = in_place() ? reinterpret_cast<Sum*>(result) + begin * cells : copy.get();
      std::fill_n(sums, count * plane(), Sum(0));
      // 7 x 7 and 6 x 6 are the grids of the paper's networks; a fixed number gives faster code.
      if (bins == 49) {
        add_rois<49>(image, channel, count, sums, widened.get());
      } else if (bins == 36) {
        add_rois<36>(image, channel, count, sums, widened.get());
      } else {
        add_rois<0>(image, channel, count, sums, widened.get());
      }
      if (!in_place()) write(image, channel, count, sums);
      begin += count;
    }
  }

  template <int64_t fixed_bins>
  void add_rois(int64_t image, int64_t channel, int64_t count, Sum* sums, Sum* widened) const {
    const int64_t* rois = table.by_image.data() + table.first_of_image[image];
    int64_t roi_count = table.first_of_image[image + 1] - table.first_of_image[image];
    for (int64_t k = 0; k < roi_count; ++k) {
      int64_t at = (rois[k] * channels + channel) * bins;
      int64_t next = (rois[std::min(k + 1, roi_count - 1)] * channels + channel) * bins;
      int64_t c = 0;
      for (; c + kAbreast <= count; c += kAbreast) {
        prefetch(next + c * bins);
        add<kAbreast, fixed_bins>(at + c * bins, sums + c * plane(), widened);
      }
      for (; c < count; ++c) add<1, fixed_bins>(at + c * bins, sums + c * plane(), widened);
    }
  }

  // Adds one RoI's gradients of `abreast` channels. `fixed_bins` is the number of bins, or 0.
  template <int64_t abreast, int64_t fixed_bins>
  void add(int64_t at, Sum* sums, Sum* widened) const {
    constexpr int64_t together = sizeof(uint64_t) / sizeof(Cell);
    const int64_t last = fixed_bins > 0 ? fixed_bins : bins, stride = plane();
    const Sum* values = widened;
    if constexpr (widens) {
      kernel.widen(gradient + at, abreast * last, widened);
    } else {
      values = gradient + at;
    }
    const Cell* maxima = argmax + at;
    // Copied to a register: the compiler must assume that writing a sum may change `*this`.
    const auto end = static_cast<uint32_t>(cells);
    const int64_t whole = last / together * together;
    for (int64_t bin = 0; bin < whole; bin += together) {
#pragma GCC unroll 4
      for (int64_t c = 0; c < abreast; ++c) {
        static_assert(std::endian::native == std::endian::little);
        uint64_t several;  // cell numbers, read in one access
        std::memcpy(&several, maxima + c * last + bin, sizeof several);
#pragma GCC unroll 4
        for (int64_t i = 0; i < together; ++i) {
          auto cell = static_cast<Cell>(several >> 8 * sizeof(Cell) * i);
          add_one(values[c * last + bin + i], cell, end, sums + c * stride);
        }
      }
    }
    for (int64_t bin = whole; bin < last; ++bin) {
      for (int64_t c = 0; c < abreast; ++c) {
        add_one(values[c * last + bin], maxima[c * last + bin], end, sums + c * stride);
      }
    }
  }

  static void add_one(Sum value, Cell cell, uint32_t end, Sum* sums) {
    // -1, an empty bin, becomes larger than every cell.
    auto index = static_cast<uint32_t>(cell);
    if (index < end) sums[index] += value;
  }

  // The processor cannot predict the jump to the next RoI's values, past all other channels.
  void prefetch(int64_t at) const {
    constexpr int64_t values = 64 / sizeof(Stored), maxima = 64 / sizeof(Cell);
    const int64_t count = kAbreast * bins;
    for (int64_t i = 0; i < count; i += values) __builtin_prefetch(gradient + at + i, 0, 2);
    for (int64_t i = 0; i < count; i += maxima) __builtin_prefetch(argmax + at + i, 0, 2);
  }

  void write(int64_t image, int64_t channel, int64_t count, const Sum* sums) const {
    int64_t channel_stride = channels_last ? 1 : cells;
    int64_t cell_stride = channels_last ? channels : 1;
    kernel.write(
        {sums, plane(), count, cells, result + image * channels * cells + channel * channel_stride,
         channel_stride, cell_stride});
  }
};

struct Cpu {
  using Half = HalfBits;
  using BFloat16 = BFloat16Bits;

  static void prepare(Tensor& output) { prefer_huge_pages(output); }

  template <typename Stored, typename Cell>
  static void backward(RoiPoolGradient& gradient) {
    RoiTable table;
    group_by_image(gradient.rois, gradient.batch(), table);
    Backward<Stored, Cell> backward{
        static_cast<const Stored*>(gradient.grad_output.const_data_ptr()),
        gradient.argmax.const_data_ptr<Cell>(),
        table,
        gradient.channels(),
        gradient.bins(),
        gradient.cells(),
        static_cast<Stored*>(gradient.result.mutable_data_ptr()),
        gradient.channels_last};
    torch::stable::parallel_for(
        0, gradient.batch() * gradient.channels(), kChannelsPerTask,
        [&](int64_t begin, int64_t end) { backward.run(begin, end); });
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CPU, m) { RoiPoolBackward<Cpu>::implement(m); }

}  // namespace frcnn
