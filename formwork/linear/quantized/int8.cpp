// LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale (Dettmers et al., 2022). Columns of x
// that reach the threshold in some row are multiplied in float, the others as 8-bit codes with exact integer
// sums:
//
//   y = (C_x C_W^T) s_x s_W / 127^2 + x[:, O] W'[:, O]^T + b,   O = {i : |x[n, i]| >= threshold for some n}
//
// Backward: grad_x = grad_y W', W' = the dequantized weight, as if x had not been rounded. Floating types
// other than 32 bits: half precision passes through float; double, and devices without the kernel, multiply
// by W'.
#include "formwork/linear/quantized/int8.h"

#include "formwork/kernels/cpu/int8.h"
#include "formwork/linear/stored.h"

namespace formwork {

std::map<std::string, Tensor> int8_tensors(const Tensor& weight) {
  const auto w = weight.detach().to(at::kFloat).contiguous();
  auto codes = at::empty(w.sizes(), at::kChar), scale = at::empty({w.size(0)}, at::kFloat);
  int8_quantize_rows(w.const_data_ptr<float>(), w.size(0), w.size(1), w.size(1),
                     codes.mutable_data_ptr<int8_t>(), scale.mutable_data_ptr<float>());
  return {{"codes", codes}, {"scale", at::where(scale == 0, at::ones_like(scale), scale)}};
}

Tensor int8_dequantize(const Tensor& codes, const Tensor& scale) {
  return codes.to(at::kFloat) * (scale / 127).unsqueeze(1);
}

namespace {

struct Int8Call {
  std::shared_ptr<const Int8PackedWeight> weight;
  double threshold;
  Int8RowMax row_max;
};

Tensor int8_run(const Tensor& x, const Tensor& scale, const Tensor& bias, const Int8Call& call) {
  const int64_t in = call.weight->inputs, out = call.weight->outputs;
  const auto flat = x.reshape({-1, in}).contiguous();
  const int64_t rows = flat.size(0);
  auto sizes = x.sizes().vec();
  sizes.back() = out;
  auto y = at::empty({rows, out}, at::kFloat);
  if (rows == 0) return y.view(sizes);
  auto codes = at::empty({rows, in}, at::kChar), row_scale = at::empty({rows}, at::kFloat);
  const float* data = flat.const_data_ptr<float>();
  Int8Outliers outliers;
  if (call.threshold > 0)
    outliers = int8_find_outliers(data, rows, in, in, static_cast<float>(call.threshold), call.row_max);
  const bool some = !outliers.columns.empty();
  int8_quantize_rows(data, rows, in, in, codes.mutable_data_ptr<int8_t>(),
                     row_scale.mutable_data_ptr<float>(), some ? &outliers : nullptr);
  const auto b = bias.defined() ? bias.to(at::kFloat).contiguous() : Tensor();
  int8_linear(codes.const_data_ptr<int8_t>(), row_scale.const_data_ptr<float>(), rows, *call.weight,
              scale.const_data_ptr<float>(), b.defined() ? b.const_data_ptr<float>() : nullptr,
              y.mutable_data_ptr<float>());
  if (some)
    int8_add_outlier_product(data, rows, in, outliers, *call.weight, scale.const_data_ptr<float>(),
                             y.mutable_data_ptr<float>());
  return y.view(sizes);
}

class Int8Product final : public torch::autograd::Function<Int8Product> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& codes,
                        const Tensor& scale, const std::optional<Tensor>& bias, const Int8Call& call) {
    ctx->save_for_backward({codes, scale});
    ctx->saved_data["bias"] = bias.has_value();
    return int8_run(x, scale, bias.value_or(Tensor()), call);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto& grad = grads[0];
    Tensor grad_bias;
    if (ctx->saved_data["bias"].toBool()) grad_bias = grad.reshape({-1, grad.size(-1)}).sum(0);
    return {grad.matmul(int8_dequantize(saved[0], saved[1])), {}, {}, grad_bias, {}};
  }
};

class Int8Linear final : public LinearMap {
 public:
  struct Options {
    double threshold = 6;
    std::string row_max = "columns";
    void describe(Fields& f) {
      f.number("threshold", threshold, "magnitude from which an input column is multiplied in float; 0: none",
               0, 1e30);
      f.choice("row_max", row_max, {"columns", "values"},
               "a row's scale: of the other columns, or of all smaller entries");
    }
  };

  Int8Linear(Build& build, const LinearNeed& need, const Options& options)
      : LinearMap(build, need), options_(options) {
    require_single(build, need, "int8");
    Dim out = need.out;
    out.writes = true;
    codes_ = own(build.param("codes", {out, need.in}, stored_rule(at::kChar)));
    scale_ = own(build.param("scale", {out}, stored_rule(at::kFloat)));
    for (const auto& dim : {need.out, need.in})
      restrict_axes(build, dim, Group::permute, "8-bit codes of whole rows cannot be mixed or rescaled");
    if (const auto weight = initial_weight(build, need); weight.defined())
      begin_with(build, int8_tensors(weight));
  }

  Traits traits() const override {
    Traits traits;
    traits.batch_independent = options_.threshold == 0;
    traits.twice_differentiable = false;
    return traits;
  }
  Tensor dense(Context& ctx) override { return int8_dequantize(ctx.value(*codes_), ctx.value(*scale_)); }
  double flops() const override { return 2.0 * static_cast<double>(in()) * static_cast<double>(out()); }
  std::string type() const override { return "int8"; }
  Tensor transposed(Context& ctx, const Tensor& y) override {
    return y.matmul(dense(ctx).to(y.scalar_type()));
  }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t) override {
    if (x.dim() == 0 || x.size(-1) != in())
      fail("{}: expected inputs of width {}, found [{}]", path(), in(), fmt::join(x.sizes(), ", "));
    if (!x.is_floating_point())
      fail("{}: expected floating inputs, found {}", path(), c10::toString(x.scalar_type()));
    const auto bias = bias_value(ctx, -1);
    if (!x.is_cpu() || x.scalar_type() == at::kDouble)
      return at::linear(x, dense(ctx).to(x.scalar_type()), bias);
    const auto& codes = ctx.value(*codes_);
    const auto packed = packed_.get(
        {codes}, [&] { return int8_pack_weight(codes.contiguous().const_data_ptr<int8_t>(), out(), in()); });
    const auto row_max = options_.row_max == "columns" ? Int8RowMax::columns : Int8RowMax::values;
    return Int8Product::apply(x.to(at::kFloat), codes, ctx.value(*scale_),
                              bias.defined() ? std::optional<Tensor>(bias.to(at::kFloat)) : std::nullopt,
                              Int8Call{packed, options_.threshold, row_max})
        .to(x.scalar_type());
  }

 private:
  Options options_;
  Param *codes_, *scale_;
  MadeFrom<Int8PackedWeight> packed_;
};

FORMWORK_PART(LinearMap, Int8Linear, "int8", "8-bit codes and integer products, outlier columns in float");

}  // namespace
}  // namespace formwork
