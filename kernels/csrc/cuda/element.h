// Element types on the GPU: stored in 16, 32 or 64 bits, computed in float or double.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace frcnn {

__device__ inline float widen(float value) { return value; }
__device__ inline double widen(double value) { return value; }
__device__ inline float widen(__half value) { return __half2float(value); }
__device__ inline float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

__device__ inline void narrow(float value, float& to) { to = value; }
__device__ inline void narrow(double value, double& to) { to = value; }
__device__ inline void narrow(float value, __half& to) { to = __float2half(value); }
__device__ inline void narrow(float value, __nv_bfloat16& to) { to = __float2bfloat16(value); }

}  // namespace frcnn
