// BatchNorm over tokens (Ioffe and Szegedy, 2015; in transformers: Shen et al., "PowerNorm", 2020):
// y = (x - mean) / sqrt(var + eps) * gain + bias, x [B, T, D], with mean and variance of each channel over
// the real tokens of the batch in training, and running averages of them otherwise.
#include <ATen/core/grad_mode.h>

#include "formwork/core/split.h"
#include "formwork/norms/norm.h"
#include "formwork/norms/norm_options.h"

namespace formwork {
namespace {

class BatchNorm final : public Norm, public SplitFacet {
 public:
  using Options = BatchNormOptions;

  BatchNorm(Build& build, const Options& options) : Norm(build), options_(options) {
    Rule rule;
    rule.decay = false;
    rule.init = init::ones();
    if (options.gain) gain_ = build.param("weight", {build.in}, rule);
    rule.frozen = rule.keep_dtype = true;
    variance_ = build.param("running_var", {build.in}, rule);
    rule.init = init::zeros();
    mean_ = build.param("running_mean", {build.in}, rule);
    rule.frozen = rule.keep_dtype = false;
    if (options.bias) bias_ = build.param("bias", {build.in}, rule);
    build.restrict(build.in, Group::permute, "BatchNorm has statistics for each channel");
    enter(build, "batch_norm", options_json(options), gain_, bias_);
  }

  Traits traits() const override {
    Traits traits;
    traits.batch_independent = false;  // in training
    return traits;
  }

  // By the running statistics: a factor and a bias for each channel.
  Split carry(SplitPass& pass, const Split& x) override {
    const auto [scale, shift] = line(pass.ctx(), pass.ctx().value(*mean_), pass.ctx().value(*variance_));
    const auto y = x * scale.to(x.rest.scalar_type());
    return pass.tap(output_tap(), pass.share_bias(y, x, shift.to(x.rest.scalar_type())));
  }

 protected:
  Tensor normalize(Context& ctx, const Tensor& x) override {
    auto mean = ctx.value(*mean_), variance = ctx.value(*variance_);
    if (ctx.mode.train) std::tie(mean, variance) = statistics(ctx, x);
    const auto [scale, shift] = line(ctx, mean, variance);
    return x * scale.to(x.scalar_type()) + shift.to(x.scalar_type());
  }

 private:
  // y = x scale + shift.
  std::pair<Tensor, Tensor> line(Context& ctx, const Tensor& mean, const Tensor& variance) const {
    auto scale = (variance + options_.eps).rsqrt();
    if (gain_) scale = scale * ctx.value(*gain_);
    return {scale, bias_ ? ctx.value(*bias_) - mean * scale : -mean * scale};
  }

  // Mean and variance over the real tokens of x [B, T, ..., D], remembered in the running averages.
  std::pair<Tensor, Tensor> statistics(Context& ctx, const Tensor& x) {
    const auto wide = x.to(at::promote_types(x.scalar_type(), at::kFloat));
    auto tokens = wide.flatten(0, -2);
    const auto keep = ctx.layout && x.dim() == 3 ? ctx.layout->keep(x.size(1)) : Tensor();
    if (keep.defined()) tokens = tokens.index_select(0, keep.flatten().nonzero().squeeze(1));
    const double count = static_cast<double>(std::max<int64_t>(1, tokens.size(0)));
    const auto mean = tokens.sum(0) / count;
    const auto variance = (tokens - mean).square().sum(0) / count;
    if (!ctx.mode.recomputing) remember(mean, variance * (count / std::max(1.0, count - 1)));
    return {mean, variance};
  }

  void remember(const Tensor& mean, const Tensor& variance) {
    const at::NoGradGuard guard;
    mean_->value.lerp_(mean.to(mean_->value.scalar_type()), options_.momentum);
    variance_->value.lerp_(variance.to(variance_->value.scalar_type()), options_.momentum);
  }

  Options options_;
  Param *gain_ = nullptr, *bias_ = nullptr, *mean_, *variance_;
};

FORMWORK_PART(Norm, BatchNorm, "batch_norm",
              "each channel by its mean and deviation over the batch, then gain and bias");

}  // namespace
}  // namespace formwork
