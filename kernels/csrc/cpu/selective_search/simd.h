// Marks a loop for compilation with and without AVX2; the machine picks when it is loaded.
//
// Marked functions use integers, or single IEEE operations on floats that round alike
// everywhere, so that the choice never changes a result.
#pragma once

#if defined(FRCNN_SIMD)  // given by who builds: the tests build without
#elif defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define FRCNN_SIMD __attribute__((target_clones("avx2", "default"), optimize("O3", "no-math-errno")))
#else
#define FRCNN_SIMD
#endif
