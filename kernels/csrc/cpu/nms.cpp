// Greedy non-maximum suppression on the CPU, for each label by itself.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

Tensor nms(
    const Tensor& boxes, const Tensor& scores, std::optional<Tensor> labels, double threshold) {
  Tensor table = torch::stable::contiguous(boxes), ranks = torch::stable::contiguous(scores);
  int64_t count = boxes.size(0);
  const float* box = table.const_data_ptr<float>();
  const float* score = ranks.const_data_ptr<float>();
  std::vector<int64_t> label(count, 0);
  if (labels) {
    Tensor l = torch::stable::contiguous(*labels);
    std::copy_n(l.const_data_ptr<int64_t>(), count, label.begin());
  }
  std::vector<int64_t> order(count), kept;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return score[a] > score[b];
  });
  auto area = [&](int64_t i) {
    return (box[i * 4 + 2] - box[i * 4]) * (box[i * 4 + 3] - box[i * 4 + 1]);
  };
  for (int64_t i : order) {
    bool suppressed = false;
    for (int64_t k : kept) {
      if (label[k] != label[i]) continue;
      const float *a = box + i * 4, *b = box + k * 4;
      float w = std::max(0.f, std::min(a[2], b[2]) - std::max(a[0], b[0]));
      float h = std::max(0.f, std::min(a[3], b[3]) - std::max(a[1], b[1]));
      float shared = w * h;
      if (shared / (area(k) + area(i) - shared) > threshold) {
        suppressed = true;
        break;
      }
    }
    if (!suppressed) kept.push_back(i);
  }
  Tensor result =
      torch::stable::new_empty(boxes, {static_cast<int64_t>(kept.size())}, ScalarType::Long);
  std::copy(kept.begin(), kept.end(), result.mutable_data_ptr<int64_t>());
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CPU, m) { m.impl("nms", TORCH_BOX(&nms)); }

}  // namespace frcnn
