// From a run-time scalar type to a compile-time one.
#pragma once
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Exception.h>
#include <torch/headeronly/util/Half.h>

#include "compute_type.h"

namespace frcnn {

// Calls `body(Type<T>{})` with the C++ type of a floating-point tensor.
template <typename Body>
void with_floating_type(torch::headeronly::ScalarType type, const char* what, Body&& body) {
  using torch::headeronly::ScalarType;
  switch (type) {
    case ScalarType::Float:
      return body(Type<float>{});
    case ScalarType::Double:
      return body(Type<double>{});
    case ScalarType::Half:
      return body(Type<torch::headeronly::Half>{});
    case ScalarType::BFloat16:
      return body(Type<torch::headeronly::BFloat16>{});
    default:
      STD_TORCH_CHECK(false, what, " must be float32, float64, bfloat16 or float16");
  }
}

}  // namespace frcnn
