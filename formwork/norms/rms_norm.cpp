// RMSNorm (Zhang and Sennrich, 2019): y = x / sqrt(sum(x^2) / D + eps) * (offset + gain), x [..., D]. With
// offset 1 the stored gain is what it differs from 1 by (Gemma).
#include <ATen/core/grad_mode.h>

#include "formwork/core/split.h"
#include "formwork/norms/fused.h"
#include "formwork/norms/norm.h"
#include "formwork/norms/norm_options.h"

namespace formwork {
namespace {

class RmsNorm final : public Norm, public SplitFacet {
 public:
  using Options = RmsNormOptions;

  RmsNorm(Build& build, const Options& options) : Norm(build), options_(options) {
    // The width before any channel was cut: a cut channel then counts as a zero.
    width_ = build.in.asked();
    if (options.gain) {
      Rule rule;
      rule.init = init::constant(1 - options.offset);
      rule.decay = false;
      gain_ = build.param("weight", {build.in}, rule);
      build.restrict(build.in, Group::permute, "RMSNorm has a gain for each channel");
    }
    build.restrict(build.in, Group::orthogonal, "RMSNorm keeps its value only under rotations");
    enter(build, "rms_norm", options_json(options), gain_, nullptr);
  }

  Split carry(SplitPass& pass, const Split& x) override {
    const auto y = x * inverse_size(x.whole());
    const auto gain = factor(pass.ctx());
    return pass.tap(output_tap(), gain.defined() ? y * gain : y);
  }

 protected:
  Tensor normalize(Context& ctx, const Tensor& x) override {
    const auto gain = factor(ctx);
    if (fits_fused_norm(ctx, x, gain))
      return fused_rms_norm(x, gain, static_cast<double>(width_), options_.eps);
    const auto scale = inverse_size(x);
    return gain_ ? x * scale * gain : x * scale;
  }
  NormSplit normalize_split(Context& ctx, const Tensor& x) override {
    const auto gain = factor(ctx);
    if (!at::GradMode::is_enabled() || !fits_fused_norm(ctx, x, gain)) return Norm::normalize_split(ctx, x);
    return fused_rms_norm_split(x, gain, static_cast<double>(width_), options_.eps);
  }

 private:
  Tensor inverse_size(const Tensor& x) const {
    return (x.square().sum(-1, true) / static_cast<double>(width_) + options_.eps).rsqrt();
  }
  Tensor factor(Context& ctx) const {
    if (!gain_) return {};
    const auto& gain = ctx.value(*gain_);
    return options_.offset == 0 ? gain : gain + options_.offset;
  }

  Options options_;
  int64_t width_;
  Param* gain_ = nullptr;
};

FORMWORK_PART(Norm, RmsNorm, "rms_norm", "divide by the root mean square, then a gain");

}  // namespace
}  // namespace formwork
