// All operators' kernels for any processor of this architecture.
#include "cpu/common/isa.h"

namespace frcnn {
namespace {
using ThisIsa = Baseline;
}
}  // namespace frcnn

#include "cpu/depthwise/kernel.h"
#include "cpu/nms/kernel.h"
#include "cpu/roi_pool/kernel.h"
#include "cpu/selective_search/kernel.h"
