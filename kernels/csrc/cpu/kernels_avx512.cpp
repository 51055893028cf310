// All operators' kernels for x86 processors with AVX-512.
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,f16c")
#include "cpu/common/isa.h"

namespace frcnn {
namespace {
using ThisIsa = Avx512;
}
}  // namespace frcnn

#include "cpu/depthwise/kernel.h"
#include "cpu/nms/kernel.h"
#include "cpu/roi_pool/kernel.h"
#include "cpu/selective_search/kernel.h"
#endif
