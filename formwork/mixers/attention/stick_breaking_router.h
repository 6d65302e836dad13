// The router of a mixture of attention modules, and the batches that it makes.
//
//   p = softmax(W2 GELU(W1 h)) over all n modules; each token takes k of them, with gate p (not renormalized)
//
// Source: ModuleFormer: Modularity Emerges from Mixture-of-Experts (2023).
#pragma once
#include "formwork/linear/linear_map.h"

namespace formwork {

// Of N tokens, k modules each.
struct ModuleChoice {
  Tensor modules;  // [N, k] int64
  Tensor gates;    // [N, k]
};

// How modules share the tokens, over real tokens alone; p = softmax(logits), logits [B, T, n].
//   "mi"      H(m | x) - H(m): tokens choose sharply, modules are used alike (-ln n at best)
//   "switch"  n sum_m f_m P_m + 0.1 mean (logsumexp logits)^2; f, P: share of choices [B, T, k] and of p
Tensor mutual_information_loss(const Context& ctx, const Tensor& logits);
Tensor switch_balance_loss(const Context& ctx, const Tensor& logits, const Tensor& modules);

class ModuleRouter {
 public:
  struct Options {
    int64_t active = 1;   // k
    int64_t sample = 0;   // of them, drawn in proportion to p in training
    int64_t hidden = 0;   // units of W1; 0: one matrix
    std::string balance;  // "none", "mi", "switch"
    double weight = 0;    // of the balance loss
  };
  ModuleRouter(const Build& build, const Axis& modules, const Options& options);
  ModuleChoice choose(Context& ctx, const Tensor& x);  // x [B, T, D], N = B T

 private:
  Tensor draw(Context& ctx, const Tensor& p, int64_t k) const;
  void add_balance_loss(Context& ctx, const Tensor& logits, const Tensor& modules) const;

  Options options_;
  std::string path_;
  int64_t modules_;
  std::unique_ptr<LinearMap> inner_, router_;
};

// The N k pairs of a token and a module that it takes, sorted by module, so that each module's matrix
// multiplies its rows at once.
class ModulePairs {
 public:
  ModulePairs(const Tensor& modules, int64_t count);
  // W_m x for each pair: x [N, in] (of the token) or [N, k, in] (of the pair) -> [N, k, out].
  Tensor product(Context& ctx, LinearMap& bank, const Tensor& x) const;

 private:
  int64_t active_;
  Tensor order_, places_;  // pairs in sorted order; where each pair went
  std::vector<int64_t> counts_;
};

}  // namespace formwork
