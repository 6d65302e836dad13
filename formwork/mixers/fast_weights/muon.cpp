// Muon (Jordan et al., 2024) inside a memory: S_t = theta_t S_{t-1} + G_t, M_t = alpha_t M_{t-1} - eta_t
// NS(S_t), the momentum made nearly orthogonal by Newton-Schulz iterations. Those of all tokens of a segment
// run side by side, so each token has a matrix of its own here.
#include "formwork/mixers/fast_weights/linear_scan.h"
#include "formwork/numerics/newton_schulz.h"

namespace formwork {
namespace {

Tensor for_matrices(const Tensor& numbers) { return numbers.unsqueeze(-1).unsqueeze(-1); }

class InnerMuon final : public InnerOptimizer {
 public:
  struct Options {
    int64_t iterations = 5;
    void describe(Fields& f) { f.integer("iterations", iterations, "Newton-Schulz iterations", 1, 20); }
  };
  InnerMuon(Build&, const Options& options) : iterations_(options.iterations) {}
  bool keeps_momentum() const override { return true; }
  bool reads_metric() const override { return true; }

  Trajectory descend(const Pace& pace, const Descent& descent) const override {
    const auto momenta = momenta_of(pace, descent);  // [B, H, n, rows, columns]
    const auto metric = descent.metric.defined() ? descent.metric.unsqueeze(2) : Tensor();
    const auto directions = newton_schulz(momenta, iterations_, metric);
    const auto decay = linear_scan(pace.decay);
    const auto moved = (decay.kernel * -pace.rate.unsqueeze(-2)).matmul(directions.flatten(3));
    const auto weights =
        at::addcmul(moved.view_as(momenta), for_matrices(decay.carried), descent.weight.unsqueeze(2));
    const int64_t last = weights.size(2) - 1;
    return {[weights](const Tensor& x) { return weights.matmul(x.unsqueeze(-1)).squeeze(-1); },
            weights.select(2, last), momenta.select(2, last)};
  }
  // A step has a size of its own: about 1 for each singular value, whatever the gradient.
  double starting_rate(double) const override { return 0.05; }
  double flops(int64_t rows, int64_t columns, int64_t window, int64_t chunk) const override {
    const auto size = static_cast<double>(rows * columns),
               least = static_cast<double>(std::min(rows, columns));
    const double iteration = 4 * size * least + 2 * least * least * least;
    return static_cast<double>(iterations_) * iteration + 2 * size * static_cast<double>(window + 2 * chunk);
  }

 private:
  static Tensor momenta_of(const Pace& pace, const Descent& descent) {
    const auto momentum = linear_scan(pace.momentum);
    const auto sums = momentum.kernel.matmul(pace.window);  // [B, H, n, m]
    const auto& [left, right] = descent.gradients;
    const auto scaled = sums.unsqueeze(-2) * left.transpose(-2, -1).unsqueeze(2);  // [B, H, n, rows, m]
    const auto added = scaled.flatten(2, 3).matmul(right).unflatten(2, {scaled.size(2), scaled.size(3)});
    return at::addcmul(added, for_matrices(momentum.carried), descent.momentum.unsqueeze(2));
  }

  int64_t iterations_;
};

FORMWORK_PART(InnerOptimizer, InnerMuon, "muon", "momentum made nearly orthogonal (Newton-Schulz)");

}  // namespace
}  // namespace formwork
