// The type of an argmax: 16 bits where they can number a map's cells, else 32. The backward reads
// one for each addition, so this is a quarter of its reading.
#pragma once
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>

#include "checks.h"
#include "compute_type.h"

namespace frcnn {

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

}  // namespace frcnn
