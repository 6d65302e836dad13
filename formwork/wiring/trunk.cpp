// Trunk-norm wiring: n + f(n), n = norm(x). The norm lies on the stream itself, so what goes past f is the
// normalized value, unlike in pre-norm. It is that of the released code of What learning algorithm is
// in-context learning? Investigations with linear models (Akyurek et al., 2023).
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

class TrunkStep final : public ResidualStep, public SplitFacet {
 public:
  TrunkStep(Build& build, const LayerOptions& options, const PartSpec& mixer, const PartSpec& channel)
      : ResidualStep(build, options), norm_(make_norm(build, "norm", build.in)) {
    build.input = norm_->output_tap();
    // The shortcut reads it too, so it cannot fold into the maps of the body.
    build.reads_input_directly();
    set_body(build, mixer, channel);
  }
  Tensor mixer_input(Context& ctx, const Tensor& x) override { return norm_->forward(ctx, x); }

  Split carry(SplitPass& pass, const Split& x) override {
    const auto trunk = normed(pass, *norm_, "norm", x);
    return add(pass, shortcut(pass, trunk), body(pass, trunk));
  }

 protected:
  Tensor join(Context& ctx, const Tensor& x, State* state) override {
    const auto normed = norm_->forward(ctx, x);
    auto branch = regularize(ctx, body(ctx, normed, state));
    return add(shortcut(ctx, normed), std::move(branch));
  }

 private:
  std::unique_ptr<Norm> norm_;
};

using Trunk = ResidualWiring<TrunkStep>;
FORMWORK_PART(Wiring, Trunk, "trunk", "n + f(n), n = norm(x)");

}  // namespace
}  // namespace formwork
