// Greedy non-maximum suppression on the CPU, each class separately.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <vector>

#include "checks.h"
#include "cpu/common/isa.h"
#include "cpu/nms/job.h"
#include "cpu/nms/sort_scores.h"

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// A place is a position in the order of decreasing scores. Places are grouped by class and sorted
// within each class.
struct Classes {
  std::vector<int64_t> places;
  std::vector<int64_t> first;  // class k owns places[first[k] .. first[k + 1])
};

Classes group_by_class(const std::vector<int64_t>& order, const int64_t* labels) {
  auto count = static_cast<int64_t>(order.size());
  std::unordered_map<int64_t, int64_t> numbers;
  std::vector<int64_t> number(count, 0), sizes(1, labels == nullptr ? count : 0);
  int64_t last_label = 0, last_number = -1;
  for (int64_t place = 0; labels != nullptr && place < count; ++place) {
    int64_t label = labels[order[place]];
    if (last_number < 0 || label != last_label) {
      last_label = label;
      last_number = numbers.try_emplace(label, static_cast<int64_t>(numbers.size())).first->second;
      if (last_number == static_cast<int64_t>(sizes.size())) sizes.push_back(0);
    }
    number[place] = last_number;
    ++sizes[last_number];
  }
  Classes classes{std::vector<int64_t>(count), {0}};
  for (int64_t size : sizes) classes.first.push_back(classes.first.back() + size);
  std::vector<int64_t> next(classes.first.begin(), classes.first.end() - 1);
  for (int64_t place = 0; place < count; ++place) classes.places[next[number[place]]++] = place;
  return classes;
}

// The greatest float that is not above `threshold`. A float overlap exceeds the double threshold
// exactly if it exceeds this float.
float float_not_above(double threshold) {
  auto rounded = static_cast<float>(threshold);
  return rounded > threshold ? std::nextafter(rounded, -std::numeric_limits<float>::infinity())
                             : rounded;
}

NmsBoxes columns(float* memory, int64_t stride) {
  return {memory, memory + stride, memory + 2 * stride, memory + 3 * stride, memory + 4 * stride};
}

// Writes to `kept_places`, which is indexed by place, which boxes of one class are kept.
void decide_class(const float* boxes, const std::vector<int64_t>& order, const int64_t* places,
                  int64_t count, float threshold, NmsKernel kernel, uint8_t* kept_places) {
  int64_t stride = count + kNmsPadding;
  std::vector<float> memory(10 * stride, 0.0f);
  std::vector<uint8_t> is_kept(count);
  NmsJob job{columns(memory.data(), stride), count, threshold,
             columns(memory.data() + 5 * stride, stride), is_kept.data()};
  for (int64_t i = 0; i < count; ++i) {
    const float* box = boxes + order[places[i]] * 4;
    job.boxes.x1[i] = box[0], job.boxes.y1[i] = box[1];
    job.boxes.x2[i] = box[2], job.boxes.y2[i] = box[3];
    job.boxes.area[i] = (box[2] - box[0]) * (box[3] - box[1]);
  }
  kernel(job);
  for (int64_t i = 0; i < count; ++i) kept_places[places[i]] = is_kept[i];
}

Tensor nms(
    const Tensor& boxes, const Tensor& scores, std::optional<Tensor> labels, double iou_threshold) {
  check_nms(boxes, scores, labels, iou_threshold);
  Tensor table = torch::stable::contiguous(boxes), marks = torch::stable::contiguous(scores);
  std::optional<Tensor> names;
  if (labels) names = torch::stable::contiguous(*labels);
  std::vector<int64_t> order =
      order_by_falling_score(marks.const_data_ptr<float>(), scores.size(0));
  Classes classes = group_by_class(order, names ? names->const_data_ptr<int64_t>() : nullptr);
  std::vector<uint8_t> kept_places(order.size());
  const float* box = table.const_data_ptr<float>();
  float threshold = float_not_above(iou_threshold);
  NmsKernel kernel = with_isa([](auto isa) { return nms_kernel(isa); });
  auto class_count = static_cast<int64_t>(classes.first.size()) - 1;
  torch::stable::parallel_for(0, class_count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      decide_class(box, order, classes.places.data() + classes.first[k],
                   classes.first[k + 1] - classes.first[k], threshold, kernel,
                   kept_places.data());
    }
  });
  int64_t kept = std::count(kept_places.begin(), kept_places.end(), 1);
  Tensor result = torch::stable::new_empty(boxes, {kept}, ScalarType::Long);
  int64_t* to = result.mutable_data_ptr<int64_t>();
  for (size_t place = 0; place < order.size(); ++place) {
    if (kept_places[place]) *to++ = order[place];
  }
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CPU, m) { m.impl("nms", TORCH_BOX(&nms)); }

}  // namespace frcnn
