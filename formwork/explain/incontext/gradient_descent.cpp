// Gradient descent on the summed error, from w = 0, the gradient clamped to [-clamp, clamp] entry by entry:
//
//   w <- w - rate (2 X^T (X w - y) + 2 lambda w)
//
//   gd    over all examples, `steps` times. With rate 0 it is chosen: for one step 1 / (2 (n + d + 1)), so
//   that
//         w = X^T y / (n + d + 1), the multiple of X^T y of least expected error for x, w ~ N(0, I) and no
//         noise; for more 1 / (2 (s^2 + lambda)), s the greatest singular value of X
//   sgd   once through the examples, each step over the last `window` of them
#include "formwork/explain/incontext/learner.h"

namespace formwork {
namespace {

struct DescentOptions {
  double rate, lambda = 0, clamp = 20;
  explicit DescentOptions(double rate) : rate(rate) {}
  void describe(Fields& f, const char* rate_doc) {
    f.number("rate", rate, rate_doc, 0, 1e3);
    f.number("lambda", lambda, "decay of the weights", 0, 1e6);
    f.number("clamp", clamp, "greatest size of an entry of the gradient; 0: no bound", 0, 1e12);
  }
};

// w [B, d] after a step at rates [B|1, 1].
Tensor stepped(const Tensor& w, const Tensor& x, const Tensor& y, const DescentOptions& options,
               const Tensor& rate) {
  const auto residual = x.matmul(w.unsqueeze(-1)) - y.unsqueeze(-1);
  auto gradient = 2 * x.transpose(1, 2).matmul(residual).squeeze(-1) + 2 * options.lambda * w;
  if (options.clamp > 0) gradient = gradient.clamp(-options.clamp, options.clamp);
  return w - rate * gradient;
}

class GradientDescent final : public LinearLearner {
 public:
  struct Options : DescentOptions {
    int64_t steps = 100;
    Options() : DescentOptions(0.01) {}
    void describe(Fields& f) {
      f.integer("steps", steps, "steps over all examples", 1, 1 << 20);
      DescentOptions::describe(f, "step size; 0: chosen by the examples");
    }
  };
  explicit GradientDescent(const Options& options) : options_(options) {}

  Tensor weights(const Examples& known) const override {
    const int64_t n = known.known(), d = known.x.size(2);
    auto w = at::zeros({known.x.size(0), d}, known.x.options());
    if (n == 0) return w;
    const auto rate = rates(known);
    for (int64_t step = 0; step < options_.steps; ++step) w = stepped(w, known.x, known.y, options_, rate);
    return w;
  }

 private:
  // One step is fine at any rate; more are a power of I - 2 rate (X^T X + lambda I).
  Tensor rates(const Examples& known) const {
    const auto one = [&](double rate) { return at::full({1, 1}, rate, known.x.options()); };
    const auto single = 0.5 / static_cast<double>(known.known() + known.x.size(2) + 1);
    if (options_.steps == 1) return one(options_.rate > 0 ? options_.rate : single);
    const auto curvature = at::linalg_svdvals(known.x).square() + options_.lambda;  // [B, min(n, d)]
    if (options_.rate == 0) return 0.5 / curvature.amax(1, true);
    require_convergence(known, curvature);
    return one(options_.rate);
  }

  void require_convergence(const Examples& known, const Tensor& curvature) const {
    const double radius = (1 - 2 * options_.rate * curvature).abs().max().item<double>();
    if (radius > 1 + 1e-9)
      fail(
          "learner 'gd': rate {:g} diverges on n = {} examples: expected a spectral radius of I - 2 rate "
          "(X^T "
          "X + lambda I) of at most 1, found {:.3g}; choose a lower rate",
          options_.rate, known.known(), radius);
  }

  Options options_;
};

class OnlineDescent final : public LinearLearner {
 public:
  struct Options : DescentOptions {
    int64_t window = 1;
    Options() : DescentOptions(0.02) {}
    void describe(Fields& f) {
      f.integer("window", window, "the last examples that a step is over", 1, 1 << 20);
      DescentOptions::describe(f, "step size");
    }
  };
  explicit OnlineDescent(const Options& options) : options_(options) {}

  Tensor weights(const Examples& known) const override {
    auto w = at::zeros({known.x.size(0), known.x.size(2)}, known.x.options());
    const auto rate = at::full({1, 1}, options_.rate, known.x.options());
    for (int64_t i = 0; i < known.known(); ++i) {
      const int64_t first = std::max<int64_t>(0, i + 1 - options_.window), count = i + 1 - first;
      w = stepped(w, known.x.narrow(1, first, count), known.y.narrow(1, first, count), options_, rate);
    }
    return w;
  }

 private:
  Options options_;
};

FORMWORK_PART(Learner, GradientDescent, "gd", "steps of gradient descent over all examples");
FORMWORK_PART(Learner, OnlineDescent, "sgd", "gradient descent, once through the examples");

}  // namespace
}  // namespace formwork
