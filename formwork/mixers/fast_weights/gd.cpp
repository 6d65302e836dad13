// Gradient descent: M_t = alpha_t M_{t-1} - eta_t G_t.
#include "formwork/mixers/fast_weights/linear_scan.h"

namespace formwork {
namespace {

class GradientDescent final : public InnerOptimizer {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  GradientDescent(Build&, const Options&) {}
  Trajectory descend(const Pace& pace, const Descent& descent) const override {
    const auto decay = linear_scan(pace.decay);
    const auto steps = decay.kernel * -pace.rate.unsqueeze(-2);
    const LinearPath path{decay.carried, {}, steps.matmul(pace.window)};
    return {apply_along(path, descent), end_of(path, descent), {}};
  }
};

FORMWORK_PART(InnerOptimizer, GradientDescent, "gd", "gradient descent");

}  // namespace
}  // namespace formwork
