// The RoIs of one call turned into windows on the feature map, once for all channels.
#pragma once
#include <torch/csrc/stable/tensor.h>

#include <cstdint>

#include "roi_pool_operators.h"

namespace frcnn {

// A RoI that is not finite or names an image outside the batch has windows that are all empty, so
// nothing outside the tensors is read, and image 0. FRCNN_DEBUG=1 in the environment makes it an
// error, at the price of waiting for the GPU.
struct RoiTable {
  torch::stable::Tensor windows;  // (R, 2 * (PH + PW)) int32: (begin, end) of rows, then columns
  torch::stable::Tensor images;   // (R,) int64
};

RoiTable make_roi_table(const torch::stable::Tensor& rois, const RoiGrid& grid);

}  // namespace frcnn
