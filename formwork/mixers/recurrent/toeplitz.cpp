// Toeplitz mixing: one causal filter a head, whose tap for a distance of k tokens is read off token k,
//
//   M[t, s] = f_{t-s} for s <= t,   f [B, T, H] = u W_f^T;   y = M x
//
// in the frame of discrete Mamba-2 (gated_frame.h), whose convolution gives x and beside which f goes, so
// that the two differ in the class of their matrices. A pass takes O(T^2) operations and a state keeps f and
// x of all tokens. Facet `matrix`: M. Source: the Toeplitz mixer of Transformers to SSMs: Distilling
// Quadratic Knowledge to Subquadratic Models (2024).
#include "formwork/core/facet.h"
#include "formwork/mixers/attention/kv_cache.h"
#include "formwork/mixers/paired_state.h"
#include "formwork/mixers/recurrent/gated_frame.h"
#include "formwork/mixers/recurrent/recurrent_state.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {
namespace {

class Toeplitz final : public TokenMixer, public CostFacet, public MatrixFacet {
 public:
  using Options = GatedFrameOptions;

  Toeplitz(Build& build, const Options& options) : path_(build.path()) {
    const int64_t width = GatedFrame::head_width(build, options);
    heads_ = build.axis("heads", options.heads);
    build.restrict(heads_, Group::permute, "each head has a filter of its own");
    width_ = build.axis("head_width", width);
    GatedFrameAxes axes;
    axes.channels = {heads_, width_};
    axes.loose = {{heads_}};
    frame_.emplace(build, options, axes);
  }

  Traits traits() const override {
    Traits traits;
    traits.causal = true;
    return traits;
  }
  double flops_per_token(int64_t context) const override {
    return static_cast<double>(frame_->inner()) * (2.0 * static_cast<double>(context) + 6);
  }

  TokenMatrix matrix(Context& ctx, const Tensor& u) override {
    if (ctx.layout && ctx.layout->packed()) fail("{}: facet 'matrix' does not take packed rows", path_);
    const auto parts = frame_->enter(ctx, u, nullptr);
    return {of_filter(parts.loose, places(u, u.size(1))), values_of(parts).transpose(1, 2),
            [this, &ctx, gate = parts.gate, type = u.scalar_type()](const Tensor& mixed) {
              return frame_->leave(ctx, mixed.transpose(1, 2).flatten(2), gate, type);
            }};
  }

  // The window of the convolution [B, K, H P]; f and x of all tokens.
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return std::make_unique<PairedState>(
        std::make_unique<RecurrentState>(std::vector<Tensor>{frame_->empty_window(options)},
                                         options.reversible),
        std::make_unique<KvCache>(options, KvCacheShape{heads_.size, 1, width_.size, 0}));
  }
  Tensor append(Context& ctx, const Tensor& u, State* state) override {
    auto& both = static_cast<PairedState&>(*state);
    auto& window = static_cast<RecurrentState&>(*both.first);
    auto& cache = static_cast<KvCache&>(*both.second);
    window.check_rows(path_, u);
    const auto parts = frame_->enter(ctx, u, &window.value(0));
    const auto before = cache.lengths();
    cache.append(parts.loose.unsqueeze(-1), values_of(parts), ctx.layout ? ctx.layout->lengths : Tensor());
    window.advance({frame_->window_after(ctx, window.value(0), parts.read)});
    const auto matrix =
        of_filter(cache.keys().squeeze(-1), before.unsqueeze(1) + places(u, u.size(1)));  // [B, H, n, T]
    return mixed(ctx, matrix, cache.values().transpose(1, 2), parts.gate, u.scalar_type());
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& u) override {
    const auto parts = frame_->enter(ctx, u, nullptr);
    return mixed(ctx, of_filter(parts.loose, places(u, u.size(1))), values_of(parts).transpose(1, 2),
                 parts.gate, u.scalar_type());
  }

 private:
  static Tensor places(const Tensor& like, int64_t count) {
    return at::arange(count, at::TensorOptions(at::kLong).device(like.device())).unsqueeze(0);
  }
  Tensor values_of(const GatedFrame::Parts& parts) const {
    return parts.convolved.unflatten(-1, {heads_.size, width_.size});
  }
  // Rows of M for the tokens at places [B|1, n]: filter [B, T, H] -> [B, H, n, T].
  static Tensor of_filter(const Tensor& filter, const Tensor& at_places) {
    const int64_t tokens = filter.size(1), batch = filter.size(0);
    const auto distance = at_places.unsqueeze(-1) - places(filter, tokens);  // [B|1, n, T]
    const auto index =
        distance.clamp(0, tokens - 1).flatten(1).unsqueeze(1).expand({batch, filter.size(2), -1});
    const auto taps = filter.transpose(1, 2).gather(2, index).unflatten(2, {-1, tokens});
    return taps * distance.ge(0).unsqueeze(1).to(filter.scalar_type());
  }
  Tensor mixed(Context& ctx, const Tensor& matrix, const Tensor& values, const Tensor& gate,
               at::ScalarType type) {
    return frame_->leave(ctx, matrix.matmul(values).transpose(1, 2).flatten(2), gate, type);
  }

  std::string path_;
  Axis heads_, width_;
  std::optional<GatedFrame> frame_;
};

FORMWORK_PART(TokenMixer, Toeplitz, "toeplitz", "one causal filter a head, read off the tokens");

}  // namespace
}  // namespace formwork
