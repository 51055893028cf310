// The kernels for any machine of this architecture.
#include "cpu/depthwise/kernel.h"
#include "cpu/nms/kernel.h"
#include "cpu/roi_pool/kernel.h"
#define FRCNN_KERNELS(Stored) \
  template <>                 \
  RoiPoolKernels<Stored> baseline_kernels<Stored>() { return kernels_of_this_file<Stored>(); }

namespace frcnn {
FRCNN_KERNELS(float)
FRCNN_KERNELS(double)
FRCNN_KERNELS(HalfBits)
FRCNN_KERNELS(BFloat16Bits)
NmsKernel baseline_nms() { return &nms_one_class; }
DepthwiseKernel baseline_depthwise() { return &depthwise_weight_gradient; }
}  // namespace frcnn
