// Selective search as a torch operator.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <vector>

#include "cpu/selective_search/group.h"
#include "cpu/selective_search/search.h"

namespace frcnn {
namespace {

using torch::stable::Tensor;

// With these limits edge codes fit into 28 bits (edges.h), corners into 16 (rank.cpp) and region
// numbers into 23 (group.cpp).
constexpr int64_t kMostPixels = int64_t{1} << 26;
constexpr int64_t kLongestSide = (int64_t{1} << 16) - 1;

selective_search::Settings settings(const std::vector<int64_t>& colour_spaces,
                                    const std::vector<int64_t>& thresholds,
                                    const std::vector<int64_t>& similarities,
                                    int64_t connectivity, int64_t base_threshold,
                                    int64_t min_region, int64_t min_side, int64_t max_boxes) {
  selective_search::Settings result{{}, {}, {}, 0, 0, 0, min_side, max_boxes};
  STD_TORCH_CHECK(connectivity == 4 || connectivity == 8,
                  "selective_search: connectivity must be 4 or 8, not ", connectivity);
  result.connectivity = static_cast<int>(connectivity);
  for (const int64_t space : colour_spaces) {
    STD_TORCH_CHECK(space >= 0 && space < selective_search::kColourSpaces,
                    "selective_search: unknown colour space ", space);
    result.colour_spaces.push_back(static_cast<selective_search::ColourSpace>(space));
  }
  const auto valid = [](int64_t threshold) { return threshold >= 1 && threshold <= 100000; };
  for (const int64_t threshold : thresholds) {
    STD_TORCH_CHECK(valid(threshold),
                    "selective_search: threshold must be 1 to 100000, not ", threshold);
    result.thresholds.push_back(static_cast<int>(threshold));
  }
  STD_TORCH_CHECK(valid(base_threshold),
                  "selective_search: base_threshold must be 1 to 100000, not ", base_threshold);
  result.base_threshold = static_cast<int>(base_threshold);
  STD_TORCH_CHECK(min_region >= 1 && min_region <= kMostPixels,
                  "selective_search: min_region must be 1 to 2^26, not ", min_region);
  result.min_region = static_cast<int>(min_region);
  for (const int64_t set : similarities) {
    STD_TORCH_CHECK(set >= 1 && set <= 15,
                    "selective_search: a set of similarities must be 1 to 15, not ", set);
    result.similarities.push_back(static_cast<int>(set));
  }
  return result;
}

// image: (H, W, 3) uint8, RGB. Returns int32 (N, 4): x1, y1, x2, y2, inclusive corners.
Tensor selective_search_cpu(Tensor image, std::vector<int64_t> colour_spaces,
                            std::vector<int64_t> thresholds, std::vector<int64_t> similarities,
                            int64_t connectivity, int64_t base_threshold, int64_t min_region,
                            int64_t min_side, int64_t max_boxes) {
  STD_TORCH_CHECK(image.dim() == 3 && image.size(2) == 3 &&
                      image.scalar_type() == torch::headeronly::ScalarType::Byte,
                  "selective_search: image must be (H, W, 3) uint8");
  const int64_t height = image.size(0), width = image.size(1);
  STD_TORCH_CHECK(height >= 1 && width >= 1, "selective_search: image is empty");
  STD_TORCH_CHECK(height <= kLongestSide && width <= kLongestSide && height * width <= kMostPixels,
                  "selective_search: image is too large");
  const Tensor pixels = torch::stable::contiguous(image);
  const std::vector<selective_search::Box> boxes = selective_search::search(
      static_cast<const uint8_t*>(pixels.const_data_ptr()), static_cast<int>(height),
      static_cast<int>(width),
      settings(colour_spaces, thresholds, similarities, connectivity, base_threshold, min_region,
               min_side, max_boxes));
  Tensor result = torch::stable::new_empty(image, {static_cast<int64_t>(boxes.size()), 4},
                                           torch::headeronly::ScalarType::Int);
  auto* out = static_cast<int32_t*>(result.mutable_data_ptr());
  for (const selective_search::Box& box : boxes) {
    *out++ = box.x1, *out++ = box.y1, *out++ = box.x2, *out++ = box.y2;
  }
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CPU, m) {
  m.impl("selective_search", TORCH_BOX(&selective_search_cpu));
}

}  // namespace frcnn
