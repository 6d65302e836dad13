// Least squares and ridge regression:
//
//   ols     w = X^+ y, of all w with the least error the one of least norm (singular values below 1e-10 of
//   the
//           largest count as 0)
//   ridge   w = (X^T X + lambda I)^-1 X^T y; with lambda = 0 that of ols
//   bayes   ridge with lambda = sigma^2 / tau^2: the mean of w given the examples, for w ~ N(0, tau^2 I) and
//           noise of variance sigma^2, which has the least expected error
#include "formwork/explain/incontext/learner.h"

namespace formwork {
namespace {

constexpr double kCutOff = 1e-10;

Tensor ridge_weights(const Examples& known, double lambda) {
  const auto& x = known.x;
  const int64_t rows = x.size(0), d = x.size(2);
  if (known.known() == 0) return at::zeros({rows, d}, x.options());
  const auto y = known.y.unsqueeze(-1);
  if (lambda == 0) return at::linalg_pinv(x, kCutOff).matmul(y).squeeze(-1);
  const auto gram = x.transpose(1, 2).matmul(x) + lambda * at::eye(d, x.options());
  return at::linalg_solve(gram, x.transpose(1, 2).matmul(y)).squeeze(-1);
}

class LeastSquares final : public LinearLearner {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  explicit LeastSquares(const Options&) {}
  Tensor weights(const Examples& known) const override { return ridge_weights(known, 0); }
};

class Ridge final : public LinearLearner {
 public:
  struct Options {
    double lambda = 0.1;
    void describe(Fields& f) { f.number("lambda", lambda, "factor on |w|^2", 0, 1e12); }
  };
  explicit Ridge(const Options& options) : options_(options) {}
  Tensor weights(const Examples& known) const override { return ridge_weights(known, options_.lambda); }

 private:
  Options options_;
};

class Bayes final : public LinearLearner {
 public:
  struct Options {
    double sigma = 0, tau = 1;
    void describe(Fields& f) {
      f.number("sigma", sigma, "standard deviation of the noise", 0, 1e6);
      f.number("tau", tau, "standard deviation of each weight", 1e-9, 1e6);
    }
  };
  explicit Bayes(const Options& options) : options_(options) {}
  Tensor weights(const Examples& known) const override {
    return ridge_weights(known, options_.sigma * options_.sigma / (options_.tau * options_.tau));
  }

 private:
  Options options_;
};

FORMWORK_PART(Learner, LeastSquares, "ols", "least squares, of least norm where there are many solutions");
FORMWORK_PART(Learner, Ridge, "ridge", "least squares with a penalty on the weights");
FORMWORK_PART(Learner, Bayes, "bayes", "the best learner for the noise and the prior: ridge by their ratio");

}  // namespace
}  // namespace formwork
