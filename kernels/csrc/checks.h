// Checks of the operators' arguments, for calls that bypass the Python functions.
#pragma once
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace frcnn {

// Python sees std::runtime_error as a RuntimeError with exactly this text.
inline void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

inline void check_rois(const torch::stable::Tensor& features, const torch::stable::Tensor& rois) {
  using torch::headeronly::ScalarType;
  require(features.dim() == 4, "roi_pool: features must be (N, C, H, W)");
  require(rois.dim() == 2 && rois.size(1) == 5, "roi_pool: rois must be (R, 5)");
  require(
      rois.device() == features.device(),
      "roi_pool: features and rois must be on the same device");
  bool both_double = rois.scalar_type() == ScalarType::Double &&
                     features.scalar_type() == ScalarType::Double;
  require(rois.scalar_type() == ScalarType::Float || both_double, "roi_pool: rois must be float32");
  require(
      features.size(2) == 0 || features.size(3) <= INT32_MAX / features.size(2),
      "roi_pool: a feature map of 2^31 cells or more is not supported");
}

inline void check_output_size(int64_t pooled_height, int64_t pooled_width) {
  require(pooled_height > 0 && pooled_width > 0, "roi_pool: the output size must be at least 1");
}

inline void check_out(
    const torch::stable::Tensor& features, const torch::stable::Tensor& rois,
    const torch::stable::Tensor& out) {
  require(out.dim() == 4 && out.is_contiguous(), "roi_pool: out must be contiguous (R, C, PH, PW)");
  require(
      out.size(0) == rois.size(0) && out.size(1) == features.size(1) &&
          out.scalar_type() == features.scalar_type() && out.device() == features.device(),
      "roi_pool: out must have the shape, type and device of the result");
  check_output_size(out.size(2), out.size(3));
}

inline void check_backward(
    const torch::stable::Tensor& grad_output, const torch::stable::Tensor& rois,
    const torch::stable::Tensor& argmax, int64_t channels) {
  require(rois.dim() == 2 && rois.size(1) == 5, "roi_pool: rois must be (R, 5)");
  require(
      grad_output.dim() == 4 && argmax.dim() == 4,
      "roi_pool: the gradient and the argmax must be (R, C, PH, PW)");
  for (int64_t d = 0; d < 4; ++d) {
    require(
        argmax.size(d) == grad_output.size(d),
        "roi_pool: gradient and argmax must have the same shape");
  }
  require(
      grad_output.size(0) == rois.size(0) && grad_output.size(1) == channels,
      "roi_pool: the gradient must match rois and features in shape");
  require(
      rois.device() == grad_output.device() && argmax.device() == grad_output.device(),
      "roi_pool: gradient, rois and argmax must be on the same device");
}

inline void check_nms(
    const torch::stable::Tensor& boxes, const torch::stable::Tensor& scores,
    const std::optional<torch::stable::Tensor>& labels, double iou_threshold) {
  using torch::headeronly::ScalarType;
  require(boxes.dim() == 2 && boxes.size(1) == 4, "nms: boxes must be (B, 4)");
  require(scores.dim() == 1 && scores.size(0) == boxes.size(0), "nms: scores must be (B,)");
  require(
      boxes.scalar_type() == ScalarType::Float && scores.scalar_type() == ScalarType::Float,
      "nms: boxes and scores must be float32");
  require(scores.device() == boxes.device(), "nms: boxes and scores must be on the same device");
  if (labels) {
    require(labels->dim() == 1 && labels->size(0) == boxes.size(0), "nms: labels must be (B,)");
    require(labels->scalar_type() == ScalarType::Long, "nms: labels must be int64");
    require(labels->device() == boxes.device(), "nms: boxes and labels must be on the same device");
  }
  require(iou_threshold >= 0, "nms: iou_threshold must not be negative");
}

inline void check_depthwise(
    const torch::stable::Tensor& gradient, const torch::stable::Tensor& input, int64_t stride) {
  using torch::headeronly::ScalarType;
  require(
      gradient.dim() == 4 && input.dim() == 4 && gradient.is_contiguous() && input.is_contiguous(),
      "depthwise: gradient and input must be contiguous (N, H, W, C)");
  require(
      gradient.scalar_type() == ScalarType::Float && input.scalar_type() == ScalarType::Float,
      "depthwise: gradient and input must be float32");
  require(stride > 0, "depthwise: the stride must be positive");
  require(
      gradient.size(0) == input.size(0) && gradient.size(3) == input.size(3) &&
          input.size(1) > 0 && input.size(2) > 0 &&
          gradient.size(1) == (input.size(1) - 1) / stride + 1 &&
          gradient.size(2) == (input.size(2) - 1) / stride + 1,
      "depthwise: the gradient's shape does not match the input and the stride");
}

}  // namespace frcnn
