// What the RoI pooling operators share on all devices: everything except the pooling itself.
#pragma once
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <optional>
#include <tuple>

#include "checks.h"
#include "dispatch.h"

namespace frcnn {

// Sizes that are needed to turn RoIs into windows on the feature map.
struct RoiGrid {
  int64_t images, height, width, pooled_height, pooled_width;
  double spatial_scale;
};

// A Device has the types Half and BFloat16, which represent the 16-bit types, and these functions:
//   table(rois, grid): the RoIs as windows on the feature map;
//   forward<Stored>(features, table, out, argmax or null): pools into `out` (and `argmax`);
//   prepare(tensor): prepares a new output before it is written.
template <typename Device>
struct RoiPoolForward {
  using Tensor = torch::stable::Tensor;
  using ScalarType = torch::headeronly::ScalarType;

  static std::tuple<Tensor, Tensor> roi_pool(
      const Tensor& features, const Tensor& rois, int64_t pooled_height, int64_t pooled_width,
      double spatial_scale) {
    Tensor out = new_output(features, rois, pooled_height, pooled_width, features.scalar_type());
    ScalarType cell = cell_type(features.size(2), features.size(3));
    Tensor argmax = new_output(features, rois, pooled_height, pooled_width, cell);
    pool(features, rois, spatial_scale, out, &argmax);
    return {out, argmax};
  }

  static Tensor roi_pool_infer(
      const Tensor& features, const Tensor& rois, int64_t pooled_height, int64_t pooled_width,
      double spatial_scale) {
    Tensor out = new_output(features, rois, pooled_height, pooled_width, features.scalar_type());
    pool(features, rois, spatial_scale, out, nullptr);
    return out;
  }

  static void roi_pool_out(
      const Tensor& features, const Tensor& rois, double spatial_scale, Tensor out) {
    check_rois(features, rois);
    check_out(features, rois, out);
    pool(features, rois, spatial_scale, out, nullptr);
  }

  template <typename Library>
  static void implement(Library& library) {
    library.impl("roi_pool", TORCH_BOX(&roi_pool));
    library.impl("roi_pool_infer", TORCH_BOX(&roi_pool_infer));
    library.impl("roi_pool_out", TORCH_BOX(&roi_pool_out));
  }

 private:
  static Tensor new_output(
      const Tensor& features, const Tensor& rois, int64_t pooled_height, int64_t pooled_width,
      ScalarType type) {
    check_rois(features, rois);
    check_output_size(pooled_height, pooled_width);
    Tensor out = torch::stable::new_empty(
        features, {rois.size(0), features.size(1), pooled_height, pooled_width}, type);
    Device::prepare(out);
    return out;
  }

  static void pool(
      const Tensor& features, const Tensor& rois, double spatial_scale, Tensor& out,
      Tensor* argmax) {
    const auto table = Device::table(
        torch::stable::contiguous(rois),
        RoiGrid{
            features.size(0), features.size(2), features.size(3), out.size(2), out.size(3),
            spatial_scale});
    with_floating_type<typename Device::Half, typename Device::BFloat16>(
        features.scalar_type(), [&](auto tag) {
          Device::template forward<typename decltype(tag)::type>(features, table, out, argmax);
        });
  }
};

// One backward pass. All tensors are contiguous except the result, whose memory is (N, C, H, W), or
// (N, H, W, C) if channels_last.
struct RoiPoolGradient {
  torch::stable::Tensor grad_output;  // (R, C, PH, PW)
  torch::stable::Tensor rois;         // (R, 5)
  torch::stable::Tensor argmax;       // (R, C, PH, PW)
  torch::stable::Tensor result;
  bool channels_last;

  int64_t batch() const { return result.size(0); }
  int64_t channels() const { return result.size(1); }
  int64_t cells() const { return result.size(2) * result.size(3); }
  int64_t bins() const { return grad_output.size(2) * grad_output.size(3); }
};

// Device::backward<Stored, Cell>(gradient) writes gradient.result. For the rest see RoiPoolForward.
template <typename Device>
struct RoiPoolBackward {
  using Tensor = torch::stable::Tensor;

  static Tensor roi_pool_backward(
      const Tensor& grad_output, const Tensor& rois, const Tensor& argmax, int64_t batch,
      int64_t channels, int64_t height, int64_t width, bool channels_last) {
    using torch::headeronly::MemoryFormat;
    using torch::stable::contiguous;
    check_backward(grad_output, rois, argmax, channels);
    RoiPoolGradient gradient{
        contiguous(grad_output), contiguous(rois), contiguous(argmax),
        torch::stable::empty(
            {batch, channels, height, width}, grad_output.scalar_type(), std::nullopt,
            grad_output.device(), std::nullopt,
            channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous),
        channels_last};
    Device::prepare(gradient.result);
    with_floating_type<typename Device::Half, typename Device::BFloat16>(
        grad_output.scalar_type(), [&](auto tag) {
          with_cell_type(argmax.scalar_type(), [&](auto cell) {
            using Stored = typename decltype(tag)::type;
            Device::template backward<Stored, typename decltype(cell)::type>(gradient);
          });
        });
    return gradient.result;
  }

  template <typename Library>
  static void implement(Library& library) {
    library.impl("roi_pool_backward", TORCH_BOX(&roi_pool_backward));
  }
};

}  // namespace frcnn
