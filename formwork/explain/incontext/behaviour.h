// Which learner a model that learns linear regression in context behaves as (distances.h).
#pragma once
#include "formwork/explain/incontext/distances.h"

namespace formwork {

struct BehaviourOptions {
  std::vector<PartSpec> learners;
  int64_t probes = 0, seed = 0;
  double x_scale = 1;
  void describe(Fields& f) {
    f.parts("learners", learners, "learners", "to compare with; []: the reference learners");
    f.integer("probes", probes, "fresh x that implicit weights are fitted at, at least d; 0: 2 d", 0,
              1 << 16);
    f.integer("seed", seed, "of the fresh x");
    f.number("x_scale", x_scale, "standard deviation of the fresh x", 1e-6, 1e6);
  }
};

// Least squares; ridge, gradient descent with several numbers of steps, one pass of SGD, nearest neighbours.
std::vector<PartSpec> reference_learners();

// Against each learner after n = 0 .. examples of the row: a list "distances" of {n, learner, spd, ilwd, r2};
// r2 says whether the model is linear in x at all. The last example is only asked.
Json behaviour(const Predictor& model, const Examples& examples, const BehaviourOptions& options);

}  // namespace formwork
