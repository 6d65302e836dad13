#include "formwork/linear/float_linear.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "formwork/kernels/cpu/float_product.h"

namespace formwork {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Maybe = std::optional<Tensor>;  // autograd takes no undefined tensors

FloatOperand rows_of(const Tensor& x) { return {x.const_data_ptr<float>(), x.size(0), x.size(1)}; }
FloatOperand columns_of(const Tensor& x) { return {x.const_data_ptr<float>(), x.size(1), x.size(1), true}; }

// a b^T of operands with so many inner values.
Tensor product(const FloatOperand& a, const FloatOperand& b, int64_t inner, const at::TensorOptions& options,
               const float* bias = nullptr) {
  auto c = at::empty({a.rows, b.rows}, options);
  float_product({a, b, inner, c.mutable_data_ptr<float>(), b.rows, bias});
  return c;
}

Tensor flat(const Tensor& x) { return x.reshape({-1, x.size(-1)}).contiguous(); }

Tensor shaped_like(const Tensor& rows, const Tensor& like) {
  auto sizes = like.sizes().vec();
  sizes.back() = rows.size(1);
  return rows.view(sizes);
}

Tensor forward_product(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return shaped_like(product(rows_of(flat(x)), rows_of(weight), weight.size(1), x.options(),
                             bias.defined() ? bias.const_data_ptr<float>() : nullptr),
                     x);
}

class FloatLinear : public torch::autograd::Function<FloatLinear> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Maybe& bias) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["bias"] = bias.has_value();  // otherwise there is no third edge to ask about
    return forward_product(x, weight, bias.value_or(Tensor()));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &dy = grads[0];
    if (!dy.defined()) return {Tensor(), Tensor(), Tensor()};
    variable_list result(3);
    const auto rows = flat(dy);
    if (ctx->saved_data["bias"].toBool() && ctx->needs_input_grad(2)) result[2] = rows.sum(0);
    if (at::GradMode::is_enabled()) {  // gradients of gradients
      if (ctx->needs_input_grad(0)) result[0] = dy.matmul(weight);
      if (ctx->needs_input_grad(1)) result[1] = rows.t().matmul(flat(x));
      return result;
    }
    if (ctx->needs_input_grad(0))
      result[0] = shaped_like(product(rows_of(rows), columns_of(weight), weight.size(0), dy.options()), x);
    if (ctx->needs_input_grad(1))
      result[1] = product(columns_of(rows), columns_of(flat(x)), rows.size(0), dy.options());
    return result;
  }
};

bool is_plain(const Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

}  // namespace

bool fits_float_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  // Below, the parts cost more to make than their products save.
  constexpr int64_t kLeast = 128;
  return weight.dim() == 2 && x.dim() > 0 && x.size(-1) == weight.size(1) && weight.size(0) >= kLeast &&
         weight.size(1) >= kLeast && x.numel() >= kLeast * x.size(-1) && is_plain(x) && is_plain(weight) &&
         weight.is_contiguous() && (!bias.defined() || (is_plain(bias) && bias.is_contiguous())) &&
         !at::autocast::is_autocast_enabled(at::kCPU) && has_float_product();
}

Tensor float_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (at::GradMode::is_enabled())
    return FloatLinear::apply(x, weight, bias.defined() ? Maybe(bias) : std::nullopt);
  return forward_product(x, weight, bias);
}

}  // namespace formwork
