#include "cpu/common/isa.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace frcnn {
namespace {

constexpr std::string_view kNames[] = {"baseline", "avx2", "avx512"};  // in the order of Isa

Isa best_of_processor() {
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

Isa most_allowed() {
  const char* value = std::getenv("FRCNN_ISA");
  if (value == nullptr || *value == '\0') return Isa::avx512;
  const auto* name = std::find(std::begin(kNames), std::end(kNames), value);
  if (name == std::end(kNames)) {
    throw std::runtime_error(
        "FRCNN_ISA is '" + std::string(value) + "': it must be avx512, avx2 or baseline");
  }
  return static_cast<Isa>(name - kNames);
}

}  // namespace

Isa isa() {
  static const Isa chosen = std::min(best_of_processor(), most_allowed());
  return chosen;
}

}  // namespace frcnn

// Read by frcnn_kernels.instruction_set(). Null if FRCNN_ISA has no valid value.
extern "C" __attribute__((visibility("default"))) const char* frcnn_instruction_set() noexcept {
  try {
    return frcnn::kNames[static_cast<int>(frcnn::isa())].data();
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}
