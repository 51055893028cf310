#include "cpu/roi_pool/roi_table.h"

#include <torch/csrc/stable/ops.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "dispatch.h"
#include "roi_window.h"

namespace frcnn {
namespace {

using torch::stable::Tensor;

constexpr int64_t kRoisPerTask = 256;

[[noreturn]] void reject(int64_t roi, const std::string& why) {
  throw std::runtime_error("roi_pool: RoI " + std::to_string(roi) + " " + why);
}

template <typename R>
void group(const R* roi, int64_t count, int64_t images, RoiTable& table) {
  table.first_of_image.assign(images + 1, 0);
  for (int64_t r = 0; r < count; ++r) {
    for (int k = 0; k < 5; ++k) {
      if (!std::isfinite(roi[r * 5 + k])) reject(r, "is not finite");
    }
    R image = roi[r * 5];
    if (!(image >= 0 && image < static_cast<R>(images) && image == std::floor(image))) {
      reject(r, "has image index " + std::to_string(image) + " in a batch of " +
                    std::to_string(images));
    }
    ++table.first_of_image[static_cast<int64_t>(image) + 1];
  }
  for (int64_t n = 0; n < images; ++n) table.first_of_image[n + 1] += table.first_of_image[n];
  std::vector<int64_t> next(table.first_of_image.begin(), table.first_of_image.end() - 1);
  table.by_image.resize(count);
  for (int64_t r = 0; r < count; ++r) {
    table.by_image[next[static_cast<int64_t>(roi[r * 5])]++] = r;
  }
}

template <typename R>
int32_t* write_spans(R low, R high, R scale, int64_t bins, int64_t extent, int32_t* to) {
  Axis axis = project<R>(low, high, scale);
  for (int64_t bin = 0; bin < bins; ++bin) {
    Span span = sub_window<R>(axis, bin, bins, extent);
    *to++ = static_cast<int32_t>(span.begin);
    *to++ = static_cast<int32_t>(span.empty() ? span.begin : span.end);
  }
  return to;
}

}  // namespace

void group_by_image(const Tensor& rois, int64_t images, RoiTable& table) {
  with_corners(rois, [&](const auto* corners) { group(corners, rois.size(0), images, table); });
}

RoiTable make_roi_table(const Tensor& rois, const RoiGrid& grid) {
  RoiTable table;
  group_by_image(rois, grid.images, table);
  table.windows_per_roi = 2 * (grid.pooled_height + grid.pooled_width);
  table.windows.resize(rois.size(0) * table.windows_per_roi);
  with_corners(rois, [&](const auto* corners) {
    using R = std::remove_cv_t<std::remove_pointer_t<decltype(corners)>>;
    R scale = static_cast<R>(grid.spatial_scale);
    torch::stable::parallel_for(0, rois.size(0), kRoisPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const R* roi = corners + r * 5;
        int32_t* to = table.windows.data() + r * table.windows_per_roi;
        to = write_spans<R>(roi[2], roi[4], scale, grid.pooled_height, grid.height, to);
        write_spans<R>(roi[1], roi[3], scale, grid.pooled_width, grid.width, to);
      }
    });
  });
  return table;
}

}  // namespace frcnn
