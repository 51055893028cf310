// Fresh memory for large outputs.
#pragma once
#include <torch/csrc/stable/tensor.h>

namespace frcnn {

// Asks the system for huge pages where a tensor of 4 MB or more has not been touched yet: the first
// touch of 200 MB then costs 100 page faults rather than 50,000. A wish, never an error.
void prefer_huge_pages(torch::stable::Tensor& fresh);

}  // namespace frcnn
