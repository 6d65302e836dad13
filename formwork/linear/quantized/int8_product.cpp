#include "formwork/linear/quantized/int8_product.h"

namespace formwork {

Tensor int8_code_sums(const Tensor& codes) {
  auto sums = at::empty({codes.size(0)}, at::kInt);
  const auto flat = codes.contiguous();
  int8_code_sums(flat.const_data_ptr<int8_t>(), codes.size(0), codes.size(1), {},
                 sums.mutable_data_ptr<int32_t>());
  return sums;
}

namespace {

Tensor float_rows(const Tensor& tensor, int64_t rows) {
  return tensor.to(at::kFloat).expand({rows}).contiguous();
}

// Codes of both factors, as the kernel reads them, and the tensors that hold them.
class Factors {
 public:
  Factors(const Int8Input& in, const Int8Call& call) {
    quantize(in, call.scheme);
    take_weight(call);
    if (call.scheme.zero_point) add_sums(in, call);
  }
  Int8Side x, w;

 private:
  template <class T>
  T* hold(Tensor tensor) {
    return held_.emplace_back(std::move(tensor)).template data_ptr<T>();
  }
  void quantize(const Int8Input& in, const Int8Scheme& scheme) {
    auto* codes = hold<int8_t>(at::empty({in.rows, in.width}, at::kChar));
    auto* scales = hold<float>(at::empty({in.rows}, at::kFloat));
    x = {codes, in.rows, scales};
    if (!scheme.zero_point) {
      int8_row_scales(in, scheme.shared_input, scales);
      int8_quantize_rows(in, scales, codes);
      return;
    }
    auto* zeros = hold<float>(at::empty({in.rows}, at::kFloat));
    x.zeros = zeros;
    int8_row_ranges(in, scheme.shared_input, scales, zeros);
    int8_quantize_ranges(in, scales, zeros, codes);
  }
  void take_weight(const Int8Call& call) {
    const int64_t out = call.weight.codes.size(0);
    w = {hold<int8_t>(call.weight.codes.contiguous()), out, hold<float>(float_rows(call.weight.scale, out))};
    if (call.weight.zero.defined()) w.zeros = hold<float>(float_rows(call.weight.zero, out));
  }
  // Outlier columns have code 0 in x; in W they are taken off the sums.
  void add_sums(const Int8Input& in, const Int8Call& call) {
    auto* of_x = hold<int32_t>(at::empty({in.rows}, at::kInt));
    int8_code_sums(x.codes, in.rows, in.width, {}, of_x);
    x.sums = of_x;
    auto of_w = call.code_sums;
    if (const auto& columns = in.outliers->columns; !columns.empty())
      of_w = of_w - call.weight.codes.index_select(1, at::tensor(columns)).sum(1, false, at::kInt);
    w.sums = hold<int32_t>(of_w.contiguous());
  }
  std::vector<Tensor> held_;
};

// [columns, out].
Tensor outlier_columns(const Int8Call& call, const std::vector<int64_t>& columns) {
  const auto index = at::tensor(columns);
  if (call.kept_weight.defined())
    return call.kept_weight.index_select(1, index).to(at::kFloat).t().contiguous();
  const Int8Codes some{call.weight.codes.index_select(1, index), call.weight.scale, call.weight.zero};
  return int8_dequantize(some).to(at::kFloat).t().contiguous();
}

class Product final : public torch::autograd::Function<Product> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x,
                        const std::optional<Tensor>& bias, const Int8Call& call) {
    ctx->save_for_backward({call.weight.codes, call.weight.scale, call.weight.zero});
    ctx->saved_data["bias"] = bias.has_value();
    return int8_forward(x, bias.value_or(Tensor()), call).y;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto weight = int8_dequantize({saved[0], saved[1], saved[2]}).to(grads[0].scalar_type());
    const bool with_bias = ctx->saved_data["bias"].toBool();
    return {grads[0].matmul(weight), with_bias ? grads[0].sum(0) : Tensor(), {}};
  }
};

}  // namespace

Int8Output int8_forward(const Tensor& x, const Tensor& bias, const Int8Call& call) {
  const int64_t rows = x.size(0), out = call.weight.codes.size(0);
  auto y = at::empty({rows, out}, at::kFloat);
  if (rows == 0) return {y, {}};
  Int8Outliers outliers{{}, static_cast<float>(call.threshold), call.row_max};
  Int8Input in{x.const_data_ptr<float>(), rows, x.size(1), &outliers};
  if (call.threshold > 0) outliers.columns = int8_find_outliers(in, outliers.threshold);
  if (call.pool) outliers.columns = call.pool->add(outliers.columns);
  const Factors factors(in, call);
  const auto b = bias.defined() ? bias.contiguous() : Tensor();
  const auto count = in.width - static_cast<int64_t>(outliers.columns.size());
  int8_linear(factors.x, factors.w, in.width, count, b.defined() ? b.const_data_ptr<float>() : nullptr,
              y.mutable_data_ptr<float>());
  if (!outliers.columns.empty())
    int8_add_outlier_product(in, outlier_columns(call, outliers.columns).const_data_ptr<float>(), out,
                             y.mutable_data_ptr<float>());
  return {y, std::move(outliers.columns)};
}

Tensor int8_apply(const Tensor& x, const Tensor& bias, const Int8Call& call) {
  auto sizes = x.sizes().vec();
  const auto flat = x.reshape({-1, sizes.back()}).contiguous();
  sizes.back() = call.weight.codes.size(0);
  return Product::apply(flat, bias.defined() ? std::optional(bias) : std::nullopt, call).view(sizes);
}

}  // namespace formwork
