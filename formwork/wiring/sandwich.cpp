// Sandwich wiring (Ding et al., 2021; Gemma 2): x + norm_2(f(norm_1(x))).
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

class SandwichStep final : public ResidualStep, public SplitFacet {
 public:
  SandwichStep(Build& build, const LayerOptions& options, const PartSpec& mixer, const PartSpec& channel)
      : ResidualStep(build, options), norm_(make_norm(build, "norm", build.in)) {
    build.input = norm_->output_tap();
    set_body(build, mixer, channel);
    after_ = make_norm(build, "norm_after", build.out);
  }
  Tensor mixer_input(Context& ctx, const Tensor& x) override { return norm_->forward(ctx, x); }

  Split carry(SplitPass& pass, const Split& x) override {
    const auto y = body(pass, normed(pass, *norm_, "norm", x));
    return add(pass, shortcut(pass, x), normed(pass, *after_, "norm_after", y));
  }

 protected:
  Tensor join(Context& ctx, const Tensor& x, State* state) override {
    const auto [past, normed] = norm_->split(ctx, x);
    auto branch = regularize(ctx, after_->forward(ctx, body(ctx, normed, state)));
    return add(shortcut(ctx, past), std::move(branch));
  }

 private:
  std::unique_ptr<Norm> norm_, after_;
};

using Sandwich = ResidualWiring<SandwichStep>;
FORMWORK_PART(Wiring, Sandwich, "sandwich", "x + norm_2(f(norm_1(x)))");

}  // namespace
}  // namespace formwork
