// The kernels for x86 processors with AVX-512.
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,f16c")
#include "cpu/depthwise/kernel.h"
#include "cpu/nms/kernel.h"
#include "cpu/roi_pool/kernel.h"
#define FRCNN_KERNELS(Stored) \
  template <>                 \
  RoiPoolKernels<Stored> avx512_kernels<Stored>() { return kernels_of_this_file<Stored>(); }

namespace frcnn {
FRCNN_KERNELS(float)
FRCNN_KERNELS(double)
FRCNN_KERNELS(HalfBits)
FRCNN_KERNELS(BFloat16Bits)
NmsKernel avx512_nms() { return &nms_one_class; }
DepthwiseKernel avx512_depthwise() { return &depthwise_weight_gradient; }
}  // namespace frcnn
#endif
