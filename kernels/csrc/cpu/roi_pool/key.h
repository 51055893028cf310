// 16-bit floating-point numbers as integers in the same order, so that maxima of float16 and
// bfloat16 need no conversion. A key has the bits of the number if it is positive; otherwise all
// bits except the sign are inverted. Only -0, whose key is -1, is not in order: it must compare
// equal to 0.
#pragma once
#include <cstdint>

namespace frcnn {
namespace {

// Number to key and back. V is int16_t, a wider type that contains its value, or a vector of one.
template <typename V>
inline V flip_key(V value) {
  return value ^ (value >> 15 & 0x7fff);
}

// `lowest` is the key of -infinity. NaN becomes -infinity: neither is ever a maximum.
template <typename V>
inline V without_nan(V key, V lowest) {
  key = key > ~lowest ? lowest : key;
  return key < lowest ? lowest : key;
}

// -0 as 0; other keys keep their order. V is a vector.
template <typename V>
inline V without_sign_of_zero(V key) {
  return key - (key < V{});
}

}  // namespace
}  // namespace frcnn
