#include "cpu/common/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace frcnn {
namespace {

Isa best_here() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool half = __builtin_cpu_supports("f16c");
  if (half && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return Isa::avx512;
  }
  if (half && __builtin_cpu_supports("avx2")) return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa wanted() {
  const char* name = std::getenv("FRCNN_ISA");
  if (name != nullptr && std::string(name) == "baseline") return Isa::baseline;
  if (name != nullptr && std::string(name) == "avx2") return Isa::avx2;
  return Isa::avx512;
}

}  // namespace

Isa isa() {
  static const Isa chosen = std::min(best_here(), wanted());
  return chosen;
}

}  // namespace frcnn
