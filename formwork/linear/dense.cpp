#include "formwork/linear/dense.h"

#include "formwork/linear/product.h"

namespace formwork {

DenseLinear::DenseLinear(Build& build, const LinearNeed& need, const Options&) : SplitLinear(build, need) {
  Rule rule = need.rule;
  rule.init = need.init;
  Dim out = need.out;
  out.writes = true;
  weight_ = own(build.param("weight", with_bank({out, need.in}), rule));
}

Tensor DenseLinear::product(Context& ctx, const Tensor& x, int64_t bank) {
  const auto& weight = ctx.value(*weight_);
  return linear_product(x, bank >= 0 ? weight.select(0, bank) : weight, bias_value(ctx, bank));
}

Split DenseLinear::products(SplitPass& pass, const Split& x) {
  const auto& weight = pass.ctx().value(*weight_);
  return on_both_sides(x, [&](const Tensor& sides) { return linear_product(sides, weight, {}); });
}

Tensor DenseLinear::dense(Context& ctx) { return ctx.value(*weight_); }

Tensor DenseLinear::rows(Context& ctx, const Tensor& ids) { return at::embedding(ctx.value(*weight_), ids); }

FORMWORK_PART(LinearMap, DenseLinear, "dense", "one matrix, multiplied as it is");

}  // namespace formwork
