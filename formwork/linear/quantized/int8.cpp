// The 8-bit linear map of LLM.int8() (Dettmers et al., 2022); see int8_product.h for what it computes.
// Half-precision inputs pass through float. Float64 inputs, and devices without the kernels, multiply by the
// dequantized weight with no integer product: they serve tests of exactness. Integer inputs are an error.
// With has_fp16_weights the map holds W itself (in the model's own precision, which optimizers need), rounds
// it to float16 where it is read and makes its codes anew every pass; W then trains.
#include "formwork/linear/quantized/int8_product.h"
#include "formwork/linear/stored.h"

namespace formwork {
namespace {

constexpr int64_t kMostInputs = 131072;  // whose products a 32-bit sum holds

class Int8Linear final : public LinearMap {
 public:
  using Options = Int8Options;

  Int8Linear(Build& build, const LinearNeed& need, const Options& options)
      : LinearMap(build, need), options_(options) {
    require_single(build, need, "int8");
    options.check(path());
    if (in() > kMostInputs)
      fail("{}: 'int8' sums at most {} inputs exactly, and this map has {}", path(), kMostInputs, in());
    if (options.has_fp16_weights)
      declare_weight(build, need);
    else
      declare_codes(build, need);
    if (options.outlier_pool) pool_ = shared_outlier_pool(build.inventory(), in());
  }

  Traits traits() const override {
    Traits traits;
    traits.batch_independent = !options_.decomposed() && !options_.chosen_scheme().shared_input;
    traits.deterministic = !options_.outlier_pool;  // the pool grows by what it sees
    traits.twice_differentiable = false;
    traits.trainable = options_.has_fp16_weights;
    traits.float64 = false;  // products are of 8-bit codes of the inputs
    return traits;
  }
  // W itself with has_fp16_weights, else the dequantized codes (of outlier columns too).
  Tensor dense(Context& ctx) override {
    return options_.has_fp16_weights ? ctx.value(*weight_) : int8_dequantize(stored_codes(ctx));
  }
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
    const auto wide = x.to(at::kFloat), b = bias.defined() ? bias.to(at::kFloat) : bias;
    const auto y = options_.has_fp16_weights ? training_product(ctx, wide, b)
                                             : int8_apply(wide, b, call_with(stored_codes(ctx), kept(ctx)));
    return y.to(x.scalar_type());
  }

 private:
  void declare_weight(Build& build, const LinearNeed& need) {
    Rule rule = need.rule;
    rule.init = need.init;
    Dim out = need.out;
    out.writes = true;
    weight_ = own(build.param("weight", {out, need.in}, rule));
  }
  void declare_codes(Build& build, const LinearNeed& need) {
    const auto scheme = options_.chosen_scheme();
    Dim out = need.out, scaled = scheme.shared_weight ? Dim::plain(1) : need.out;
    out.writes = scaled.writes = true;
    codes_ = own(build.param("codes", {out, need.in}, stored_rule(at::kChar)));
    scale_ = own(build.param("scale", {scaled}, stored_rule(at::kFloat)));
    if (scheme.zero_point) zero_ = own(build.param("zero", {scaled}, stored_rule(at::kFloat)));
    if (options_.keeps_weight()) weight_ = own(build.param("weight", {out, need.in}, stored_rule(at::kHalf)));
    for (const auto& dim : {need.out, need.in})
      restrict_axes(build, dim, Group::permute, "8-bit codes of whole rows cannot be mixed or rescaled");
    if (const auto weight = initial_weight(build, need); weight.defined())
      begin_with(build, int8_tensors(weight, options_, path()));
  }

  Int8Codes stored_codes(Context& ctx) const {
    return {ctx.value(*codes_), ctx.value(*scale_), zero_ ? ctx.value(*zero_) : Tensor()};
  }
  Tensor kept(Context& ctx) const { return options_.keeps_weight() ? ctx.value(*weight_) : Tensor(); }

  Int8Call call_with(Int8Codes codes, Tensor kept_weight) {
    for (const auto& tensor : {codes.scale, codes.zero, kept_weight})
      if (at::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad())
        fail("{}: 8-bit weights cannot be trained: set has_fp16_weights, or wrap the map in an adapter",
             path());
    Int8Call call;
    call.scheme = options_.chosen_scheme();
    if (call.scheme.zero_point && !options_.has_fp16_weights)
      call.code_sums = *sums_.get({codes.codes}, [&] { return int8_code_sums(codes.codes); });
    else if (call.scheme.zero_point)
      call.code_sums = int8_code_sums(codes.codes);
    call.weight = std::move(codes);
    call.kept_weight = std::move(kept_weight);
    call.threshold = options_.decomposed() ? options_.threshold : 0;
    call.row_max = options_.row_max == "columns" ? Int8RowMax::columns : Int8RowMax::values;
    call.pool = pool_;
    return call;
  }
  Tensor training_product(Context& ctx, const Tensor& x, const Tensor& bias) {
    const auto& weight = ctx.value(*weight_);
    const auto rounded = int8_rounded_to_half(weight);
    const auto call = call_with(int8_codes(rounded, options_.chosen_scheme(), path()),
                                options_.keeps_weight() ? rounded : Tensor());
    return int8_apply_training(x, weight, bias, call);
  }

  Options options_;
  Param *codes_ = nullptr, *scale_ = nullptr, *zero_ = nullptr, *weight_ = nullptr;
  std::shared_ptr<OutlierPool> pool_;
  MadeFrom<Tensor> sums_;
};

FORMWORK_PART(LinearMap, Int8Linear, "int8", "8-bit codes and integer products, outlier columns in float");

}  // namespace
}  // namespace formwork
