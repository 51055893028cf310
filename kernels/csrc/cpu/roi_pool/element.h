// Conversion between float32 and the 16-bit types, for files compiled for one instruction set.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "cpu/roi_pool/job.h"

namespace frcnn {
namespace {

inline float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float widen(float value) { return value; }
inline double widen(double value) { return value; }
inline float widen(BFloat16Bits value) {
  return bits_to_float(static_cast<uint32_t>(value.bits) << 16);
}

template <typename Isa = ThisIsa>
inline float widen(HalfBits value) {
#if defined(__x86_64__)
  if constexpr (Isa::converts_half) return _cvtsh_ss(value.bits);
#endif
  uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000) << 16;
  uint32_t rest = value.bits & 0x7fff;
  if (rest >= 0x7c00) return bits_to_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  // Exponent and mantissa, moved to their place in float32, are the value times 2^-112.
  float magnitude = bits_to_float(rest << 13) * 0x1p112f;
  return bits_to_float(sign | float_to_bits(magnitude));
}

inline void narrow(float value, float& to) { to = value; }
inline void narrow(double value, double& to) { to = value; }

// Maxima are inputs, which are exact in 16 bits, or -FLT_MAX for a window of NaNs, which overflows.
inline void narrow(float value, BFloat16Bits& to) {
  uint32_t bits = float_to_bits(value);
  to.bits = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename Isa = ThisIsa>
inline void narrow(float value, HalfBits& to) {
#if defined(__x86_64__)
  if constexpr (Isa::converts_half) {
    to.bits = static_cast<uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
    return;
  }
#endif
  uint32_t bits = float_to_bits(value);
  auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  float magnitude = bits_to_float(bits & 0x7fffffff);
  uint32_t rest = magnitude >= 65520.f ? 0x7c00 : float_to_bits(magnitude * 0x1p-112f) >> 13;
  to.bits = static_cast<uint16_t>(sign | rest);
}

}  // namespace
}  // namespace frcnn
