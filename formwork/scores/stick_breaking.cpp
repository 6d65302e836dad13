// Stick-breaking: each query breaks a stick from its last permitted key backwards, beta = sigmoid(l).
//
//   w_j = beta_j prod_{m > j} (1 - beta_m)   over permitted keys, in log space; the sum is at most 1
//
// Sums are float32 at least: the product form underflows after a few hundred keys. Meant for causal
// attention. Source: ModuleFormer: Modularity Emerges from Mixture-of-Experts (2023).
#include "formwork/scores/score.h"

namespace formwork {
namespace {

class StickBreaking final : public Score {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  StickBreaking(Build&, const Options&) {}

  Tensor weights(Context&, const Tensor& logits, const Tensor& permitted) override {
    if (logits.size(-1) == 0) return logits;
    const auto l = logits.to(at::promote_types(logits.scalar_type(), at::kFloat));
    auto rest = at::log_sigmoid(-l);
    // A barred key takes nothing of the stick: its factor is 1, so its logarithm is 0 (and never 0 * -inf).
    if (permitted.defined()) rest = rest.masked_fill(permitted.logical_not(), 0);
    const auto suffix = rest.flip({-1}).cumsum(-1).flip({-1});
    const auto after = at::constant_pad_nd(suffix.narrow(-1, 1, l.size(-1) - 1), {0, 1});
    auto weights = (at::log_sigmoid(l) + after).exp();
    if (permitted.defined()) weights = weights.masked_fill(permitted.logical_not(), 0);
    return weights.to(logits.scalar_type());
  }
};

FORMWORK_PART(Score, StickBreaking, "stick_breaking",
              "sigmoids that share a stick of length 1, nearest key first");

}  // namespace
}  // namespace formwork
