// What the RoI pooling operators of all devices share: everything but the work itself.
#pragma once
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <optional>
#include <tuple>

#include "checks.h"
#include "dispatch.h"

namespace frcnn {

// The gradient's memory, in the layout of the features that it belongs to.
inline torch::stable::Tensor empty_gradient(
    const torch::stable::Tensor& like, int64_t batch, int64_t channels, int64_t height,
    int64_t width, bool channels_last) {
  using torch::headeronly::MemoryFormat;
  return torch::stable::empty(
      {batch, channels, height, width}, like.scalar_type(), std::nullopt, like.device(),
      std::nullopt, channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
}

// Device::forward(features, rois, scale, out, argmax or null) pools into memory that fits;
// Device::prepare(tensor) is told of each fresh output before it is written.
template <typename Device>
struct RoiPoolForward {
  using Tensor = torch::stable::Tensor;
  using ScalarType = torch::headeronly::ScalarType;

  static std::tuple<Tensor, Tensor> roi_pool(
      const Tensor& features, const Tensor& rois, int64_t pooled_height, int64_t pooled_width,
      double spatial_scale) {
    Tensor out = fresh(features, rois, pooled_height, pooled_width, features.scalar_type());
    ScalarType cell = cell_type(features.size(2), features.size(3));
    Tensor argmax = fresh(features, rois, pooled_height, pooled_width, cell);
    Device::forward(features, rois, spatial_scale, out, &argmax);
    return {out, argmax};
  }

  static Tensor roi_pool_infer(
      const Tensor& features, const Tensor& rois, int64_t pooled_height, int64_t pooled_width,
      double spatial_scale) {
    Tensor out = fresh(features, rois, pooled_height, pooled_width, features.scalar_type());
    Device::forward(features, rois, spatial_scale, out, nullptr);
    return out;
  }

  static void roi_pool_out(
      const Tensor& features, const Tensor& rois, double spatial_scale, Tensor out) {
    check_rois(features, rois);
    check_out(features, rois, out);
    Device::forward(features, rois, spatial_scale, out, nullptr);
  }

 private:
  static Tensor fresh(
      const Tensor& features, const Tensor& rois, int64_t pooled_height, int64_t pooled_width,
      ScalarType type) {
    check_rois(features, rois);
    check_output_size(pooled_height, pooled_width);
    Tensor out = torch::stable::new_empty(
        features, {rois.size(0), features.size(1), pooled_height, pooled_width}, type);
    Device::prepare(out);
    return out;
  }
};

}  // namespace frcnn
