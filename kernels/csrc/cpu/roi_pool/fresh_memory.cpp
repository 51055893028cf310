#include "cpu/roi_pool/fresh_memory.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace frcnn {

void prefer_huge_pages([[maybe_unused]] torch::stable::Tensor& fresh) {
#if defined(__linux__)
  constexpr uintptr_t kHugePage = 2 << 20;
  constexpr int64_t kWorthwhile = 4 << 20;
  auto bytes = fresh.numel() * static_cast<int64_t>(fresh.element_size());
  if (bytes < kWorthwhile) return;
  auto data = reinterpret_cast<uintptr_t>(fresh.mutable_data_ptr());
  auto begin = (data + kHugePage - 1) / kHugePage * kHugePage;
  auto end = (data + bytes) / kHugePage * kHugePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace frcnn
