// Sparse mixture of experts (Shazeer et al., 2017; Fedus et al., 2021):
//
//   p = softmax(x W_router^T),  y = sum over the k largest p_e of w_e * expert_e(x)      x [B, T, D], p [E]
//
// w_e = p_e, or p_e / sum of the chosen ones. An expert is an MLP, gated or not; a bank holds them all.
// Tokens are sorted by expert and multiplied in contiguous groups. In training an expert takes at most
// capacity * tokens * k / E of them, first choices and earlier tokens first; what is dropped adds nothing.
// Auxiliary losses in training: balance (Fedus et al., 2021), E * sum_e f_e mean(p_e) with f_e the share of
// choices that fell on e, and z (Zoph et al., 2022), mean(logsumexp(logits)^2). Padding takes no part.
#include "formwork/activations/activation.h"
#include "formwork/channels/channel_mixer.h"
#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

// One choice of one token each, sorted by expert; within an expert first choices first, then by token.
struct Routes {
  Tensor tokens;                // [C] int64
  Tensor weights;               // [C]
  std::vector<int64_t> counts;  // of each expert
};

class Experts final : public ChannelMixer, public CostFacet {
 public:
  struct Options {
    int64_t experts = 8, active = 2, hidden = 0;
    bool gated = true, bias = false, renormalize = true;
    PartSpec activation = "silu";
    double capacity = 0, balance = 0.01, z = 0.001, jitter = 0, dropout = 0;
    void describe(Fields& f) {
      f.integer("experts", experts, "number of experts", 1, 1 << 20);
      f.integer("active", active, "experts for each token; the choice experts_active overrides it", 1,
                1 << 20);
      f.integer("hidden", hidden, "hidden width of an expert; 0: 4 x width, gated 8/3 x width");
      f.flag("gated", gated, "experts are gated MLPs");
      f.part("activation", activation, "activations", "of the experts (on the gate where gated)");
      f.flag("bias", bias, "bias on the maps of the experts");
      f.flag("renormalize", renormalize, "weights of the chosen experts sum to one");
      f.number("capacity", capacity, "in training, tokens an expert takes over its even share; 0: all", 0,
               1e6);
      f.number("balance", balance, "weight of the load-balance loss", 0, 1e6);
      f.number("z", z, "weight of the router's z-loss", 0, 1e6);
      f.number("jitter", jitter, "in training, the router's input is scaled by U(1 - jitter, 1 + jitter)", 0,
               1);
      f.number("dropout", dropout, "dropout on the hidden units", 0, 1);
    }
  };

  Experts(Build& build, const Options& options) : options_(options), path_(build.path()) {
    Build child = build.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
    const Axis experts = build.axis("experts", options.experts, Group::permute);
    const int64_t width = build.in.asked();
    const int64_t usual = options.gated ? (8 * width / 3 + 7) / 8 * 8 : 4 * width;
    const Axis hidden = build.axis("hidden", options.hidden ? options.hidden : usual,
                                   options.gated ? Group::permute : activation_->symmetry());
    count_ = experts.size;
    LinearNeed need;
    need.role = Role::router, need.in = build.in, need.out = experts, need.input = build.input;
    need.init = init::normal(0.02);
    router_ = make_linear(build, "router", need);
    need.bank = experts, need.bias = options.bias;
    need.role = options.gated ? Role::gate_up : Role::up;
    need.out = options.gated ? Dim::concat({{hidden}, {hidden}}) : Dim(hidden);
    up_ = make_linear(build, options.gated ? "gate_up" : "up", need);
    need.role = Role::down, need.in = hidden, need.out = build.out, need.input = -1;
    need.init = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
    down_ = make_linear(build, "down", need);
    probabilities_tap_ = build.tap("probabilities", experts);
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
    const auto active = static_cast<double>(std::min(options_.active, count_));
    return (active - 1) * (up_->flops() + down_->flops());
  }

