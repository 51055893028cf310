// The instruction set that the kernels run with: chosen once per process, for all operators alike.
#pragma once

namespace frcnn {

// Tags of the kernels' copies. Each operator declares `..._kernel(Tag)` for all of them; the file
// kernels_<name>.cpp defines the copies of one instruction set. Kernels ask the tag, since macros
// like __AVX2__ do not follow `#pragma GCC target` in every compiler (GCC 12's C++ is one).
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

// The best instruction set that the processor and the environment variable FRCNN_ISA (baseline,
// avx2 or avx512) allow. Throws std::runtime_error if FRCNN_ISA has another value.
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
