// MLP: y = f(x W_up^T + b) W_down^T + b, x [B, T, D], hidden [B, T, F].
#include "formwork/activations/activation.h"
#include "formwork/channels/channel_mixer.h"
#include "formwork/channels/hidden_units.h"
#include "formwork/channels/mlp_options.h"
#include "formwork/linear/split_linear.h"

namespace formwork {
namespace {

class Mlp final : public ChannelMixer, public SplitFacet {
 public:
  using Options = MlpOptions;

  Mlp(Build& build, const Options& options) : options_(options), path_(build.path()) {
    Build child = build.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
    const Axis hidden =
        build.axis("hidden", options.hidden ? options.hidden : 4 * build.in.asked(), activation_->symmetry());
    LinearNeed need;
    need.role = Role::up, need.in = build.in, need.out = hidden, need.bias = options.bias,
    need.input = build.input;
    need.init = init::normal(0.02);
    up_ = make_linear(build, "up", need);
    down_ = make_down(build, hidden, options.bias);
  }

  Tensor forward(Context& ctx, const Tensor& x) override {
    auto hidden = activation_->forward(ctx, up_->forward(ctx, x));
    return down_->forward(ctx, ctx.dropout(path_ + ".dropout", hidden, options_.dropout));
  }

  Split carry(SplitPass& pass, const Split& x) override {
    const auto up = pass.repaired(through(pass, *up_, x), SplitPlace::channel);
    const auto hidden = pass.through(*activation_, path_ + ".activation", up);
    return pass.repaired(through(pass, *down_, hidden), SplitPlace::channel);
  }

 private:
  Options options_;
  std::string path_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<LinearMap> up_, down_;
};

FORMWORK_PART(ChannelMixer, Mlp, "mlp", "two maps with an activation between them");

}  // namespace
}  // namespace formwork
