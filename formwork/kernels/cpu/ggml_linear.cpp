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
              const float* bias, float* y) {
  // About 64 KiB of weights, in whole tiles of 4 outputs.
  const std::int64_t chunk = 4 * std::max<std::int64_t>(1, 16384 / (w.row_bytes() + 1));
  const std::int64_t groups = ggml_groups(w.inputs);
  const auto inputs = ggml_inputs(x, rows, stride, w.inputs, offset_of(w.type));
  parallel_tasks((w.outputs + chunk - 1) / chunk, [&](std::int64_t i) {
    for (std::int64_t n = 0; n < rows; n += kRowsAtOnce)
      kernel(
          {w, std::min(kRowsAtOnce, rows - n), groups, inputs.data() + n * groups, bias, y + n * w.outputs},
          i * chunk, std::min(w.outputs, (i + 1) * chunk));
  });
}

}  // namespace

void ggml_linear_by(GgmlWay way, const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
                    const float* bias, float* y) {
  if (ggml_layout(w.type).values == 1) return ggml_half_linear(x, rows, stride, w, bias, y);
  const auto kernel = way == GgmlWay::vnni ? ggml_vnni_kernel(w.type) : ggml_portable_kernel();
  if (!kernel) fail("{}: this processor or format has no VNNI kernel", ggml_layout(w.type).name);
  multiply(kernel, x, rows, stride, w, bias, y);
}

void ggml_linear(const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
                 const float* bias, float* y) {
  ggml_linear_by(ggml_vnni_kernel(w.type) ? GgmlWay::vnni : GgmlWay::portable, x, rows, stride, w, bias, y);
}

}  // namespace formwork
