// The RoIs of one call, checked and turned into windows on the feature map, once for all channels.
#pragma once
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <vector>

#include "roi_pool_operators.h"

namespace frcnn {

struct RoiTable {
  // For each RoI: (begin, end) on the map for each row of bins, then for each column of bins.
  // begin == end if the bin is empty.
  std::vector<int32_t> windows;
  int64_t windows_per_roi = 0;
  // The RoIs of image n, in the given order: by_image[first_of_image[n] .. first_of_image[n+1]).
  std::vector<int64_t> by_image;
  std::vector<int64_t> first_of_image;

  int64_t images() const { return static_cast<int64_t>(first_of_image.size()) - 1; }
  const int32_t* windows_of(int64_t roi) const { return windows.data() + roi * windows_per_roi; }
};

// Throws std::runtime_error if a RoI is not finite or its image index is outside the batch.
RoiTable make_roi_table(const torch::stable::Tensor& rois, const RoiGrid& grid);

// Fills only `by_image` and `first_of_image`, which is what the backward needs.
void group_by_image(const torch::stable::Tensor& rois, int64_t images, RoiTable& table);

}  // namespace frcnn
