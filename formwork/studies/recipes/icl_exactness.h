// How exactly the constructions of in-context learning of linear models compute what they are meant to.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// The largest error of x y by GELU over [-range, range]^2, in a decoder of one layer that multiplies the two
// numbers of its token.
double product_error(double c, double range, const std::string& activation = "gelu");

// Of A v, A [d, d] and v [d] ~ N(0, 1), in one layer; the largest over some draws.
double matrix_vector_error(int64_t d, double c, uint64_t seed);

struct ConstructionError {
  double error = 0;  // the largest of the prediction and of w
  int64_t layers = 0, channels = 0;
};

// Of one step of gradient descent (alpha = lambda = 0.1) on an example, and the prediction after it.
ConstructionError descent_error(int64_t d, double c, uint64_t seed);
// Of ridge regression by updates of the inverse over n examples, lambda = 1.
ConstructionError ridge_error(int64_t d, int64_t n, double c, uint64_t seed);
// The same updates as a formula, against the solution by elimination.
double chain_error(int64_t d, int64_t n, double lambda, uint64_t seed);

}  // namespace formwork
