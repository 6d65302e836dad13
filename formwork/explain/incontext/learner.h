// Learners: what a model that learns in context is compared with. A learner takes the examples of each row
// and answers for another x. Everything is in double.
#pragma once
#include "formwork/core/factory.h"
#include "formwork/data/generated/linear_regression.h"

namespace formwork {

class Learner {
 public:
  static const char* kind() { return "learners"; }
  static const char* noun() { return "learner"; }
  virtual ~Learner() = default;
  // known: x [B, n, d], y [B, n]; n = 0 gives 0. asked [B, m, d] -> [B, m].
  virtual Tensor predict(const Examples& known, const Tensor& asked) const = 0;
};

// A learner whose answer is w . x.
class LinearLearner : public Learner {
 public:
  // [B, d].
  virtual Tensor weights(const Examples& known) const = 0;
  Tensor predict(const Examples& known, const Tensor& asked) const final;
};

template <>
class Registry<Learner> : public Factory<Learner> {};

// "ridge (lambda 0.25)", "ols".
std::string learner_label(const PartSpec& learner);

}  // namespace formwork
