// Post-norm wiring (Vaswani et al., 2017): norm(x + f(x)).
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

class PostStep final : public ResidualStep, public SplitFacet {
 public:
  PostStep(Build& build, const LayerOptions& options, const PartSpec& mixer, const PartSpec& channel)
      : ResidualStep(build, options), norm_(make_norm(build, "norm", build.out)) {
    build.input = -1;
    set_body(build, mixer, channel);
  }

  Split carry(SplitPass& pass, const Split& x) override {
    const auto y = normed(pass, *norm_, "norm", add(pass, shortcut(pass, x), body(pass, x)));
    return pass.repaired(y, SplitPlace::mixer);
  }

 protected:
  Tensor join(Context& ctx, const Tensor& x, State* state) override {
    auto branch = regularize(ctx, body(ctx, x, state));
    return norm_->forward(ctx, add(shortcut(ctx, x), std::move(branch)));
  }

 private:
  std::unique_ptr<Norm> norm_;
};

using Post = ResidualWiring<PostStep>;
FORMWORK_PART(Wiring, Post, "post", "norm(x + f(x))");

}  // namespace
}  // namespace formwork
