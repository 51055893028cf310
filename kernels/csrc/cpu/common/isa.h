// The instruction set of the kernels, chosen once per process for all operators.
#pragma once

namespace frcnn {

// Tags of the instruction sets. Each operator declares `..._kernel(Tag)` for all tags; the file
// kernels_<name>.cpp defines the kernels of one set. Kernels read the tag instead of macros like
// __AVX2__, which do not follow `#pragma GCC target` in every compiler (such as g++ 12).
struct Baseline {
  static constexpr const char* name = "baseline";
  static constexpr int vector_bytes = 16;
  static constexpr bool converts_half = false;
};
struct Avx2 {
  static constexpr const char* name = "avx2";
  static constexpr int vector_bytes = 32;
  static constexpr bool converts_half = true;
};
struct Avx512 {
  static constexpr const char* name = "avx512";
  static constexpr int vector_bytes = 64;
  static constexpr bool converts_half = true;
};

enum class Isa { baseline, avx2, avx512 };

// The best instruction set that both the processor and the environment variable FRCNN_ISA
// (baseline, avx2 or avx512) allow. Throws std::runtime_error if FRCNN_ISA has another value.
Isa isa();

// Calls `body` with the tag of the chosen instruction set.
template <typename Body>
auto with_isa(Body&& body) {
  [[maybe_unused]] const Isa chosen = isa();
#if defined(__x86_64__)
  if (chosen == Isa::avx512) return body(Avx512{});
  if (chosen == Isa::avx2) return body(Avx2{});
#endif
  return body(Baseline{});
}

}  // namespace frcnn
