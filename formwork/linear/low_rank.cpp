#include "formwork/linear/low_rank.h"

namespace formwork {

LowRankLinear::LowRankLinear(Build& build, const LinearNeed& need, const Options& options)
    : SplitLinear(build, need) {
  const Axis rank = build.axis("rank", options.rank);
  LinearNeed first = need, second = need;
  first.bias = second.bias = false;
  first.init = second.init = init::fan_in_uniform();
  first.out = rank, first.input = input_tap();
  a_ = make_nested(build, "a", first);
  second.in = rank, second.input = a_->output_tap();
  b_ = make_nested(build, "b", second);
  for (const auto* factor : {a_.get(), b_.get()})
    for (auto* param : factor->params()) own(param);
}

Tensor LowRankLinear::product(Context& ctx, const Tensor& x, int64_t bank) {
  const auto y = b_->forward(ctx, a_->forward(ctx, x, bank), bank);
  const auto bias = bias_value(ctx, bank);
  return bias.defined() ? y + bias : y;
}

FORMWORK_PART(LinearMap, LowRankLinear, "low_rank", "two thin matrices: y = (x A^T) B^T");

}  // namespace formwork
