#include "formwork/norms/fused.h"

#include <ATen/core/grad_mode.h>

#include "formwork/core/context.h"
#include "formwork/core/reuse.h"
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

// -> {y}, or {y, x}.
class FusedRmsNorm : public torch::autograd::Function<FusedRmsNorm> {
 public:
  static List forward(Saved* saved, const Tensor& x, const Maybe& given, double divisor, double eps,
                      bool beside) {
    const auto gain = given.value_or(Tensor());
    auto y = at::empty_like(x), inverse = for_each_row(x);
    rms_norm_forward(rms_rows(x, gain, divisor, eps), read(x), write(y), write(inverse));
    saved->save_for_backward({x, gain, inverse});
    saved->saved_data["divisor"] = divisor, saved->saved_data["eps"] = eps;
    saved->set_materialize_grads(false);
    return beside ? List{y, x.detach()} : List{y};
  }
  static List backward(Saved* saved, const List& gradients) {
    const auto tensors = saved->get_saved_variables();
    const Tensor &x = tensors[0], &gain = tensors[1];
    const auto passed = gradients.size() > 1 ? dense(gradients[1]) : Tensor();
    if (!gradients[0].defined()) return {passed, Tensor(), Tensor(), Tensor(), Tensor()};
    const auto dy = dense(gradients[0]);
    const auto dx = place_for(passed, dy), dgain = gradient_of(gain);
    rms_norm_backward<float>(
        rms_rows(x, gain, saved->saved_data["divisor"].toDouble(), saved->saved_data["eps"].toDouble()),
        read(x), read(tensors[2]), read(dy), read(passed), write(dx), write(dgain));
    return {dx, dgain, Tensor(), Tensor(), Tensor()};
  }

 private:
  static Tensor dense(const Tensor& gradient) {
    return gradient.defined() ? gradient.contiguous() : gradient;
  }
  static Tensor place_for(const Tensor& passed, const Tensor& dy) {
    if (passed.defined() && may_overwrite_gradient(passed)) return passed;
    return may_overwrite_gradient(dy) ? dy : at::empty_like(dy);
  }
};

List apply(const Tensor& x, const Tensor& gain, double divisor, double eps, bool beside) {
  return FusedRmsNorm::apply(x, gain.defined() ? Maybe(gain) : std::nullopt, divisor, eps, beside);
}

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
  return apply(x, gain, divisor, eps, false)[0];
}

NormSplit fused_rms_norm_split(const Tensor& x, const Tensor& gain, double divisor, double eps) {
  const auto both = apply(x, gain, divisor, eps, true);
  return {both[1], both[0]};
}

}  // namespace formwork
