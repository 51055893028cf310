// Inputs and outputs of the kernels for non-maximum suppression within one class.
#pragma once
#include <cstdint>

#include "cpu/common/isa.h"

namespace frcnn {

// One array per coordinate, so that a vector holds one coordinate of many boxes.
struct NmsBoxes {
  float *x1, *y1, *x2, *y2, *area;
};

struct NmsJob {
  NmsBoxes boxes;  // in order of decreasing score
  int64_t count;
  float threshold;  // the largest float not above the given threshold
  NmsBoxes kept;    // scratch for `count` + kNmsPadding boxes, filled with zeros
  uint8_t* is_kept;  // the result, 0 or 1
};

// A vector may read this far beyond the kept boxes. Boxes of zeros suppress nothing.
constexpr int64_t kNmsPadding = 16;

using NmsKernel = void (*)(const NmsJob&);
NmsKernel nms_kernel(Baseline);
NmsKernel nms_kernel(Avx2);
NmsKernel nms_kernel(Avx512);

}  // namespace frcnn
