// All operators' kernels for x86 processors with AVX2.
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,f16c")
#endif
#include "cpu/common/isa.h"

namespace frcnn {
namespace {
using ThisIsa = Avx2;
}
}  // namespace frcnn

#include "cpu/depthwise/kernel.h"
#include "cpu/nms/kernel.h"
#include "cpu/roi_pool/kernel.h"
#include "cpu/selective_search/kernel.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
