#include "cpu/common/isa.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace frcnn {
namespace {

#if defined(__x86_64__)
// Not every Clang accepts "f16c" in __builtin_cpu_supports.
bool has_f16c() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

Isa best_of_processor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool half = has_f16c();
  if (half && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return Isa::avx512;
  }
  if (half && __builtin_cpu_supports("avx2")) return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa most_allowed() {
  const char* value = std::getenv("FRCNN_ISA");
  const std::string name = value == nullptr ? "" : value;
  if (name.empty() || name == Avx512::name) return Isa::avx512;
  if (name == Avx2::name) return Isa::avx2;
  if (name == Baseline::name) return Isa::baseline;
  throw std::runtime_error("FRCNN_ISA is '" + name + "': it must be avx512, avx2 or baseline");
}

}  // namespace

Isa isa() {
  static const Isa chosen = std::min(best_of_processor(), most_allowed());
  return chosen;
}

}  // namespace frcnn

// Called by frcnn_kernels.instruction_set(). Returns null if the value of FRCNN_ISA is not valid.
extern "C" __attribute__((visibility("default"))) const char* frcnn_instruction_set() noexcept {
  try {
    return frcnn::with_isa([](auto isa) { return isa.name; });
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}
