// How alike two learners behave, whatever they are inside (What learning algorithm is in-context learning?
// Investigations with linear models, Akyurek et al., 2023):
//
//   SPD   E (A1(D)(x) - A2(D)(x))^2, the squared difference of their predictions
//   w_A(D) = argmin_w sum_j (A(D)(x_j) - w . x_j)^2 over fresh x_j, the weight that a learner acts by
//   ILWD  E |w_A1(D) - w_A2(D)|^2
#pragma once
#include "formwork/explain/incontext/learner.h"
#include "formwork/models/model.h"

namespace formwork {

// What answers for asked x [B, m, d] after the known examples of each row -> [B, m].
using Predictor = std::function<Tensor(const Examples& known, const Tensor& asked)>;

// A model as a predictor: its state after the known examples is forked for each asked x, so that any causal
// model can be asked. It reads input_features and gives predictions, of which the first number counts.
Predictor predictor_of(Model& model);

double squared_prediction_difference(const Tensor& a, const Tensor& b);

struct ImplicitWeights {
  Tensor w;  // [B, d]
  double r2 =
      0;  // 1 - the squares that w . x leaves / those of the predictions around their mean: 1 is linear
};

// Of predictions [B, m] at probes [B, m, d]. Throws for fewer probes than d, which have many solutions.
ImplicitWeights implicit_weights(const Tensor& probes, const Tensor& predictions);

double implicit_weight_distance(const Tensor& a, const Tensor& b);

// N(0, 1) probes [B, m, d] by the seed.
Tensor fresh_probes(int64_t rows, int64_t probes, int64_t d, uint64_t seed);

}  // namespace formwork
