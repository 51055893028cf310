// Choose a compile-time type by a tensor's run-time type.
#pragma once
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>

#include "checks.h"
#include "compute_type.h"

namespace frcnn {

// Calls `body(Type<T>{})`. The caller chooses the types that represent the 16-bit types.
template <typename Half, typename BFloat16, typename Body>
void with_floating_type(torch::headeronly::ScalarType type, Body&& body) {
  using torch::headeronly::ScalarType;
  switch (type) {
    case ScalarType::Float:
      return body(Type<float>{});
    case ScalarType::Double:
      return body(Type<double>{});
    case ScalarType::Half:
      return body(Type<Half>{});
    case ScalarType::BFloat16:
      return body(Type<BFloat16>{});
    default:
      require(false, "roi_pool: features must be float32, float64, bfloat16 or float16");
  }
}

// The type of an argmax: 16 bits if they can number all cells of a map, else 32. The backward reads
// one argmax per addition, so 16 bits save a quarter of what it reads.
inline torch::headeronly::ScalarType cell_type(int64_t height, int64_t width) {
  using torch::headeronly::ScalarType;
  return height * width <= int64_t{1} << 15 ? ScalarType::Short : ScalarType::Int;
}

template <typename Body>
void with_cell_type(torch::headeronly::ScalarType type, Body&& body) {
  using torch::headeronly::ScalarType;
  require(
      type == ScalarType::Short || type == ScalarType::Int,
      "roi_pool: the argmax must be int16 or int32");
  type == ScalarType::Short ? body(Type<int16_t>{}) : body(Type<int32_t>{});
}

// Calls `body` with a float or double pointer to the RoIs.
template <typename Body>
void with_corners(const torch::stable::Tensor& rois, Body&& body) {
  if (rois.scalar_type() == torch::headeronly::ScalarType::Double) {
    body(rois.const_data_ptr<double>());
  } else {
    body(rois.const_data_ptr<float>());
  }
}

}  // namespace frcnn
