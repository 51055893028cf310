// From a tensor's run-time type to a compile-time one.
#pragma once
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include "checks.h"
#include "compute_type.h"

namespace frcnn {

// Calls `body(Type<T>{})`; what stands for the 16-bit types is the caller's choice.
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

// Calls `body` with a pointer to the RoIs' float or double numbers.
template <typename Body>
void with_corners(const torch::stable::Tensor& rois, Body&& body) {
  if (rois.scalar_type() == torch::headeronly::ScalarType::Double) {
    body(rois.const_data_ptr<double>());
  } else {
    body(rois.const_data_ptr<float>());
  }
}

}  // namespace frcnn
