// The type that all devices compute in: float32, or float64 for float64 inputs.
#pragma once
#include <type_traits>

namespace frcnn {

// Maxima are inputs, so they are exact. Sums of 16-bit gradients are rounded once, at the end.
template <typename Stored>
using Compute = std::conditional_t<std::is_same_v<Stored, double>, double, float>;

// Passes a type to a generic lambda.
template <typename T>
struct Type {
  using type = T;
};

}  // namespace frcnn
