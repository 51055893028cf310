// Non-maximum suppression for boxes of one class, compiled for several instruction sets. Each box
// is compared with the kept boxes, one vector of them at a time, until one suppresses it.
#pragma once
#include "cpu/common/vector.h"
#include "cpu/nms/job.h"

namespace frcnn {
namespace {

using Floats = Vector<float>;

// The same operations in the same order as torchvision, so that both agree at the threshold.
inline bool suppressed(const NmsJob& job, int64_t box, int64_t kept_count) {
  const NmsBoxes& boxes = job.boxes;
  const NmsBoxes& kept = job.kept;
  Floats zero = broadcast<float>(0), threshold = broadcast<float>(job.threshold);
  Floats x1 = broadcast<float>(boxes.x1[box]), y1 = broadcast<float>(boxes.y1[box]);
  Floats x2 = broadcast<float>(boxes.x2[box]), y2 = broadcast<float>(boxes.y2[box]);
  Floats area = broadcast<float>(boxes.area[box]);
  for (int64_t k = 0; k < kept_count; k += kLanes<float>) {
    Floats width = smaller(load(kept.x2 + k), x2) - larger(load(kept.x1 + k), x1);
    Floats height = smaller(load(kept.y2 + k), y2) - larger(load(kept.y1 + k), y1);
    Floats shared = larger(zero, width) * larger(zero, height);
    if (!any(shared > zero)) continue;  // the usual case; no division is needed
    Floats overlap = shared / (load(kept.area + k) + area - shared);
    if (any(overlap > threshold)) return true;
  }
  return false;
}

void nms_one_class(const NmsJob& job) {
  const NmsBoxes& from = job.boxes;
  const NmsBoxes& to = job.kept;
  int64_t kept = 0;
  for (int64_t box = 0; box < job.count; ++box) {
    job.is_kept[box] = !suppressed(job, box, kept);
    if (!job.is_kept[box]) continue;
    to.x1[kept] = from.x1[box], to.y1[kept] = from.y1[box];
    to.x2[kept] = from.x2[box], to.y2[kept] = from.y2[box];
    to.area[kept] = from.area[box];
    ++kept;
  }
}

}  // namespace

NmsKernel nms_kernel(ThisIsa) { return &nms_one_class; }

}  // namespace frcnn
