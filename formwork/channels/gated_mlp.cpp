// Gated MLP (Shazeer, 2020): y = (f(x W_gate^T) * x W_up^T) W_down^T. With f = sigmoid it is GLU, with
// relu ReGLU, with gelu GEGLU, with silu SwiGLU. Gate and up are one map, gate first: [2F, D].
#include "formwork/activations/activation.h"
#include "formwork/channels/channel_mixer.h"
#include "formwork/channels/hidden_units.h"
#include "formwork/channels/mlp_options.h"
#include "formwork/linear/split_linear.h"

namespace formwork {
namespace {

class GatedMlp final : public ChannelMixer, public SplitFacet {
 public:
  using Options = GatedMlpOptions;

  GatedMlp(Build& build, const Options& options) : options_(options), path_(build.path()) {
    Build child = build.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
    const int64_t size = options.hidden ? options.hidden : (8 * build.in.asked() / 3 + 7) / 8 * 8;
    const Axis hidden = build.axis("hidden", size, Group::permute);
    LinearNeed need;
    need.role = Role::gate_up, need.in = build.in, need.out = Dim::concat({{hidden}, {hidden}});
    need.bias = options.bias, need.input = build.input, need.init = init::normal(0.02);
    gate_up_ = make_linear(build, "gate_up", need);
    down_ = make_down(build, hidden, options.bias);
  }

  Tensor forward(Context& ctx, const Tensor& x) override {
    const auto hidden = activation_->gate(ctx, gate_up_->forward(ctx, x));
    return down_->forward(ctx, ctx.dropout(path_ + ".dropout", hidden, options_.dropout));
  }

  Split carry(SplitPass& pass, const Split& x) override {
    const auto up = pass.repaired(through(pass, *gate_up_, x), SplitPlace::channel);
    return pass.repaired(through(pass, *down_, activation_->carry_gate(pass, up)), SplitPlace::channel);
  }

 private:
  Options options_;
  std::string path_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<LinearMap> gate_up_, down_;
};

FORMWORK_PART(ChannelMixer, GatedMlp, "gated_mlp",
              "an MLP whose hidden units are gated: GLU, ReGLU, GEGLU, SwiGLU");

}  // namespace
}  // namespace formwork
