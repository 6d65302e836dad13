// A router: which k of n modules (experts, attention modules) each token takes, and with what weight.
//
//   linear  l = W h        mlp  l = W2 GELU(W1 h + b)        gmm  l_m = cos(W1 h, c_m) exp(temperature)
//   p = softmax(l) over all n;  modules = the k largest;  gates = p of these, or p over their sum
//
// Pruned modules may leave their rows behind (axis "removed" in the Spec's table): these enter the softmax,
// so that the gates of the others stay as they were, and are never chosen. Tap "gates" [N, n]: the weight of
// each module, 0 where it was not chosen or the token is padding.
// Sources: Shazeer et al., 2017; ModuleFormer: Modularity Emerges from Mixture-of-Experts (2023).
#pragma once
#include "formwork/channels/router_options.h"
#include "formwork/linear/linear_map.h"

namespace formwork {

// Where in a Spec's JSON a part asks for the load-concentration loss. Trained with it from the start, all
// tokens soon take the same few modules and the others never learn: it is meant for a trained model.
std::vector<std::string> concentrating_parts(const Json& spec, const std::string& path = {});

// Of N tokens, k modules each.
struct RouterChoice {
  Tensor modules;  // [N, k] int64
  Tensor gates;    // [N, k]
};

class Router {
 public:
  // `choice`: the name of the pass's choice that overrides k. Throws for k > n, sample_topk > k, and options
  // that leave each other without effect.
  Router(const Build& build, const Axis& modules, const RouterOptions& options, std::string choice);
  // x [N, D]; in training the losses "<part>.balance" and "<part>.z" are taken over the rows `real` [R] int64
  // (undefined: all), and "<part>.grown" over rows of the router.
  RouterChoice choose(Context& ctx, const Tensor& x, const Tensor& real);
  int64_t active(const Context& ctx) const;

 private:
  void require_active(int64_t k) const;
  void build_hidden(const Build& build, LinearNeed& need);
  void build_removed(const Build& build, LinearNeed need);
  Tensor hidden(Context& ctx, const Tensor& x);
  Tensor logits(Context& ctx, LinearMap& rows, const Tensor& hidden);
  Tensor draw(Context& ctx, const Tensor& p, int64_t k) const;
  void add_losses(Context& ctx, const Tensor& logits, const Tensor& modules);

  RouterOptions options_;
  std::string path_, choice_;
  int64_t modules_, grown_ = 0;
  std::unique_ptr<LinearMap> inner_, router_, removed_;
  Param* temperature_ = nullptr;
  Slot probabilities_tap_, gates_tap_;
};

}  // namespace formwork
