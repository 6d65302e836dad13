// Sparse mixture of experts (Shazeer et al., 2017; Fedus et al., 2021):
//
//   p = softmax(logits of the router),  y = sum over the k largest p_e of w_e * expert_e(x)     x [B, T, D]
//
// w_e = p_e, or p_e / sum of the chosen ones. An expert is an MLP, gated or not; a bank holds them all.
// Tokens are sorted by expert and multiplied in contiguous groups. In training an expert takes at most
// capacity * tokens * k / E of them, first choices and earlier tokens first; what is dropped adds nothing.
// Padding takes no part. Router and losses: formwork/channels/router.h.
#include "formwork/activations/activation.h"
#include "formwork/channels/channel_mixer.h"
#include "formwork/channels/experts_options.h"
#include "formwork/channels/router.h"
#include "formwork/channels/routes.h"
#include "formwork/linear/grouped.h"

namespace formwork {
namespace {

class Experts final : public ChannelMixer, public CostFacet {
 public:
  using Options = ExpertsOptions;

  Experts(Build& build, const Options& options) : options_(options), path_(build.path()) {
    Build child = build.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
    const Axis experts = build.axis("experts", options.experts, Group::permute);
    const int64_t width = build.in.asked();
    const int64_t usual = options.gated ? (8 * width / 3 + 7) / 8 * 8 : 4 * width;
    const Axis hidden = build.axis("hidden", options.hidden ? options.hidden : usual,
                                   options.gated ? Group::permute : activation_->symmetry());
    count_ = experts.size;
    router_ = std::make_unique<Router>(build, experts, options.router, "experts_active");
    const bool published = options.start == "inverse_fan_in";
    LinearNeed need;
    need.in = build.in, need.input = build.input, need.bank = experts, need.bias = options.bias;
    need.role = options.gated ? Role::gate_up : Role::up;
    need.out = options.gated ? Dim::concat({{hidden}, {hidden}}) : Dim(hidden);
    need.init = published ? init::uniform(1 / static_cast<double>(width)) : init::normal(0.02);
    up_ = make_linear(build, options.gated ? "gate_up" : "up", need);
    need.role = Role::down, need.in = hidden, need.out = build.out, need.input = -1;
    need.init = published ? init::uniform(1 / static_cast<double>(hidden.asked()))
                          : init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
    down_ = make_linear(build, "down", need);
    routed_tap_ = build.tap("routed", build.in);
  }

  Tensor forward(Context& ctx, const Tensor& x) override {
    const auto keep = ctx.layout ? ctx.layout->keep(x.size(1)) : Tensor();
    const auto flat = x.flatten(0, 1);  // [N, D]
    const auto real = keep.defined() ? keep.flatten().nonzero().squeeze(1) : Tensor();
    const auto tokens = real.defined() ? flat.index_select(0, real) : flat;
    auto y = mix(ctx, tokens);
    if (real.defined()) y = at::zeros({flat.size(0), y.size(1)}, y.options()).index_copy(0, real, y);
    return y.view({x.size(0), x.size(1), -1});
  }

  // Beyond one expert, which the maps count.
  double flops_per_token(int64_t) const override {
    return static_cast<double>(options_.router.active - 1) * (up_->flops() + down_->flops());
  }

 private:
  Tensor mix(Context& ctx, const Tensor& x) {  // [N, D]
    const auto choice = router_->choose(ctx, x, {});
    const Routes routes(choice.modules, count_, limit(ctx, x.size(0)));
    const auto rows = ctx.tap(routed_tap_, routes.gather(x));
    return routes.combine(expert_rows(ctx, rows, routes.counts()), choice.gates);
  }

  Tensor expert_rows(Context& ctx, const Tensor& rows, const std::vector<int64_t>& counts) {
    auto hidden = grouped_forward(ctx, *up_, rows, counts);
    if (options_.gated) {
      const auto both = hidden.chunk(2, -1);
      hidden = activation_->forward(ctx, both[0]) * both[1];
    } else {
      hidden = activation_->forward(ctx, hidden);
    }
    return grouped_forward(ctx, *down_, ctx.dropout(path_ + ".dropout", hidden, options_.dropout), counts);
  }

  int64_t limit(const Context& ctx, int64_t tokens) const {
    if (!ctx.mode.train || options_.capacity <= 0) return -1;
    const double share =
        static_cast<double>(tokens) * static_cast<double>(router_->active(ctx)) / static_cast<double>(count_);
    return static_cast<int64_t>(std::ceil(options_.capacity * share));
  }

  Options options_;
  std::string path_;
  int64_t count_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<LinearMap> up_, down_;
  Slot routed_tap_;
};

FORMWORK_PART(ChannelMixer, Experts, "experts", "a sparse mixture of expert MLPs, k for each token");

}  // namespace
}  // namespace formwork
