// What every device computes in: float32, or float64 for float64 inputs.
#pragma once
#include <type_traits>

namespace frcnn {

// Exact for maxima, which are inputs; sums of 16-bit gradients are rounded once, at their end.
template <typename Stored>
using Compute = std::conditional_t<std::is_same_v<Stored, double>, double, float>;

// A type handed to a generic lambda.
template <typename T>
struct Type {
  using type = T;
};

}  // namespace frcnn
