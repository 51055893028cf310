// Greedy non-maximum suppression on the GPU: one block per class, without a matrix of overlaps.
//
// Boxes are sorted by label and then by decreasing score. A block looks for the first boxes of
// classes among 64 boxes at a time. It processes each class in tiles of 64 boxes: it decides which
// boxes of the tile are kept, then removes the later boxes they suppress.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <array>
#include <cmath>
#include <optional>
#include <tuple>

#include "checks.h"
#include "cuda/launch.h"

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using torch::stable::detail::from;
using torch::stable::detail::to;

constexpr int kTile = 64;
constexpr int kNmsThreads = 1024;  // 32 warps; each handles two boxes of a tile
constexpr int64_t kPart = 1024, kLargestClass = 4096;  // boxes that one block decides on

// The same operations in the same order as on the CPU and in torchvision.
__device__ bool overlap(float4 a, float4 b, float threshold) {
  float width = fmaxf(0, fminf(a.z, b.z) - fmaxf(a.x, b.x));
  float height = fmaxf(0, fminf(a.w, b.w) - fmaxf(a.y, b.y));
  float shared = width * height;
  float area_a = (a.z - a.x) * (a.w - a.y), area_b = (b.z - b.x) * (b.w - b.y);
  return shared / (area_a + area_b - shared) > threshold;
}

// One past the last box of the label whose first box is `first`.
__device__ int64_t end_of_class(const int64_t* labels, int64_t first, int64_t count) {
  if (labels == nullptr) return count;
  int64_t low = first, high = count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    labels[middle] <= labels[first] ? low = middle + 1 : high = middle;
  }
  return low;
}

// kept[i] starts as 1 for every box; `boxes` are one class. The threads of a block call it together.
__device__ void suppress_class(
    const float4* boxes, int64_t count, float threshold, uint8_t* kept) {
  __shared__ float4 tile[kTile];
  __shared__ uint64_t suppressed_by[kTile];  // bit j of row i: box i removes the later box j
  __shared__ uint64_t alive;
  int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (int64_t start = 0; start < count; start += kTile) {
    int here = static_cast<int>(min(count - start, static_cast<int64_t>(kTile)));
    if (threadIdx.x < here) tile[threadIdx.x] = boxes[start + threadIdx.x];
    __syncthreads();
    for (int row = warp; row < here; row += kNmsThreads / kWarp) {
      int near = lane, far = lane + kWarp;
      bool hits_near = near > row && near < here && overlap(tile[row], tile[near], threshold);
      bool hits_far = far > row && far < here && overlap(tile[row], tile[far], threshold);
      uint64_t low = __ballot_sync(0xffffffff, hits_near);
      uint64_t high = __ballot_sync(0xffffffff, hits_far);
      if (lane == 0) suppressed_by[row] = low | high << kWarp;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      uint64_t left = 0;
      for (int i = 0; i < here; ++i) left |= static_cast<uint64_t>(kept[start + i]) << i;
      for (int i = 0; i < here; ++i) {
        if (left >> i & 1) left &= ~suppressed_by[i];
      }
      alive = left;
    }
    __syncthreads();
    if (threadIdx.x < here) kept[start + threadIdx.x] = alive >> threadIdx.x & 1;
    for (int64_t j = start + kTile + threadIdx.x; j < count; j += blockDim.x) {
      if (kept[j] == 0) continue;
      float4 box = boxes[j];
      for (int i = 0; i < here; ++i) {
        if ((alive >> i & 1) && overlap(tile[i], box, threshold)) {
          kept[j] = 0;
          break;
        }
      }
    }
    __syncthreads();
  }
}

// `boxes` and `labels` are in the sorted order.
__global__ void suppress(
    const float4* boxes, const int64_t* labels, int64_t count, float threshold, uint8_t* kept) {
  __shared__ unsigned first_boxes[kTile / kWarp];  // bits, one per box
  int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  int64_t end_of_search = labels == nullptr ? 1 : count;
  int64_t step = gridDim.x * int64_t{kTile};
  for (int64_t at = blockIdx.x * int64_t{kTile}; at < end_of_search; at += step) {
    if (warp < kTile / kWarp) {
      int64_t i = at + threadIdx.x;
      bool is_first = i < end_of_search && (i == 0 || labels[i] != labels[i - 1]);
      unsigned bits = __ballot_sync(0xffffffff, is_first);
      if (lane == 0) first_boxes[warp] = bits;
    }
    __syncthreads();
    uint64_t left = first_boxes[0] | static_cast<uint64_t>(first_boxes[1]) << kWarp;
    __syncthreads();
    for (; left != 0; left &= left - 1) {
      int64_t first = at + __ffsll(left) - 1;
      int64_t end = end_of_class(labels, first, count);
      suppress_class(boxes + first, end - first, threshold, kept + first);
    }
  }
}

