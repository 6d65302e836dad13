#include "formwork/activations/gated.h"

namespace formwork {
namespace {

int64_t width_of(const Tensor& x) { return x.size(-1) / 2; }
int64_t rows_of(const Tensor& x) { return x.numel() / x.size(-1); }

class FusedGate : public torch::autograd::Function<FusedGate> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* saved, const Tensor& x, int64_t gate) {
    auto sizes = x.sizes().vec();
    sizes.back() = width_of(x);
    auto y = at::empty(sizes, x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "fused_gate", [&] {
      gated_forward<scalar_t>(static_cast<Gate>(gate), rows_of(x), width_of(x), x.const_data_ptr<scalar_t>(),
                              y.mutable_data_ptr<scalar_t>());
    });
    saved->save_for_backward({x});
    saved->saved_data["gate"] = gate;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* saved,
                                                 const torch::autograd::variable_list& gradients) {
    const auto x = saved->get_saved_variables()[0];
    const auto gate = static_cast<Gate>(saved->saved_data["gate"].toInt());
    const auto dy = gradients[0].contiguous();
    auto dx = at::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "fused_gate", [&] {
      gated_backward<scalar_t>(gate, rows_of(x), width_of(x), x.const_data_ptr<scalar_t>(),
                               dy.const_data_ptr<scalar_t>(), dx.mutable_data_ptr<scalar_t>());
    });
    return {dx, Tensor()};
  }
};

}  // namespace

bool fits_fused_gate(const Context& ctx, const Tensor& x) {
  const auto dtype = x.scalar_type();
  return !ctx.mode.twice_differentiable && x.is_cpu() && (dtype == at::kFloat || dtype == at::kDouble) &&
         x.is_contiguous() && x.numel() > 0;
}

Tensor fused_gate(Gate gate, const Tensor& x) { return FusedGate::apply(x, static_cast<int64_t>(gate)); }

}  // namespace formwork
