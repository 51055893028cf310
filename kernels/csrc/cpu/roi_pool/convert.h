// Conversion between vectors of float32 and the 16-bit types, for files compiled for one
// instruction set. The results are the same with every set, also for NaN: the processor's own
// conversion to bfloat16 (AVX-512 BF16) is not used, because it treats small numbers as 0.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "cpu/roi_pool/job.h"

namespace frcnn {
namespace {

// As many 16-bit numbers as a vector has float32 lanes.
typedef uint16_t Bits16 __attribute__((vector_size(kVectorBytes / 2)));
typedef int16_t Int16 __attribute__((vector_size(kVectorBytes / 2)));
using Bits32 = Vector<uint32_t>;
using Int32 = Vector<int32_t>;

inline Vector<float> widen(BFloat16Bits, Bits16 bits) {
  return (Vector<float>)(__builtin_convertvector(bits, Bits32) << 16);
}

template <typename V, typename Isa = ThisIsa>
inline Vector<float> widen(HalfBits, V bits) {
#if defined(__x86_64__)
  if constexpr (Isa::converts_half && Isa::vector_bytes == 64) {
    return (Vector<float>)_mm512_maskz_cvtph_ps(0xffff, (__m256i)bits);
  } else if constexpr (Isa::converts_half && Isa::vector_bytes == 32) {
    return (Vector<float>)_mm256_cvtph_ps((__m128i)bits);
  }
#endif
#if defined(__aarch64__)
  return (Vector<float>)vcvt_f32_f16((float16x4_t)bits);
#endif
  Bits32 wide = __builtin_convertvector(bits, Bits32);
  Bits32 rest = (wide & 0x7fff) << 13;
  // Exponent and mantissa, moved to their place in float32, are the value times 2^-112.
  Vector<float> magnitude = (Vector<float>)rest * 0x1p112f;
  Bits32 finite = (Bits32)magnitude, special = rest | 0x7f800000;
  Bits32 unsigned_bits = (Int32)rest >= 0x7c00 << 13 ? special : finite;
  return (Vector<float>)(unsigned_bits | (wide & 0x8000) << 16);
}

// Rounds to the nearest number, ties to even.
inline Bits16 narrow(BFloat16Bits, Vector<float> value) {
  Bits32 bits = (Bits32)value;
  Bits32 rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  Bits32 nan = Bits32{} + 0x7fc0;
  return __builtin_convertvector(value == value ? rounded : nan, Bits16);
}

template <typename V, typename Isa = ThisIsa>
inline Bits16 narrow_number(V value) {
#if defined(__x86_64__)
  if constexpr (Isa::converts_half && Isa::vector_bytes == 64) {
    return (Bits16)_mm512_maskz_cvtps_ph(0xffff, (__m512)value, _MM_FROUND_TO_NEAREST_INT);
  } else if constexpr (Isa::converts_half && Isa::vector_bytes == 32) {
    return (Bits16)_mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT);
  }
#endif
#if defined(__aarch64__)
  return (Bits16)vcvt_f16_f32((float32x4_t)value);
#endif
  // Adding a number whose last bit has the value of the result's last bit rounds to the result.
  Bits32 bits = (Bits32)value;
  Bits32 magnitude = bits & 0x7fffffff;
  Bits32 exponent = magnitude & 0x7f800000;
  Bits32 smallest = Bits32{} + 0x38800000;  // 2^-14, the smallest normal float16
  exponent = (Int32)exponent < (Int32)smallest ? smallest : exponent;
  // Numbers of 2^16 and more become infinity.
  Bits32 limit = Bits32{} + 0x47800000;
  magnitude = (Int32)magnitude < (Int32)limit ? magnitude : limit;
  exponent = (Int32)exponent < (Int32)limit ? exponent : limit;
  Bits32 anchor = exponent + (13 << 23);
  Bits32 rounded = (Bits32)((Vector<float>)magnitude + (Vector<float>)anchor) - anchor;
  Bits32 half = rounded + ((exponent - smallest) >> 13);
  return __builtin_convertvector(half | (bits >> 16 & 0x8000), Bits16);
}

inline Bits16 narrow(HalfBits, Vector<float> value) {
  Bits16 bits = narrow_number(value);
  Bits16 nan = (bits & 0x8000) | 0x7e00;
  return __builtin_convertvector(value == value, Int16) != 0 ? bits : nan;
}

}  // namespace
}  // namespace frcnn
