// Learners of linear models in the weights of a decoder (theory/construct.h), over tokens of
// data/generated/linear_regression.h: x_1, y_1, .., x_n, y_n, x_q.
//
//   descent  one pass of gradient descent, an example after the other: w <- w - 2 alpha (x (w.x) - y x +
//   lambda w) ridge    w = (X^T X + lambda I)^-1 X^T y by the update of an inverse of rank one (Sherman and
//   Morrison, 1950),
//            (A + x x^T)^-1 = A^-1 - A^-1 x x^T A^-1 / (1 + x . A^-1 x), from A = lambda I
//
// What learning algorithm is in-context learning? Investigations with linear models (Akyurek et al., 2023),
// theorems 1 and 2: layers are constant for each example, and channels beside the code of positions O(d) and
// O(d^2).
#pragma once
#include "formwork/studies/theory/construct.h"

namespace formwork {

struct LinearConstruction {
  std::shared_ptr<Model> model;  // predictions [B, 2 n + 1, 1 + d]: at the last token w . x_q, then w
  int64_t layers = 0, channels = 0;
};

struct LinearConstructOptions {
  int64_t d = 4, examples = 1;
  double c = 1.0 / 1024, lambda = 0.1;
};

// From w [d]. Throws for lambda < 0.
LinearConstruction construct_descent(const LinearConstructOptions& options, const Tensor& w, double alpha);
// Throws for lambda <= 0.
LinearConstruction construct_ridge(const LinearConstructOptions& options);

// The same without a network: w after one step [d], and the chain's w [B, d] over examples x [B, n, d], y [B,
// n].
Tensor descent_step(const Tensor& w, const Tensor& x, const Tensor& y, double alpha, double lambda);
Tensor sherman_morrison(const Tensor& x, const Tensor& y, double lambda);

}  // namespace formwork
