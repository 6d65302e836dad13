// Gradient descent with momentum (Polyak, 1964): S_t = theta_t S_{t-1} + G_t, M_t = alpha_t M_{t-1} - eta_t
// S_t. The momentum of every token counts, not that of a chunk.
#include "formwork/mixers/fast_weights/linear_scan.h"

namespace formwork {
namespace {

class Momentum final : public InnerOptimizer {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Momentum(Build&, const Options&) {}
  bool keeps_momentum() const override { return true; }
  Trajectory descend(const Pace& pace, const Descent& descent) const override {
    const auto decay = linear_scan(pace.decay), momentum = linear_scan(pace.momentum);
    const auto steps = decay.kernel * -pace.rate.unsqueeze(-2), sums = momentum.kernel.matmul(pace.window);
    const LinearPath path{decay.carried, steps.matmul(momentum.carried.unsqueeze(-1)).squeeze(-1),
                          steps.matmul(sums)};
    const auto last = momentum.carried.size(-1) - 1;
    const auto kept = momentum.carried.select(-1, last).unsqueeze(-1).unsqueeze(-1);
    return {apply_along(path, descent), end_of(path, descent),
            descent.momentum * kept + weighted_sum(descent.gradients, sums.select(-2, last))};
  }
  // A gradient acts about ten times where theta begins at 0.9.
  double starting_rate(double curvature) const override {
    return InnerOptimizer::starting_rate(curvature) * 0.1;
  }
};

FORMWORK_PART(InnerOptimizer, Momentum, "momentum", "gradient descent with momentum");

}  // namespace
}  // namespace formwork
