// Discrete Mamba-2: a state space model with heads whose decay is read off each token and whose input is
// taken as it is, so that a head is one causal matrix that can take the place of attention's.
//
//   h_t = lambda_t h_{t-1} + x_t B_t^T,  lambda_t = sigmoid(-a_t);   y_t = h_t C_t + D x_t
//   M[t, s] = C_t . B_s lambda_{s+1} .. lambda_t for s < t,   M[t, t] = C_t . B_t + D;   y = M x
//
// in a frame (gated_frame.h) whose convolution gives [x, B, C] and beside which a goes. x [B, T, H, P]; B, C
// [B, T, G, N], one for the H / G heads of a group; a [B, T, H]; D [H]; h [B, H, P, N]. Products of lambda
// are sums of its logarithm, -softplus(a), which neither overflow nor vanish. Without decay (lambda = 1, no
// a) it is causal linear attention without a normalizer. Facet `matrix`: M. Source: Transformers to SSMs:
// Distilling Quadratic Knowledge to Subquadratic Models (2024).
#include "formwork/core/facet.h"
#include "formwork/mixers/recurrent/discrete_mamba2_options.h"
#include "formwork/mixers/recurrent/dual_scan.h"
#include "formwork/mixers/recurrent/gated_frame.h"
#include "formwork/mixers/recurrent/recurrent_state.h"
#include "formwork/mixers/recurrent/step_sizes.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {
namespace {

class DiscreteMamba2 final : public TokenMixer, public CostFacet, public MatrixFacet {
 public:
  using Options = DiscreteMamba2Options;

  DiscreteMamba2(Build& build, const Options& options) : options_(options), path_(build.path()) {
    const int64_t width = GatedFrame::head_width(build, options);
    const int64_t groups = options.groups ? options.groups : options.heads;
    if (options.heads % groups)
      fail("{}: {} heads cannot be shared evenly among {} groups", path_, options.heads, groups);
    // Heads are groups times the heads of a group, so that cutting a group takes its heads along.
    groups_ = build.axis("groups", groups);
    build.restrict(groups_, Group::permute, "each group has input and output matrices of its own");
    heads_ = build.axis("heads", options.heads / groups);
    build.restrict(heads_, Group::permute, "each head has decays of its own");
    width_ = build.axis("head_width", width);
    state_ = build.axis("state", options.d_state);
    GatedFrameAxes axes;
    axes.channels = {groups_, heads_, width_};
    axes.convolved = {{groups_, state_}, {groups_, state_}};
    if (options.decay) axes.loose = {{groups_, heads_}};
    frame_.emplace(build, options, axes);
    Rule rule;
    rule.init = init::ones(), rule.decay = false, rule.keep_dtype = true;
    skip_ = build.param("D", {Dim::product({groups_, heads_})}, rule);
  }

  Traits traits() const override {
    Traits traits;
    traits.causal = true;
    return traits;
  }
  double flops_per_token(int64_t) const override {
    // Of the recurrence: decay and add, contraction, each 2 per state of a channel; then skip and gate.
    return static_cast<double>(frame_->inner()) * (4.0 * static_cast<double>(state_.size) + 8);
  }

  TokenMatrix matrix(Context& ctx, const Tensor& u) override {
    if (ctx.layout && ctx.layout->packed()) fail("{}: facet 'matrix' does not take packed rows", path_);
    const auto parts = frame_->enter(ctx, u, nullptr);
    const auto scan = prepare(ctx, parts);
    return {dual_scan_matrix(scan), scan.x.transpose(1, 2),
            [this, &ctx, gate = parts.gate, type = u.scalar_type()](const Tensor& mixed) {
              return frame_->leave(ctx, mixed.transpose(1, 2).flatten(2), gate, type);
            }};
  }

  // The window of the convolution [B, K, H P + 2 G N], and h.
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    const auto wide = at::promote_types(options.dtype, at::kFloat);
    const auto like = at::TensorOptions(wide).device(options.device);
    return std::make_unique<RecurrentState>(
        std::vector<Tensor>{frame_->empty_window(options),
                            at::zeros({options.batch, heads(), width_.size, state_.size}, like)},
        options.reversible);
  }
  Tensor append(Context& ctx, const Tensor& u, State* state) override {
    auto& recurrent = static_cast<RecurrentState&>(*state);
    recurrent.check_rows(path_, u);
    const auto parts = frame_->enter(ctx, u, &recurrent.value(0));
    auto scan = prepare(ctx, parts);
    scan.h0 = recurrent.value(1).to(scan.x.scalar_type());
    const auto [y, h] = dual_scan(scan, options_.chunk);
    recurrent.advance({frame_->window_after(ctx, recurrent.value(0), parts.read), h});
    return frame_->leave(ctx, y.flatten(2), parts.gate, u.scalar_type());
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& u) override {
    const auto parts = frame_->enter(ctx, u, nullptr);
    const auto y = dual_scan(prepare(ctx, parts), options_.chunk).first;
    return frame_->leave(ctx, y.flatten(2), parts.gate, u.scalar_type());
  }

 private:
  int64_t heads() const { return groups_.size * heads_.size; }

  DualScan prepare(Context& ctx, const GatedFrame::Parts& parts) {
    const auto& skip = ctx.value(*skip_);
    // The exponentials and the states stay in float32 at least.
    const auto type = at::promote_types(skip.scalar_type(), parts.convolved.scalar_type());
    const int64_t states = groups_.size * state_.size;
    const auto xbc = parts.convolved.to(type).split_with_sizes({frame_->inner(), states, states}, -1);
    DualScan scan;
    scan.x = xbc[0].unflatten(-1, {heads(), width_.size});
    scan.B = xbc[1].unflatten(-1, {groups_.size, state_.size});
    scan.C = xbc[2].unflatten(-1, {groups_.size, state_.size});
    scan.D = skip.to(type);
    scan.A = at::full({heads()}, -1, scan.x.options().requires_grad(false));
    const int64_t batch = scan.x.size(0), tokens = scan.x.size(1);
    const auto delta = options_.decay ? at::softplus(parts.loose.to(type))
                                      : at::zeros({batch, tokens, heads()}, scan.A.options());
    scan.delta = steps_of_real_tokens(ctx, delta);
    if (ctx.layout && ctx.layout->lengths.defined())  // padding leaves the state as it is
      scan.gain = steps_of_real_tokens(ctx, at::ones({batch, tokens, heads()}, scan.A.options()));
    return scan;
  }

  Options options_;
  std::string path_;
  Axis groups_, heads_, width_, state_;  // heads_: of one group
  std::optional<GatedFrame> frame_;
  Param* skip_;
};

FORMWORK_PART(TokenMixer, DiscreteMamba2, "discrete_mamba2",
              "state space model that is one causal matrix a head; without decay, linear attention");

}  // namespace
}  // namespace formwork
