#include "formwork/norms/fused.h"

#include <ATen/core/grad_mode.h>

#include "formwork/core/context.h"
#include "formwork/kernels/cpu/norm.h"

namespace formwork {
namespace {

using Saved = torch::autograd::AutogradContext;
using List = torch::autograd::variable_list;
using Maybe = std::optional<Tensor>;  // autograd takes no undefined tensors

const float* read(const Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }
float* write(const Tensor& x) { return x.defined() ? x.mutable_data_ptr<float>() : nullptr; }
Tensor gradient_of(const Tensor& x) { return x.defined() ? at::empty_like(x) : x; }
Tensor for_each_row(const Tensor& x) { return at::empty({x.numel() / x.size(-1)}, x.options()); }

RmsNorm<float> rms_rows(const Tensor& x, const Tensor& gain, double divisor, double eps) {
  return {x.numel() / x.size(-1), x.size(-1), static_cast<float>(divisor), static_cast<float>(eps),
          read(gain)};
}

class FusedRmsNorm : public torch::autograd::Function<FusedRmsNorm> {
 public:
  static Tensor forward(Saved* saved, const Tensor& x, const Maybe& given, double divisor, double eps) {
    const auto gain = given.value_or(Tensor());
    auto y = at::empty_like(x), inverse = for_each_row(x);
    rms_norm_forward(rms_rows(x, gain, divisor, eps), read(x), write(y), write(inverse));
    saved->save_for_backward({x, gain, inverse});
    saved->saved_data["divisor"] = divisor, saved->saved_data["eps"] = eps;
    return y;
  }
  static List backward(Saved* saved, const List& gradients) {
    const auto tensors = saved->get_saved_variables();
    const Tensor &x = tensors[0], &gain = tensors[1];
    const auto dy = gradients[0].contiguous();
    const auto dx = at::empty_like(x), dgain = gradient_of(gain);
    rms_norm_backward<float>(
        rms_rows(x, gain, saved->saved_data["divisor"].toDouble(), saved->saved_data["eps"].toDouble()),
        read(x), read(tensors[2]), read(dy), nullptr, write(dx), write(dgain));
    return {dx, dgain, Tensor(), Tensor()};
  }
};

}  // namespace

bool fits_fused_norm(const Context& ctx, const Tensor& x, const Tensor& gain) {
  const auto fits = [](const Tensor& t) {
    return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
  };
  return !ctx.mode.twice_differentiable && x.numel() > 0 && fits(x) && (!gain.defined() || fits(gain));
}

Tensor fused_rms_norm(const Tensor& x, const Tensor& gain, double divisor, double eps) {
  if (!at::GradMode::is_enabled()) {
    auto y = at::empty_like(x), inverse = for_each_row(x);
    rms_norm_forward(rms_rows(x, gain, divisor, eps), read(x), write(y), write(inverse));
    return y;
  }
  return FusedRmsNorm::apply(x, gain.defined() ? Maybe(gain) : std::nullopt, divisor, eps);
}

}  // namespace formwork
