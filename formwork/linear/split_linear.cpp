#include "formwork/linear/split_linear.h"

namespace formwork {

Split SplitLinear::carry(SplitPass& pass, const Split& x) {
  if (banks() > 0) fail("{}: facet 'split' is of a single matrix, and this is a bank of {}", path(), banks());
  const auto y = products(pass, need().input < 0 ? pass.tap(input_tap(), x) : x);
  return pass.tap(output_tap(), pass.share_bias(y, y, bias_value(pass.ctx(), -1)));
}

Split SplitLinear::products(SplitPass& pass, const Split& x) {
  const auto bias = bias_value(pass.ctx(), -1);
  return on_both_sides(x, [&](const Tensor& sides) {
    const auto y = product(pass.ctx(), sides, -1);
    return bias.defined() ? y - bias : y;
  });
}

}  // namespace formwork
