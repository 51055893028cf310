// Huge pages for large outputs.
#pragma once
#include <torch/csrc/stable/tensor.h>

namespace frcnn {

// Asks the system for huge pages for a new tensor of 4 MB or more: the first write to 200 MB then
// causes 100 page faults instead of 50,000. The system may ignore it; this is not an error.
void prefer_huge_pages(torch::stable::Tensor& fresh);

}  // namespace frcnn
