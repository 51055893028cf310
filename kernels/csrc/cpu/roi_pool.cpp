// RoI pooling on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cfloat>
#include <tuple>
#include <vector>

#include "dispatch.h"
#include "roi_window.h"

namespace frcnn {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename T, typename R>
void forward(const Tensor& features, const Tensor& rois, double scale, Tensor& out, int32_t* argmax) {
  const T* map = features.const_data_ptr<T>();
  const R* roi = rois.const_data_ptr<R>();
  T* result = out.mutable_data_ptr<T>();
  int64_t channels = features.size(1), height = features.size(2), width = features.size(3);
  int64_t ph = out.size(2), pw = out.size(3);
  torch::stable::parallel_for(0, rois.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      R batch = roi[r * 5];
      for (int k = 0; k < 5; ++k) STD_TORCH_CHECK(std::isfinite(roi[r * 5 + k]), "RoI not finite");
      STD_TORCH_CHECK(batch >= 0 && batch < features.size(0), "RoI batch index out of range");
      Axis x = project<R>(roi[r * 5 + 1], roi[r * 5 + 3], scale);
      Axis y = project<R>(roi[r * 5 + 2], roi[r * 5 + 4], scale);
      for (int64_t c = 0; c < channels; ++c) {
        const T* plane = map + (static_cast<int64_t>(batch) * channels + c) * height * width;
        for (int64_t i = 0; i < ph; ++i)
          for (int64_t j = 0; j < pw; ++j) {
            Span rows = sub_window<R>(y, i, ph, height), columns = sub_window<R>(x, j, pw, width);
            T best = rows.empty() || columns.empty() ? T(0) : T(-FLT_MAX);
            int32_t where = -1;
            for (int64_t h = rows.begin; h < rows.end; ++h)
              for (int64_t w = columns.begin; w < columns.end; ++w)
                if (plane[h * width + w] > best) {
                  best = plane[h * width + w];
                  where = h * width + w;
                }
            int64_t at = ((r * channels + c) * ph + i) * pw + j;
            result[at] = best;
            if (argmax) argmax[at] = where;
          }
      }
    }
  });
}

void run(const Tensor& features, const Tensor& rois, double scale, Tensor& out, int32_t* argmax) {
  Tensor map = torch::stable::contiguous(features), table = torch::stable::contiguous(rois);
  with_floating_type(features.scalar_type(), "features", [&](auto tag) {
    using scalar_t = typename decltype(tag)::type;
    if (table.scalar_type() == ScalarType::Double)
      forward<scalar_t, double>(map, table, scale, out, argmax);
    else
      forward<scalar_t, float>(map, table, scale, out, argmax);
  });
}

Tensor new_output(const Tensor& features, const Tensor& rois, int64_t ph, int64_t pw) {
  return torch::stable::new_empty(features, {rois.size(0), features.size(1), ph, pw});
}

std::tuple<Tensor, Tensor> roi_pool(
    const Tensor& features, const Tensor& rois, int64_t ph, int64_t pw, double scale) {
  Tensor out = new_output(features, rois, ph, pw);
  Tensor argmax = torch::stable::new_empty(out, out.sizes(), ScalarType::Int);
  run(features, rois, scale, out, argmax.mutable_data_ptr<int32_t>());
  return {out, argmax};
}

Tensor roi_pool_infer(
    const Tensor& features, const Tensor& rois, int64_t ph, int64_t pw, double scale) {
  Tensor out = new_output(features, rois, ph, pw);
  run(features, rois, scale, out, nullptr);
  return out;
}

void roi_pool_out(const Tensor& features, const Tensor& rois, double scale, Tensor out) {
  run(features, rois, scale, out, nullptr);
}

Tensor roi_pool_backward(
    const Tensor& grad_output, const Tensor& rois, const Tensor& argmax, int64_t batch,
    int64_t channels, int64_t height, int64_t width, bool) {
  Tensor gradient = torch::stable::contiguous(grad_output), table = torch::stable::contiguous(rois);
  Tensor result = torch::stable::new_zeros(gradient, {batch, channels, height, width});
  Tensor where = torch::stable::contiguous(argmax);
  const int32_t* index = where.const_data_ptr<int32_t>();
  int64_t bins = gradient.size(2) * gradient.size(3), cells = height * width;
  with_floating_type(gradient.scalar_type(), "grad_output", [&](auto tag) {
        using scalar_t = typename decltype(tag)::type;
        using sum_t = std::conditional_t<std::is_same_v<scalar_t, double>, double, float>;
        const scalar_t* grad = gradient.const_data_ptr<scalar_t>();
        torch::stable::parallel_for(0, channels, 1, [&](int64_t begin, int64_t end) {
          std::vector<sum_t> sums(cells);
          for (int64_t n = 0; n < batch; ++n)
            for (int64_t c = begin; c < end; ++c) {
              std::fill(sums.begin(), sums.end(), sum_t(0));
              for (int64_t r = 0; r < table.size(0); ++r) {
                double b = table.scalar_type() == ScalarType::Double
                               ? table.const_data_ptr<double>()[r * 5]
                               : table.const_data_ptr<float>()[r * 5];
                if (static_cast<int64_t>(b) != n) continue;
                for (int64_t k = 0; k < bins; ++k) {
                  int64_t at = (r * channels + c) * bins + k;
                  if (index[at] >= 0) sums[index[at]] += grad[at];
                }
              }
              scalar_t* plane = result.mutable_data_ptr<scalar_t>() + (n * channels + c) * cells;
              for (int64_t k = 0; k < cells; ++k) plane[k] = static_cast<scalar_t>(sums[k]);
            }
        });
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(frcnn, CPU, m) {
  m.impl("roi_pool", TORCH_BOX(&roi_pool));
  m.impl("roi_pool_infer", TORCH_BOX(&roi_pool_infer));
  m.impl("roi_pool_out", TORCH_BOX(&roi_pool_out));
  m.impl("roi_pool_backward", TORCH_BOX(&roi_pool_backward));
}

}  // namespace frcnn