 private:
  Tensor mix(Context& ctx, const Tensor& x) {  // [N, D]
    const auto routes = route(ctx, x);
    std::vector<Tensor> tokens, outputs, weights;
    int64_t start = 0;
    for (int64_t e = 0; e < count_; ++e) {
      const int64_t count = routes.counts[static_cast<size_t>(e)];
      if (const int64_t taken = std::min(count, limit(ctx, x.size(0))); taken > 0) {
        tokens.push_back(routes.tokens.narrow(0, start, taken));
        weights.push_back(routes.weights.narrow(0, start, taken));
        outputs.push_back(expert(ctx, ctx.tap(routed_tap_, x.index_select(0, tokens.back())), e));
      }
      start += count;
    }
    const auto zero = at::zeros({x.size(0), down_->out()}, x.options().requires_grad(false));
    if (outputs.empty()) return zero;
    const auto y = at::cat(outputs) * at::cat(weights).to(x.scalar_type()).unsqueeze(1);
    return zero.index_add(0, at::cat(tokens), y);
  }

  Tensor expert(Context& ctx, const Tensor& x, int64_t e) {
    auto hidden = up_->forward(ctx, x, e);
    if (options_.gated) {
      const auto both = hidden.chunk(2, -1);
      hidden = activation_->forward(ctx, both[0]) * both[1];
    } else {
      hidden = activation_->forward(ctx, hidden);
    }
    return down_->forward(ctx, ctx.dropout(path_ + ".dropout", hidden, options_.dropout), e);
  }

  Routes route(Context& ctx, const Tensor& x) {
    auto logits = router_->forward(ctx, jittered(ctx, x));
    if (logits.scalar_type() != at::kDouble) logits = logits.to(at::kFloat);
    const auto p = ctx.tap(probabilities_tap_, logits.softmax(-1));
    auto [weights, chosen] = p.topk(active(ctx), -1);  // [N, k]
    if (options_.renormalize) weights = weights / weights.sum(-1, true);
    const auto counts = chosen.flatten().bincount({}, count_);
    if (ctx.mode.train && x.size(0) > 0) add_losses(ctx, logits, p, counts);
    const auto order = chosen.t().flatten().argsort(/*stable=*/true, 0, /*descending=*/false);
    const auto all = counts.cpu();
    return {order.remainder(x.size(0)),
            weights.t().flatten().index_select(0, order),
            {all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + count_}};
  }

  Tensor jittered(Context& ctx, const Tensor& x) const {
    if (!ctx.mode.train || options_.jitter <= 0) return x;
    return x * ctx.draw_uniform(path_ + ".jitter", x.sizes(), 1 - options_.jitter, 1 + options_.jitter,
                                x.options());
  }

  int64_t active(const Context& ctx) const {
    const int64_t k = ctx.choice("experts_active", std::min(options_.active, count_));
    if (k < 1 || k > count_) fail("{}: {} experts cannot be active of {}", path_, k, count_);
    return k;
  }

  int64_t limit(const Context& ctx, int64_t tokens) const {
    if (!ctx.mode.train || options_.capacity <= 0) return tokens;
    const double share =
        static_cast<double>(tokens) * static_cast<double>(active(ctx)) / static_cast<double>(count_);
    return static_cast<int64_t>(std::ceil(options_.capacity * share));
  }

  void add_losses(Context& ctx, const Tensor& logits, const Tensor& p, const Tensor& counts) const {
    if (options_.balance > 0) {
      const auto share = counts.to(p.scalar_type()) / counts.sum();
      ctx.add_loss(path_ + ".balance",
                   (share * p.mean(0)).sum() * (options_.balance * static_cast<double>(count_)));
    }
    if (options_.z > 0) ctx.add_loss(path_ + ".z", logits.logsumexp(-1).square().mean() * options_.z);
  }

  Options options_;
  std::string path_;
  int64_t count_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<LinearMap> router_, up_, down_;
  Slot probabilities_tap_, routed_tap_;
};

FORMWORK_PART(ChannelMixer, Experts, "experts", "a sparse mixture of expert MLPs, k for each token");

}  // namespace
}  // namespace formwork
