// Windows of a region of interest on the feature map, computed in the type of the RoI.
#pragma once
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define FRCNN_HOST_DEVICE __host__ __device__
#else
#define FRCNN_HOST_DEVICE
#endif

namespace frcnn {

// A half-open range of rows or columns of the feature map.
struct Span {
  int64_t begin;
  int64_t end;
  FRCNN_HOST_DEVICE bool empty() const { return end <= begin; }
};

// One axis of a RoI on the feature map: where it starts and how long it is, in cells.
struct Axis {
  int64_t start;
  int64_t length;
};

// Coordinates saturate at this value: beyond any map, and the sum of two still fits.
constexpr double kFarthestCell = 1152921504606846976.0;  // 2^60

template <typename T>
FRCNN_HOST_DEVICE inline int64_t round_to_cell(T position) {
  T far = static_cast<T>(kFarthestCell);
  T clamped = position > far ? far : (position < -far ? -far : position);
  return static_cast<int64_t>(std::round(clamped));  // half away from zero, like the paper's code
}

// Turns inclusive corners in image pixels into cells. An inverted RoI becomes one cell long.
template <typename T>
FRCNN_HOST_DEVICE inline Axis project(T low, T high, T spatial_scale) {
  int64_t start = round_to_cell(low * spatial_scale);
  int64_t length = round_to_cell(high * spatial_scale) - start + 1;
  return {start, length < 1 ? 1 : length};
}

FRCNN_HOST_DEVICE inline int64_t clip(int64_t cell, int64_t extent) {
  return cell < 0 ? 0 : (cell > extent ? extent : cell);
}

// Bin `bin` of `bins`: cells floor(bin * size) up to ceil((bin + 1) * size), clipped to the map.
// The rounding of T decides, as in Caffe and torchvision: some bins are a cell longer than exact
// ones.
template <typename T>
FRCNN_HOST_DEVICE inline Span sub_window(Axis axis, int64_t bin, int64_t bins, int64_t extent) {
  T size = static_cast<T>(axis.length) / static_cast<T>(bins);
  auto begin = static_cast<int64_t>(std::floor(static_cast<T>(bin) * size));
  auto end = static_cast<int64_t>(std::ceil(static_cast<T>(bin + 1) * size));
  return {clip(begin + axis.start, extent), clip(end + axis.start, extent)};
}

}  // namespace frcnn
