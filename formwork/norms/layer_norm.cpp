// LayerNorm (Ba, Kiros and Hinton, 2016): y = (x - mean) / sqrt(var + eps) * gain + bias, x [..., D].
#include "formwork/norms/norm.h"

namespace formwork {
namespace {

class LayerNorm final : public Norm {
 public:
  struct Options {
    double eps = 1e-5;
    bool gain = true, bias = true;
    void describe(Fields& f) {
      f.number("eps", eps, "added to the variance", 0, 1);
      f.flag("gain", gain, "multiply by a learned gain");
      f.flag("bias", bias, "add a learned bias");
    }
  };

  LayerNorm(Build& build, const Options& options) : Norm(build), options_(options) {
    Rule rule;
    rule.decay = false;
    rule.init = init::ones();
    if (options.gain) gain_ = build.param("weight", {build.in}, rule);
    rule.init = init::zeros();
    if (options.bias) bias_ = build.param("bias", {build.in}, rule);
    build.restrict(build.in, Group::permute, "LayerNorm subtracts the mean over channels");
    enter(build, "layer_norm", options_json(options), gain_, bias_);
  }

 protected:
  Tensor normalize(Context& ctx, const Tensor& x) override {
    const auto gain = gain_ ? std::optional<Tensor>(ctx.value(*gain_)) : std::nullopt;
    const auto bias = bias_ ? std::optional<Tensor>(ctx.value(*bias_)) : std::nullopt;
    return at::layer_norm(x, {x.size(-1)}, gain, bias, options_.eps);
  }

 private:
  Options options_;
  Param* gain_ = nullptr;
  Param* bias_ = nullptr;
};

FORMWORK_PART(Norm, LayerNorm, "layer_norm",
              "subtract the mean, divide by the deviation, then gain and bias");

}  // namespace
}  // namespace formwork
