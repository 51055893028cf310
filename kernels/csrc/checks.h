// Checks of arguments that the operators share, whoever calls them.
#pragma once
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace frcnn {

// std::runtime_error reaches Python as a RuntimeError with just this text.
inline void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

inline void check_rois(const torch::stable::Tensor& features, const torch::stable::Tensor& rois) {
  using torch::headeronly::ScalarType;
  require(features.dim() == 4, "roi_pool: features must be (N, C, H, W)");
  require(rois.dim() == 2 && rois.size(1) == 5, "roi_pool: rois must be (R, 5)");
  require(rois.device() == features.device(), "roi_pool: features and rois on different devices");
  bool both_double = rois.scalar_type() == ScalarType::Double &&
                     features.scalar_type() == ScalarType::Double;
  require(rois.scalar_type() == ScalarType::Float || both_double, "roi_pool: rois must be float32");
  require(
      features.size(2) == 0 || features.size(3) <= INT32_MAX / features.size(2),
      "roi_pool: a feature map of 2^31 cells or more is not supported");
}

inline void check_output_size(int64_t pooled_height, int64_t pooled_width) {
  require(pooled_height > 0 && pooled_width > 0, "roi_pool: the output must have a size");
}

inline void check_out(
    const torch::stable::Tensor& features, const torch::stable::Tensor& rois,
    const torch::stable::Tensor& out) {
  require(out.dim() == 4 && out.is_contiguous(), "roi_pool: out must be (R, C, PH, PW), contiguous");
  require(
      out.size(0) == rois.size(0) && out.size(1) == features.size(1) &&
          out.scalar_type() == features.scalar_type() && out.device() == features.device(),
      "roi_pool: out must fit features and rois");
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
    require(argmax.size(d) == grad_output.size(d), "roi_pool: gradient and argmax differ in shape");
  }
  require(
      grad_output.size(0) == rois.size(0) && grad_output.size(1) == channels,
      "roi_pool: the gradient does not fit rois and features");
  require(
      rois.device() == grad_output.device() && argmax.device() == grad_output.device(),
      "roi_pool: gradient, rois and argmax on different devices");
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
  require(scores.device() == boxes.device(), "nms: boxes and scores on different devices");
  if (labels) {
    require(labels->dim() == 1 && labels->size(0) == boxes.size(0), "nms: labels must be (B,)");
    require(labels->scalar_type() == ScalarType::Long, "nms: labels must be int64");
    require(labels->device() == boxes.device(), "nms: boxes and labels on different devices");
  }
  require(iou_threshold >= 0, "nms: iou_threshold must not be negative");
}

inline void check_depthwise(
    const torch::stable::Tensor& gradient, const torch::stable::Tensor& input, int64_t stride) {
  using torch::headeronly::ScalarType;
  require(
      gradient.dim() == 4 && input.dim() == 4 && gradient.is_contiguous() && input.is_contiguous(),
      "depthwise: gradient and input must be (N, H, W, C), contiguous");
  require(
      gradient.scalar_type() == ScalarType::Float && input.scalar_type() == ScalarType::Float,
      "depthwise: gradient and input must be float32");
  require(stride > 0, "depthwise: the stride must be positive");
  require(
      gradient.size(0) == input.size(0) && gradient.size(3) == input.size(3) &&
          input.size(1) > 0 && input.size(2) > 0 &&
          gradient.size(1) == (input.size(1) - 1) / stride + 1 &&
          gradient.size(2) == (input.size(2) - 1) / stride + 1,
      "depthwise: the gradient does not fit the input");
}

}  // namespace frcnn
