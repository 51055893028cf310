// RoI pooling on the CPU, backward: each gradient goes to the cell that was its maximum.
//
// A task owns some channels of one image and adds up their gradients by RoI and then by bin, in a
// float32 (or float64) copy of its planes that the cache holds. That order does not depend on the
// number of threads, so neither do the sums.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>

#include "checks.h"
#include "dispatch.h"
#include "fresh_memory.h"
#include "roi_table.h"
#include "scratch.h"

namespace frcnn {
namespace {

using torch::stable::Tensor;

constexpr int64_t kChannels = 16;  // of a task; its planes (38 x 63 cells: 153 KB) fit the second cache
constexpr int64_t kPair = 2;       // channels at a time, whose planes fit the first cache,
constexpr int64_t kRois = 16;      // for so many RoIs, so that loading the planes pays
constexpr int64_t kHugePageBytes = 4 << 20;

template <typename Stored>
struct Backward {
  using Sum = std::conditional_t<std::is_same_v<Stored, double>, double, float>;

  const Stored* gradient;  // (R, C, bins)
  const int32_t* argmax;   // (R, C, bins)
  const RoiTable& table;
  int64_t channels, bins, cells;
  Stored* result;  // (N, C, cells), or (N, cells, C) where channels_last
  bool channels_last;

  // From one channel's plane of sums to the next: not a multiple of a page, or stores to one plane
  // would look to the processor like stores to another.
  int64_t plane() const { return (cells + 15) / 16 * 16 + 16; }

  void run(int64_t image, int64_t channel, Sum* sums) const {
    if (bins == 49) return task<49>(image, channel, sums);  // the grids of the paper's networks
    if (bins == 36) return task<36>(image, channel, sums);
    task<0>(image, channel, sums);
  }

  template <int64_t fixed_bins>
  void task(int64_t image, int64_t channel, Sum* sums) const {
    int64_t here = std::min(kChannels, channels - channel);
    std::fill_n(sums, here * plane(), Sum(0));
    const int64_t* rois = table.by_image.data() + table.first_of_image[image];
    int64_t count = table.first_of_image[image + 1] - table.first_of_image[image];
    for (int64_t first = 0; first < count; first += kRois) {
      int64_t last = std::min(first + kRois, count);
      for (int64_t c = 0; c < here; c += kPair) {
        for (int64_t k = first; k < last; ++k) {
          int64_t at = (rois[k] * channels + channel + c) * bins;
          if (k + kRois < count) prefetch((rois[k + kRois] * channels + channel + c) * bins);
          Sum* planes = sums + c * plane();
          here - c < kPair ? add<1, fixed_bins>(at, planes) : add<kPair, fixed_bins>(at, planes);
        }
      }
    }
    write(image, channel, here, sums);
  }

  // Adds one RoI's gradients of `count` channels. Two channels by turns: neighbouring bins often
  // share a maximum, and an addition to a cell would wait for the last one. `fixed_bins` is the
  // number of bins where the compiler may know it, or 0.
  template <int64_t count, int64_t fixed_bins>
  void add(int64_t at, Sum* sums) const {
    const Stored* __restrict values = gradient + at;
    const int32_t* __restrict where = argmax + at;
    Sum* __restrict planes = sums;
    const int64_t last = fixed_bins > 0 ? fixed_bins : bins, stride = plane();
    const auto limit = static_cast<uint32_t>(cells);
    for (int64_t bin = 0; bin < last; ++bin) {
#pragma GCC unroll 2
      for (int64_t c = 0; c < count; ++c) {
        auto cell = static_cast<uint32_t>(where[c * last + bin]);  // -1, an empty bin, is past it
        if (cell < limit) planes[c * stride + cell] += static_cast<Sum>(values[c * last + bin]);
      }
    }
  }

  // The processor does not guess that the next RoI lies all other channels away.
  void prefetch(int64_t at) const {
    constexpr int64_t values = 64 / sizeof(Stored), cells_of_maxima = 64 / sizeof(int32_t);
    for (int64_t i = 0; i < kPair * bins; i += values) __builtin_prefetch(gradient + at + i, 0, 2);
    for (int64_t i = 0; i < kPair * bins; i += cells_of_maxima) __builtin_prefetch(argmax + at + i, 0, 2);
  }

  void write(int64_t image, int64_t channel, int64_t here, const Sum* sums) const {
    Stored* to = result + image * channels * cells + channel * (channels_last ? 1 : cells);
    for (int64_t c = 0; !channels_last && c < here; ++c) {
      for (int64_t cell = 0; cell < cells; ++cell) {
        to[c * cells + cell] = static_cast<Stored>(sums[c * plane() + cell]);
      }
    }
    for (int64_t cell = 0; channels_last && cell < cells; ++cell) {
      for (int64_t c = 0; c < here; ++c) {
        to[cell * channels + c] = static_cast<Stored>(sums[c * plane() + cell]);
      }
    }
  }
};

Tensor roi_pool_backward(
    const Tensor& grad_output, const Tensor& rois, const Tensor& argmax, int64_t batch,
    int64_t channels, int64_t height, int64_t width, bool channels_last) {
  check_backward(grad_output, rois, argmax, channels);
  RoiTable table;
  group_by_image(torch::stable::contiguous(rois), batch, table);
  Tensor gradient = torch::stable::contiguous(grad_output);
  Tensor where = torch::stable::contiguous(argmax);
  Tensor result = torch::stable::empty(
      {batch, channels, height, width}, grad_output.scalar_type(), std::nullopt,
      grad_output.device(), std::nullopt,
      channels_last ? torch::headeronly::MemoryFormat::ChannelsLast
                    : torch::headeronly::MemoryFormat::Contiguous);
  int64_t bytes = result.numel() * static_cast<int64_t>(result.element_size());
  if (bytes >= kHugePageBytes) prefer_huge_pages(result.mutable_data_ptr(), bytes);
  int64_t groups = (channels + kChannels - 1) / kChannels, cells = height * width;
  with_floating_type(grad_output.scalar_type(), "the gradient", [&](auto tag) {
    using Stored = typename decltype(tag)::type;
    Backward<Stored> backward{
        gradient.const_data_ptr<Stored>(), where.const_data_ptr<int32_t>(), table, channels,
        gradient.size(2) * gradient.size(3), cells, result.mutable_data_ptr<Stored>(),
        channels_last};
    torch::stable::parallel_for(0, batch * groups, 1, [&](int64_t begin, int64_t end) {
      Scratch<typename Backward<Stored>::Sum> sums(kChannels * backward.plane());
      for (int64_t at = begin; at < end; ++at) {
        backward.run(at / groups, at % groups * kChannels, sums.get());
      }
    });
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CPU, m) { m.impl("roi_pool_backward", TORCH_BOX(&roi_pool_backward)); }

}  // namespace frcnn
