#include <algorithm>

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/ggml_rows.h"
#include "formwork/kernels/cpu/parallel_tasks.h"

namespace formwork {
namespace {

// What the VNNI kernels add to codes of W to make them unsigned.
int offset_of(GgmlType type) { return type == GgmlType::q8_0 ? 128 : type == GgmlType::q4_0 ? 8 : 0; }

// Rows of x whose groups stay in the second cache while the weights of a task pass by.
constexpr std::int64_t kRowsAtOnce = 16;

void multiply(GgmlKernel kernel, const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
              const float* bias, float* y, GgmlInputs* inputs) {
  // About 64 KiB of weights, in whole tiles of 4 outputs.
  const std::int64_t chunk = 4 * std::max<std::int64_t>(1, 16384 / (w.row_bytes() + 1));
  const std::int64_t groups = ggml_groups(w.inputs);
  ggml_inputs(x, rows, stride, w.inputs, offset_of(w.type), inputs);
  parallel_tasks((w.outputs + chunk - 1) / chunk, [&](std::int64_t i) {
    for (std::int64_t n = 0; n < rows; n += kRowsAtOnce)
      kernel({w, std::min(kRowsAtOnce, rows - n), groups, inputs + n * groups, bias, y + n * w.outputs},
             i * chunk, std::min(w.outputs, (i + 1) * chunk));
  });
}

}  // namespace

std::int64_t ggml_work(const GgmlMatrix& w) {
  if (ggml_layout(w.type).values == 1) return 0;
  return ggml_groups(w.inputs) * static_cast<std::int64_t>(sizeof(GgmlInputs) / sizeof(float));
}

GgmlKernel ggml_kernel(GgmlWay way, GgmlType type) {
  if (way == GgmlWay::vnni) return ggml_vnni_kernel(type);
  return way == GgmlWay::avx2 ? ggml_avx2_kernel(type) : ggml_portable_kernel();
}

void ggml_linear_by(GgmlWay way, const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
                    const float* bias, float* y, float* work) {
  if (ggml_layout(w.type).values == 1) return ggml_half_linear(x, rows, stride, w, bias, y);
  const auto kernel = ggml_kernel(way, w.type);
  if (!kernel) fail("{}: this processor or format has no such kernel", ggml_layout(w.type).name);
  multiply(kernel, x, rows, stride, w, bias, y, reinterpret_cast<GgmlInputs*>(work));
}

void ggml_linear(const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
                 const float* bias, float* y, float* work) {
  auto way = GgmlWay::portable;
  for (const auto better : {GgmlWay::avx2, GgmlWay::vnni})
    if (ggml_kernel(better, w.type)) way = better;
  ggml_linear_by(way, x, rows, stride, w, bias, y, work);
}

}  // namespace formwork
