// The RoIs of one call, turned into windows on the feature map, once for all channels.
#pragma once
#include <torch/csrc/stable/tensor.h>

#include <cstdint>

#include "roi_pool_operators.h"

namespace frcnn {

// A RoI that is not finite or whose image index is outside the batch gets image 0 and only empty
// windows, so nothing outside the tensors is read. FRCNN_DEBUG=1 in the environment makes it an
// error, which requires waiting for the GPU.
struct RoiTable {
  torch::stable::Tensor windows;  // (R, 2 * (PH + PW)) int32: (begin, end) of rows, then columns
  torch::stable::Tensor images;   // (R,) int64
};

RoiTable make_roi_table(const torch::stable::Tensor& rois, const RoiGrid& grid);

}  // namespace frcnn
