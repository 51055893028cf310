// Order of boxes by decreasing score.
#pragma once
#include <cstdint>
#include <vector>

namespace frcnn {

// Indices of `scores` from the highest to the lowest. Equal scores keep their order and NaN comes
// first, as in torch.sort(stable=True, descending=True).
std::vector<int64_t> order_by_falling_score(const float* scores, int64_t count);

}  // namespace frcnn
