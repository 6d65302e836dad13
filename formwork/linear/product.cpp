#include "formwork/linear/product.h"

#include <ATen/core/grad_mode.h>

#include "formwork/kernels/cpu/few_rows.h"

namespace formwork {
namespace {

bool is_plain(const Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous(); }

bool fits_few_rows(const Tensor& x, const Tensor& weight) {
  return !at::GradMode::is_enabled() && is_plain(x) && is_plain(weight) && x.numel() > 0 &&
         x.size(-1) == weight.size(-1) && x.numel() <= kFewRows * x.size(-1);
}

Tensor few_rows_product(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  auto y = at::empty(sizes, x.options());
  const auto added = bias.defined() ? bias.contiguous() : bias;
  few_rows_linear(x.numel() / x.size(-1), x.size(-1), weight.size(0), x.const_data_ptr<float>(),
                  weight.const_data_ptr<float>(), bias.defined() ? added.const_data_ptr<float>() : nullptr,
                  y.mutable_data_ptr<float>());
  return y;
}

}  // namespace

Tensor linear_product(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return fits_few_rows(x, weight) ? few_rows_product(x, weight, bias) : at::linear(x, weight, bias);
}

}  // namespace formwork
