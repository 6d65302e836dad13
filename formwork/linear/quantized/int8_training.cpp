#include "formwork/linear/quantized/int8_product.h"

namespace formwork {
namespace {

constexpr int64_t kMostTokens = 131072;  // whose products a 32-bit sum holds

struct Rows {
  Tensor codes, scales;
  Int8Side side;
};

// x [rows, width] as symmetric codes.
Rows quantized_rows(const Tensor& x) {
  Rows made{at::empty(x.sizes(), at::kChar), at::empty({x.size(0)}, at::kFloat), {}};
  const Int8Input in{x.const_data_ptr<float>(), x.size(0), x.size(1)};
  int8_row_scales(in, false, made.scales.mutable_data_ptr<float>());
  int8_quantize_rows(in, made.scales.const_data_ptr<float>(), made.codes.mutable_data_ptr<int8_t>());
  made.side = {made.codes.const_data_ptr<int8_t>(), x.size(0), made.scales.const_data_ptr<float>()};
  return made;
}

Tensor integer_part(const Tensor& grad_y, const Tensor& x) {
  const auto a = quantized_rows(grad_y.t().contiguous()), b = quantized_rows(x.t().contiguous());
  auto grad = at::empty({grad_y.size(1), x.size(1)}, at::kFloat);
  int8_linear(a.side, b.side, x.size(0), x.size(0), nullptr, grad.mutable_data_ptr<float>());
  return grad;
}

class TrainingProduct final : public torch::autograd::Function<TrainingProduct> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias, const Int8Call& call) {
    auto [y, outliers] = int8_forward(x, bias.value_or(Tensor()), call);
    ctx->saved_data["bias"] = bias.has_value();
    ctx->save_for_backward({x, call.weight.codes, call.weight.scale, call.weight.zero});
    ctx->saved_data["outliers"] = outliers;
    ctx->saved_data["dtype"] = static_cast<int64_t>(weight.scalar_type());
    return y;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto grad = grads[0].contiguous();
    torch::autograd::variable_list result(4);
    if (ctx->needs_input_grad(0)) result[0] = grad.matmul(int8_dequantize({saved[1], saved[2], saved[3]}));
    if (ctx->needs_input_grad(1))
      result[1] = int8_weight_gradient(grad, saved[0], ctx->saved_data["outliers"].toIntVector())
                      .to(static_cast<at::ScalarType>(ctx->saved_data["dtype"].toInt()));
    if (ctx->saved_data["bias"].toBool()) result[2] = grad.sum(0);
    return result;
  }
};

}  // namespace

Tensor int8_weight_gradient(const Tensor& grad_y, const Tensor& x, const std::vector<int64_t>& outliers) {
  const int64_t tokens = x.size(0);
  auto grad = at::zeros({grad_y.size(1), x.size(1)}, at::kFloat);
  const auto index = at::tensor(outliers, at::kLong);
  const auto others = outliers.empty() ? x : x.index_fill(1, index, 0);
  for (int64_t first = 0; first < tokens; first += kMostTokens) {
    const int64_t count = std::min(kMostTokens, tokens - first);
    grad.add_(integer_part(grad_y.narrow(0, first, count), others.narrow(0, first, count)));
  }
  if (!outliers.empty()) grad.index_copy_(1, index, grad_y.t().matmul(x.index_select(1, index)));
  return grad;
}

Tensor int8_apply_training(const Tensor& x, const Tensor& weight, const Tensor& bias, const Int8Call& call) {
  auto sizes = x.sizes().vec();
  const auto flat = x.reshape({-1, sizes.back()}).contiguous();
  sizes.back() = call.weight.codes.size(0);
  return TrainingProduct::apply(flat, weight, bias.defined() ? std::optional(bias) : std::nullopt, call)
      .view(sizes);
}

}  // namespace formwork
