#include "formwork/mixers/recurrent/step_sizes.h"

namespace formwork {

Init step_bias_init(double low, double high, double floor) {
  return {fmt::format("inverse_softplus:{:g}..{:g}", low, high), [=](Tensor& t, at::Generator g) {
            const auto u = at::empty(t.sizes(), t.options().dtype(at::kDouble)).uniform_(0, 1, g);
            const auto step = (u * (std::log(high) - std::log(low)) + std::log(low)).exp().clamp_min(floor);
            t.copy_(step + (-(-step).expm1()).log());
          }};
}

Tensor steps_of_real_tokens(const Context& ctx, const Tensor& delta) {
  const auto keep = ctx.layout ? ctx.layout->keep(delta.size(1)) : Tensor();
  return keep.defined() ? delta * keep.unsqueeze(-1).to(delta.scalar_type()) : delta;
}

}  // namespace formwork
