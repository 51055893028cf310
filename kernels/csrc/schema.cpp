// Signatures of the operators, separate from the kernels that implement them for a device.
//
// Shapes: features (N, C, H, W); rois (R, 5) as [batch index, x1, y1, x2, y2] in image pixels;
// outputs and argmax (R, C, pooled_height, pooled_width), argmax as h * W + w or -1 (dispatch.h);
// gradient (N, H', W', C) and input (N, H, W, C) of a 5 x 5 depthwise convolution, contiguous;
// boxes (B, 4) as x1, y1, x2, y2 in continuous coordinates; scores and labels (B,);
// image (H, W, 3), uint8; its boxes (N, 4) have inclusive corners in pixels.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(frcnn, m) {
  m.def(
      "roi_pool(Tensor features, Tensor rois, SymInt pooled_height, SymInt pooled_width, "
      "float spatial_scale) -> (Tensor, Tensor)");
  m.def(
      "roi_pool_infer(Tensor features, Tensor rois, SymInt pooled_height, SymInt pooled_width, "
      "float spatial_scale) -> Tensor");
  m.def(
      "roi_pool_out(Tensor features, Tensor rois, float spatial_scale, *, Tensor(a!) out) -> ()");
  m.def(
      "roi_pool_backward(Tensor grad_output, Tensor rois, Tensor argmax, SymInt batch, "
      "SymInt channels, SymInt height, SymInt width, bool channels_last) -> Tensor");
  m.def(
      "depthwise_weight_gradient(Tensor gradient, Tensor input, SymInt stride) -> Tensor");
  m.def("nms(Tensor boxes, Tensor scores, Tensor? labels, float iou_threshold) -> Tensor");
  m.def(
      "selective_search(Tensor image, int[] colour_spaces, int[] thresholds, int[] similarities, "
      "int connectivity, int base_threshold, int min_region, int min_side, int max_boxes) -> Tensor");
}
