// Vectors as wide as the registers of ThisIsa, written with GCC's and Clang's vector extensions:
// the same kernel source becomes SSE2, NEON, AVX2 or AVX-512 code.
//
// Only files included by kernels_*.cpp, which define ThisIsa, include this one. All functions have
// internal linkage, so the linker cannot mix up the copies of two instruction sets.
#pragma once
#include <cstdint>
#include <cstring>

namespace frcnn {
namespace {

constexpr int kVectorBytes = ThisIsa::vector_bytes;

template <typename T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
};
template <typename T>
using Vector = typename VectorOf<T>::type;

template <typename T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

// The integer type of the lanes that a comparison of T returns.
template <typename T>
struct LaneIndex {
  using type = int32_t;
};
template <>
struct LaneIndex<double> {
  using type = int64_t;
};
template <>
struct LaneIndex<int16_t> {
  using type = int16_t;
};

template <typename T>
inline Vector<T> load(const T* from) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(from);
}

template <typename T>
inline void store(T* to, Vector<T> value) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(to) = value;
}

template <typename T>
inline Vector<T> broadcast(T value) {
  return value - Vector<T>{};  // unlike value + 0, value - 0 keeps the sign of a zero
}

// Loads the first `count` lanes; the others are 0.
template <typename T>
inline Vector<T> load_some(const T* from, int64_t count) {
  if (count == kLanes<T>) return load(from);
  T lanes[kLanes<T>] = {};
  for (int64_t lane = 0; lane < count; ++lane) lanes[lane] = from[lane];
  return load<T>(lanes);
}

template <typename V>
inline V larger(V a, V b) {
  return a < b ? b : a;
}

template <typename V>
inline V smaller(V a, V b) {
  return b < a ? b : a;
}

// Whether a comparison is true in any lane.
inline bool any(Vector<int32_t> mask) {
  Vector<int64_t> wide;
  std::memcpy(&wide, &mask, sizeof wide);
  int64_t found = 0;
#pragma GCC unroll 8
  for (int lane = 0; lane < kLanes<int64_t>; ++lane) found |= wide[lane];
  return found != 0;
}

// Lanes of a, numbered from 0, and of b, numbered from kLanes, in the given order.
template <int... from, typename V>
inline V pick(V a, V b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, from...);
#else  // GCC 11 has no __builtin_shufflevector, and Clang has no __builtin_shuffle
  return __builtin_shuffle(a, b, decltype(a < b){from...});
#endif
}

}  // namespace
}  // namespace frcnn
