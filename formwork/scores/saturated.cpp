// Saturated attention (Merrill, Sabharwal and Smith, "Saturated Transformers are Constant-Depth Threshold
// Circuits", 2022): equal weights on all permitted keys of the largest logit, the limit of softmax as the
// logits grow. The weights are piecewise constant, so no gradient reaches the logits.
#include "formwork/scores/score.h"

namespace formwork {
namespace {

class Saturated final : public Score {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Saturated(Build&, const Options&) {}
  Tensor weights(Context&, const Tensor& logits, const Tensor& permitted) override {
    if (logits.size(-1) == 0) return logits;
    const auto seen = permitted.defined() ? logits.masked_fill(permitted.logical_not(), -INFINITY) : logits;
    auto best = seen.eq(seen.amax(-1, true));
    if (permitted.defined()) best = best.logical_and(permitted);
    const auto chosen = best.to(logits.scalar_type());
    return chosen / chosen.sum(-1, true).clamp_min(1);
  }
};

FORMWORK_PART(Score, Saturated, "saturated", "equal weights on the largest logits");

}  // namespace
}  // namespace formwork
