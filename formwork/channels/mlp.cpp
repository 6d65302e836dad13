// MLP: y = f(x W_up^T + b) W_down^T + b, x [B, T, D], hidden [B, T, F].
#include "formwork/activations/activation.h"
#include "formwork/channels/channel_mixer.h"
#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

class Mlp final : public ChannelMixer {
 public:
  struct Options {
    int64_t hidden = 0;
    PartSpec activation = "gelu";
    bool bias = true;
    double dropout = 0;
    void describe(Fields& f) {
      f.integer("hidden", hidden, "hidden width; 0: 4 x width");
      f.part("activation", activation, "activations", "between the two maps");
      f.flag("bias", bias, "bias on both maps");
      f.number("dropout", dropout, "dropout on the hidden units", 0, 1);
    }
  };

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
    need.role = Role::down, need.in = hidden, need.out = build.out, need.input = -1;
    need.init = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
    down_ = make_linear(build, "down", need);
  }

  Tensor forward(Context& ctx, const Tensor& x) override {
    auto hidden = activation_->forward(ctx, up_->forward(ctx, x));
    return down_->forward(ctx, ctx.dropout(path_ + ".dropout", hidden, options_.dropout));
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
