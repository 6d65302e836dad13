// Stick-breaking attention over a mixture of attention modules, without positions.
//
//   K = x W_k^T, V = x W_v^T shared by all modules; module m: q = x W_q^m^T (H heads), y_m = concat_h(o_h)
//   W_o^m^T y = sum over the k modules that a token takes of p_m y_m;  o_i = sum_{j<=i} a_ij v_j a_ij =
//   sigmoid(l_ij) prod_{j<m<=i} (1 - sigmoid(l_im)),  l_ij = q_i . k_j / sqrt(d), the token itself included
//
// x [B, T, D]. With one module there is no router and this is dense stick-breaking attention. The balance
// loss of the router joins the context's auxiliary losses in training. Streaming keeps K and V, H d wide
// whatever n is. Source: ModuleFormer: Modularity Emerges from Mixture-of-Experts (2023).
#pragma once
#include "formwork/mixers/attention/stick_breaking_router.h"
#include "formwork/mixers/token_mixer.h"
#include "formwork/scores/score.h"

namespace formwork {

class StickBreakingAttention final : public TokenMixer, public CostFacet {
 public:
  struct Options {
    int64_t modules = 1, active = 1, heads = 4, head_width = 0, router_hidden = 256, sample_topk = 0;
    bool bias = true;
    std::string balance = "mi";
    double balance_weight = 0;
    void describe(Fields& f) {
      f.integer("modules", modules, "attention modules (n); 1: no router", 1, 65536);
      f.integer("active", active, "modules that a token takes (k)", 1, 65536);
      f.integer("heads", heads, "heads of a module", 1, 4096);
      f.integer("head_width", head_width, "channels of a head; 0: width / heads", 0, 65536);
      f.integer("router_hidden", router_hidden, "hidden units of the router; 0: one matrix", 0, 1 << 20);
      f.integer("sample_topk", sample_topk, "active modules that are drawn by probability in training");
      f.flag("bias", bias, "bias on keys and values");
      f.choice("balance", balance, {"none", "mi", "switch"}, "loss that balances the load of the modules");
      f.number("balance_weight", balance_weight, "weight of that loss", 0, 1e6);
    }
  };

  StickBreakingAttention(Build& build, const Options& options);
  Traits traits() const override;
  std::unique_ptr<State> make_state(const StateOptions& options) const override;
  Tensor append(Context& ctx, const Tensor& x, State* state) override;
  double flops_per_token(int64_t context) const override;

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override;

 private:
  // Keys [B, Tk, H, d]; where they are in order from `offset` (none: rows differ), and how many are real.
  struct Keys {
    Tensor k, v, lengths;
    std::optional<int64_t> offset;
    Tensor query_positions;  // [B|1, T], where there is no offset
  };
  std::pair<Tensor, Tensor> keys_values(Context& ctx, const Tensor& x);
  Tensor run(Context& ctx, const Tensor& x, const Keys& keys);
  Tensor attend(Context& ctx, const Tensor& q, const Keys& keys);
  Tensor permitted(const Keys& keys, int64_t queries) const;

  std::string path_;
  int64_t modules_, heads_, width_, active_;
  double scale_;
  std::unique_ptr<ModuleRouter> router_;  // null: one module
  std::unique_ptr<LinearMap> query_, key_, value_, out_;
  std::unique_ptr<Score> score_;
  Slot weights_tap_;
};

}  // namespace formwork
