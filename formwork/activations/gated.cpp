#include "formwork/activations/gated.h"

#include <ATen/core/grad_mode.h>

#include "formwork/core/reuse.h"

namespace formwork {
namespace {

int64_t width_of(const Tensor& x) { return x.size(-1) / 2; }
int64_t rows_of(const Tensor& x) { return x.numel() / x.size(-1); }

// Calls work(value) with the kernels' name for x's element type.
template <class Work>
void dispatch(const Tensor& x, const Work& work) {
  if (x.scalar_type() == at::kBFloat16)
    work(bfloat16{});
  else if (x.scalar_type() == at::kFloat)
    work(float{});
  else
    work(double{});
}

template <class T>
const T* read(const Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}
template <class T>
T* write(const Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

Tensor gate_values(Gate gate, const Tensor& x) {
  auto sizes = x.sizes().vec();
  sizes.back() = width_of(x);
  auto y = at::empty(sizes, x.options());
  dispatch(x, [&]<class T>(T) { gated_forward<T>(gate, rows_of(x), width_of(x), read<T>(x), write<T>(y)); });
  return y;
}

class FusedGate : public torch::autograd::Function<FusedGate> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* saved, const Tensor& x, int64_t gate) {
    auto y = gate_values(static_cast<Gate>(gate), x);
    saved->save_for_backward({x});
    saved->saved_data["gate"] = gate;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* saved,
                                                 const torch::autograd::variable_list& gradients) {
    const auto x = saved->get_saved_variables()[0];
    const auto gate = static_cast<Gate>(saved->saved_data["gate"].toInt());
    const auto dy = gradients[0].contiguous();
    const auto dx = may_overwrite_saved(x) ? x.detach() : at::empty_like(x);
    dispatch(x, [&]<class T>(T) {
      gated_backward<T>(gate, rows_of(x), width_of(x), read<T>(x), read<T>(dy), write<T>(dx));
    });
    return {dx, Tensor()};
  }
};

}  // namespace

bool fits_fused_gate(const Context& ctx, const Tensor& x) {
  const auto dtype = x.scalar_type();
  return !ctx.mode.twice_differentiable && x.is_cpu() &&
         (dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16) && x.is_contiguous() &&
         x.numel() > 0;
}

Tensor fused_gate(Gate gate, const Tensor& x) {
  return at::GradMode::is_enabled() ? FusedGate::apply(x, static_cast<int64_t>(gate)) : gate_values(gate, x);
}

}  // namespace formwork
