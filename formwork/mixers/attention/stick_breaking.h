// Stick-breaking attention over a mixture of attention modules, without positions.
//
//   K = x W_k^T, V = x W_v^T shared by all modules;  module m: q = x W_q^m^T (H heads), y_m = concat_h(o_h)
//   W_o^m^T y = sum over the k modules that a token takes of p_m y_m o_i = sum_{j<=i} a_ij v_j,  a_ij =
//   sigmoid(l_ij) prod_{j<m<=i} (1 - sigmoid(l_im)),  l_ij = q_i . k_j / sqrt(d)
//
// x [B, T, D], the token itself included. With one module there is no router and this is dense stick-breaking
// attention. The losses of the router (formwork/channels/router.h) join the context's auxiliary losses in
// training. Streaming keeps K and V, H d wide whatever n is.
// Source: ModuleFormer: Modularity Emerges from Mixture-of-Experts (2023).
#pragma once
#include "formwork/channels/router.h"
#include "formwork/channels/routes.h"
#include "formwork/core/facet.h"
#include "formwork/mixers/attention/stick_breaking_options.h"
#include "formwork/mixers/token_mixer.h"
#include "formwork/scores/score.h"

namespace formwork {

class StickBreakingAttention final : public TokenMixer, public CostFacet, public MatrixFacet {
 public:
  using Options = StickBreakingOptions;

  StickBreakingAttention(Build& build, const Options& options);
  Traits traits() const override;
  std::unique_ptr<State> make_state(const StateOptions& options) const override;
  Tensor append(Context& ctx, const Tensor& x, State* state) override;
  double flops_per_token(int64_t context) const override;
  // One matrix for each of the H k queries of a token; module c of a token has the heads c, k + c, 2 k + c,
  // ...
  TokenMatrix matrix(Context& ctx, const Tensor& x) override;

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override;

 private:
  // Keys [B, Tk, H, d]; where they are in order from `offset` (none: rows differ), and how many are real.
  struct Keys {
    Tensor k, v, lengths;
    std::optional<int64_t> offset;
    Tensor query_positions;           // [B|1, T], where there is no offset
    const TokenTree* tree = nullptr;  // of the queries; null: each follows the one before it
    Tensor before = {};               // [B] keys before the tree; undefined: none
  };
  // The queries of a token, [B, T, H k, d], and how their mixed values become the output.
  struct Queries {
    Tensor q;
    std::function<Tensor(const Tensor& mixed)> finish;  // [B, T, H k, d] -> [B, T, out]
  };
  void build_maps(Build& build, const Options& options, const Axis& bank);
  std::pair<Tensor, Tensor> keys_values(Context& ctx, const Tensor& x);
  Queries queries(Context& ctx, const Tensor& x);
  Queries routed_queries(Context& ctx, const Tensor& x);
  Tensor weights(Context& ctx, const Tensor& q, const Keys& keys);
  Tensor attend(Context& ctx, const Tensor& q, const Keys& keys);
  Tensor permitted(const Keys& keys, int64_t queries) const;

  std::string path_;
  int64_t modules_ = 1, heads_, width_, active_;
  double scale_;
  std::unique_ptr<Router> router_;  // null: one module
  std::unique_ptr<LinearMap> query_, key_, value_, out_;
  std::unique_ptr<Score> score_;
  Slot weights_tap_;
};

}  // namespace formwork
