// LayerNorm (Ba, Kiros and Hinton, 2016): y = (x - mean) / sqrt(var + eps) * gain + bias, x [..., D], with
// mean and variance over the D channels that the options asked for.
#include "formwork/core/split.h"
#include "formwork/norms/norm.h"
#include "formwork/norms/norm_options.h"

namespace formwork {
namespace {

class LayerNorm final : public Norm, public SplitFacet {
 public:
  using Options = LayerNormOptions;

  LayerNorm(Build& build, const Options& options) : Norm(build), options_(options) {
    Rule rule;
    rule.decay = false;
    rule.init = init::ones();
    if (options.gain) gain_ = build.param("weight", {build.in}, rule);
    rule.init = init::zeros();
    if (options.bias) bias_ = build.param("bias", {build.in}, rule);
    width_ = build.in.asked();
    build.restrict(build.in, Group::permute, "LayerNorm subtracts the mean over channels");
    enter(build, "layer_norm", options_json(options), gain_, bias_);
  }

  // Each side by its own mean, both by the deviation of the whole.
  Split carry(SplitPass& pass, const Split& x) override {
    auto y = Split{centred(x.relevant), centred(x.rest)} * inverse_deviation(x.whole());
    if (gain_) y = y * pass.ctx().value(*gain_);
    return pass.tap(output_tap(), pass.share_bias(y, x, bias_ ? pass.ctx().value(*bias_) : Tensor()));
  }

 protected:
  Tensor normalize(Context& ctx, const Tensor& x) override {
    const auto gain = gain_ ? std::optional<Tensor>(ctx.value(*gain_)) : std::nullopt;
    const auto bias = bias_ ? std::optional<Tensor>(ctx.value(*bias_)) : std::nullopt;
    if (x.size(-1) == width_) return at::layer_norm(x, {width_}, gain, bias, options_.eps);
    auto y = centred(x) * inverse_deviation(x);
    if (gain) y = y * *gain;
    return bias ? y + *bias : y;
  }

 private:
  // After a cut, a channel that is gone counts as a zero, in the mean and in the deviation from it.
  Tensor mean(const Tensor& x) const { return x.sum(-1, true) / static_cast<double>(width_); }
  Tensor centred(const Tensor& x) const { return x - mean(x); }
  Tensor inverse_deviation(const Tensor& x) const {
    const auto width = static_cast<double>(width_), gone = width - static_cast<double>(x.size(-1));
    const auto squares = centred(x).square().sum(-1, true) + mean(x).square() * gone;
    return (squares / width + options_.eps).rsqrt();
  }

  Options options_;
  int64_t width_;
  Param* gain_ = nullptr;
  Param* bias_ = nullptr;
};

FORMWORK_PART(Norm, LayerNorm, "layer_norm",
              "subtract the mean, divide by the deviation, then gain and bias");

}  // namespace
}  // namespace formwork
