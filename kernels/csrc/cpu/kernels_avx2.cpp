// The kernels for x86 processors with AVX2.
#if defined(__x86_64__)
#pragma GCC target("avx2,f16c")
#include "cpu/depthwise/kernel.h"
#include "cpu/nms/kernel.h"
#include "cpu/roi_pool/kernel.h"
#define FRCNN_KERNELS(Stored) \
  template <>                 \
  RoiPoolKernels<Stored> avx2_kernels<Stored>() { return kernels_of_this_file<Stored>(); }

namespace frcnn {
FRCNN_KERNELS(float)
FRCNN_KERNELS(double)
FRCNN_KERNELS(HalfBits)
FRCNN_KERNELS(BFloat16Bits)
NmsKernel avx2_nms() { return &nms_one_class; }
DepthwiseKernel avx2_depthwise() { return &depthwise_weight_gradient; }
}  // namespace frcnn
#endif
