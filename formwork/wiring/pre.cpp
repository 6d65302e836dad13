// Pre-norm wiring (Xiong et al., 2020): x + f(norm(x)).
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

class PreStep final : public ResidualStep, public SplitFacet {
 public:
  PreStep(Build& build, const LayerOptions& options, const PartSpec& mixer, const PartSpec& channel)
      : ResidualStep(build, options), norm_(make_norm(build, "norm", build.in)) {
    build.input = norm_->output_tap();
    set_body(build, mixer, channel);
  }
  Tensor mixer_input(Context& ctx, const Tensor& x) override { return norm_->forward(ctx, x); }

  Split carry(SplitPass& pass, const Split& x) override {
    return add(pass, shortcut(pass, x), body(pass, normed(pass, *norm_, "norm", x)));
  }

 protected:
  Tensor join(Context& ctx, const Tensor& x, State* state) override {
    const auto [past, normed] = norm_->split(ctx, x);
    auto branch = regularize(ctx, body(ctx, normed, state));
    return add(shortcut(ctx, past), std::move(branch));
  }

 private:
  std::unique_ptr<Norm> norm_;
};

using Pre = ResidualWiring<PreStep>;
FORMWORK_PART(Wiring, Pre, "pre", "x + f(norm(x))");

}  // namespace
}  // namespace formwork
