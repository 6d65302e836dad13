#include "formwork/linear/dense.h"

#include <ATen/core/grad_mode.h>

#include "formwork/kernels/cpu/few_rows.h"

namespace formwork {
namespace {

bool is_plain(const Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous(); }

// Whether the kernel for a few rows takes a product: float32 on the CPU, and no gradient wanted.
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

DenseLinear::DenseLinear(Build& build, const LinearNeed& need, const Options&) : LinearMap(build, need) {
  Rule rule = need.rule;
  rule.init = need.init;
  Dim out = need.out;
  out.writes = true;
  weight_ = own(build.param("weight", with_bank({out, need.in}), rule));
}

Tensor DenseLinear::product(Context& ctx, const Tensor& x, int64_t bank) {
  const auto& weight = ctx.value(*weight_);
  const auto matrix = bank >= 0 ? weight.select(0, bank) : weight;
  const auto bias = bias_value(ctx, bank);
  return fits_few_rows(x, matrix) ? few_rows_product(x, matrix, bias) : at::linear(x, matrix, bias);
}

Tensor DenseLinear::dense(Context& ctx) { return ctx.value(*weight_); }

Tensor DenseLinear::rows(Context& ctx, const Tensor& ids) { return at::embedding(ctx.value(*weight_), ids); }

FORMWORK_PART(LinearMap, DenseLinear, "dense", "one matrix, multiplied as it is");

}  // namespace formwork
