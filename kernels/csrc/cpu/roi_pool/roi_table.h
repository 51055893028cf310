// The RoIs of one call, checked and turned into windows on the feature map once for all channels.
#pragma once
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <vector>

#include "roi_pool_operators.h"

namespace frcnn {

struct RoiTable {
  // For each RoI: (begin, end) of each of its rows of bins, then of its columns of bins, on the
  // map; begin == end where a bin is empty.
  std::vector<int32_t> windows;
  int64_t windows_per_roi = 0;
  // The RoIs of image n, in their given order: by_image[first_of_image[n] .. first_of_image[n+1]).
  std::vector<int64_t> by_image;
  std::vector<int64_t> first_of_image;

  int64_t images() const { return static_cast<int64_t>(first_of_image.size()) - 1; }
  const int32_t* windows_of(int64_t roi) const { return windows.data() + roi * windows_per_roi; }
};

// Throws std::runtime_error where a RoI is not finite or names an image outside the batch.
RoiTable make_roi_table(const torch::stable::Tensor& rois, const RoiGrid& grid);

// The grouping alone, as the backward needs it.
void group_by_image(const torch::stable::Tensor& rois, int64_t images, RoiTable& table);

}  // namespace frcnn
