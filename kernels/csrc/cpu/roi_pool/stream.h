// Copies to an output that is too large for the caches. Whole cache lines are written past the
// caches, which avoids reading each line before it is overwritten.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace frcnn {
namespace {

constexpr int64_t kLineBytes = 64;

template <typename Isa = ThisIsa>
inline void stream_line(char* to, const char* from) {
#if defined(__x86_64__)
  if constexpr (Isa::vector_bytes == 64) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
  } else if constexpr (Isa::vector_bytes == 32) {
    for (int at = 0; at < kLineBytes; at += 32) {
      auto half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at));
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at), half);
    }
  } else {
    for (int at = 0; at < kLineBytes; at += 16) {
      auto quarter = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + at), quarter);
    }
  }
#else
  std::memcpy(to, from, kLineBytes);
#endif
}

inline void copy_out(void* to, const void* from, int64_t bytes, bool stream) {
  auto* target = static_cast<char*>(to);
  auto* source = static_cast<const char*>(from);
  if (stream) {
    int64_t past_line = static_cast<int64_t>(reinterpret_cast<uintptr_t>(target) % kLineBytes);
    int64_t head = past_line == 0 ? 0 : kLineBytes - past_line;
    if (head > bytes) head = bytes;
    std::memcpy(target, source, head);
    for (; head + kLineBytes <= bytes; head += kLineBytes) stream_line(target + head, source + head);
    target += head, source += head, bytes -= head;
  }
  std::memcpy(target, source, bytes);
}

// Makes streamed lines visible to other threads. Call it before the output is reported as complete.
inline void finish_stream() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace frcnn