// The kept boxes among the first `decided` suppress the boxes after them: one thread per box.
__global__ void suppress_later(
    const float4* boxes, int64_t decided, int64_t count, float threshold, uint8_t* kept) {
  __shared__ float4 earlier[kThreads];
  __shared__ uint8_t alive[kThreads];
  for (int64_t at = decided + blockIdx.x * int64_t{kThreads}; at < count;
       at += gridDim.x * int64_t{kThreads}) {
    int64_t item = at + threadIdx.x;
    bool stays = item < count && kept[item];
    float4 box = stays ? boxes[item] : float4{};
    for (int64_t start = 0; start < decided; start += kThreads) {
      int here = static_cast<int>(min(decided - start, static_cast<int64_t>(kThreads)));
      if (threadIdx.x < here) {
        earlier[threadIdx.x] = boxes[start + threadIdx.x];
        alive[threadIdx.x] = kept[start + threadIdx.x];
      }
      __syncthreads();
      for (int i = 0; stays && i < here; ++i) {
        if (alive[i]) stays = !overlap(earlier[i], box, threshold);
      }
      __syncthreads();
    }
    if (item < count && !stays) kept[item] = 0;
  }
}

// Suppression without labels above kLargestClass boxes: one block decides which of the next kPart
// boxes are kept, then all multiprocessors compare the later boxes with these.
void suppress_in_parts(
    const float4* boxes, int64_t count, float threshold, uint8_t* kept, cudaStream_t stream) {
  int64_t part = count > kLargestClass ? kPart : count;
  for (int64_t left = count; left > 0; left -= part, boxes += part, kept += part) {
    suppress<<<1, kNmsThreads, 0, stream>>>(boxes, nullptr, min(part, left), threshold, kept);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    if (left <= part) break;
    suppress_later<<<blocks_for(left - part, kThreads), kThreads, 0, stream>>>(
        boxes, part, left, threshold, kept);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }
}

// The largest float that is not above the threshold: exactly the same floats are above either. GPUs
// compare numbers of 64 bits slowly.
float as_float(double threshold) {
  float nearest = static_cast<float>(threshold);
  return nearest > threshold ? std::nextafter(nearest, -1.0f) : nearest;
}

// Indices that sort `values` stably.
Tensor stable_order(const Tensor& values, bool descending) {
  std::array<StableIValue, 4> stack{
      from(values), from(std::optional<bool>(true)), from(int64_t{-1}), from(descending)};
  TORCH_ERROR_CODE_CHECK(
      torch_call_dispatcher("aten::sort", "stable", stack.data(), TORCH_ABI_VERSION));
  to<Tensor>(stack[0]);  // releases the sorted values
  return to<Tensor>(stack[1]);
}

Tensor take(const Tensor& values, const Tensor& places) {
  std::array<StableIValue, 3> stack{from(values), from(int64_t{0}), from(places)};
  TORCH_ERROR_CODE_CHECK(
      torch_call_dispatcher("aten::index_select", "", stack.data(), TORCH_ABI_VERSION));
  return to<Tensor>(stack[0]);
}

Tensor where_set(const Tensor& values, const Tensor& mask) {
  std::array<StableIValue, 2> stack{from(values), from(mask)};
  TORCH_ERROR_CODE_CHECK(
      torch_call_dispatcher("aten::masked_select", "", stack.data(), TORCH_ABI_VERSION));
  return to<Tensor>(stack[0]);
}

Tensor nms(
    const Tensor& boxes, const Tensor& scores, std::optional<Tensor> labels, double threshold) {
  check_nms(boxes, scores, labels, threshold);
  torch::stable::accelerator::DeviceGuard guard(boxes.get_device_index());
  int64_t count = boxes.size(0);
  if (count == 0) return torch::stable::new_empty(boxes, {0}, ScalarType::Long);
  Tensor order = stable_order(scores, true);
  Tensor sorted_labels = order;  // unused without labels
  Tensor places = order;         // for each box sorted by label: its place in the order of scores
  if (labels) {
    Tensor by_score = take(*labels, order);
    places = stable_order(by_score, false);
    sorted_labels = take(by_score, places);
  }
  Tensor sorted = take(boxes, labels ? take(order, places) : order);
  Tensor kept = torch::stable::new_empty(boxes, {count}, ScalarType::Byte);
  torch::stable::fill_(kept, 1);
  auto in_order = reinterpret_cast<const float4*>(sorted.const_data_ptr());
  auto flags = kept.mutable_data_ptr<uint8_t>();
  cudaStream_t stream = current_stream(boxes);
  if (labels) {
    suppress<<<blocks_for(count, kTile), kNmsThreads, 0, stream>>>(
        in_order, sorted_labels.const_data_ptr<int64_t>(), count, as_float(threshold), flags);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
    kept = take(kept, stable_order(places, false));  // back to the order of scores
  } else {
    suppress_in_parts(in_order, count, as_float(threshold), flags, stream);
  }
  Tensor mask = torch::stable::to(kept, ScalarType::Bool);
  return where_set(order, mask);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CUDA, m) { m.impl("nms", TORCH_BOX(&nms)); }

}  // namespace frcnn
