// Transposition in registers, for files compiled for one instruction set.
#pragma once
#include <cstdint>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace frcnn {
namespace {

// Lanes in 16 bytes, the size of a block. Shuffles within blocks are fast on every processor.
template <typename T>
constexpr int kBlockLanes = 16 / static_cast<int>(sizeof(T));

// A vector of the blocks at from, from + distance, from + 2 * distance, ...
template <typename T, typename Isa = ThisIsa>
inline Vector<T> load_blocks(const T* from, [[maybe_unused]] int64_t distance) {
#if defined(__x86_64__)
  auto* first = reinterpret_cast<const __m128i*>(from);
  auto* second = reinterpret_cast<const __m128i*>(from + distance);
  if constexpr (Isa::vector_bytes == 64) {
    auto* third = reinterpret_cast<const __m128i*>(from + 2 * distance);
    auto* fourth = reinterpret_cast<const __m128i*>(from + 3 * distance);
    __m512i blocks = _mm512_zextsi128_si512(_mm_loadu_si128(first));
    blocks = _mm512_inserti32x4(blocks, _mm_loadu_si128(second), 1);
    blocks = _mm512_inserti32x4(blocks, _mm_loadu_si128(third), 2);
    blocks = _mm512_inserti32x4(blocks, _mm_loadu_si128(fourth), 3);
    return (Vector<T>)blocks;
  } else if constexpr (Isa::vector_bytes == 32) {
    __m256i blocks = _mm256_castsi128_si256(_mm_loadu_si128(first));
    return (Vector<T>)_mm256_inserti128_si256(blocks, _mm_loadu_si128(second), 1);
  }
#endif
  return load(from);
}

// In each block: a0 b0 a1 b1 ..., from the lower halves of the blocks or from the upper ones.
template <typename T, int upper, int... lane>
inline Vector<T> interleave(Vector<T> a, Vector<T> b, std::integer_sequence<int, lane...>) {
  constexpr int n = kBlockLanes<T>, lanes = kLanes<T>;
  return pick<(lane / n * n + (lane % n + upper * n) / 2 + (lane % 2) * lanes)...>(a, b);
}

// Reads kLanes rows of one block each, at `distance` from each other, and passes the columns to
// put(column, Vector<T>), in order.
template <typename T, typename Put>
inline void transpose(const T* from, int64_t distance, Put put) {
  constexpr int n = kBlockLanes<T>;
  using Lanes = std::make_integer_sequence<int, kLanes<T>>;
  // Block k of rows[r] comes from row k * n + r, so transposing each block gives whole columns.
  Vector<T> rows[n], mixed[n];
#pragma GCC unroll 8
  for (int r = 0; r < n; ++r) rows[r] = load_blocks(from + r * distance, n * distance);
#pragma GCC unroll 3
  for (int step = 1; step < n; step *= 2) {
#pragma GCC unroll 8
    for (int r = 0; r < n; ++r) mixed[r] = rows[r];
#pragma GCC unroll 4
    for (int r = 0; r < n / 2; ++r) {
      rows[2 * r] = interleave<T, 0>(mixed[r], mixed[r + n / 2], Lanes{});
      rows[2 * r + 1] = interleave<T, 1>(mixed[r], mixed[r + n / 2], Lanes{});
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < n; ++r) put(r, rows[r]);
}

}  // namespace
}  // namespace frcnn
