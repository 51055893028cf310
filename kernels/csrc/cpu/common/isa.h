// Which instruction set the kernels run with, chosen at run time.
#pragma once

namespace frcnn {

enum class Isa { baseline, avx2, avx512 };

// The best this processor has, or a lesser one named by the environment variable FRCNN_ISA
// (baseline, avx2 or avx512), with which tests reach every copy of the kernels on one machine.
Isa isa();

}  // namespace frcnn
