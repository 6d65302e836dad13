// What tasks share whose targets are numbers.
#pragma once
#include "formwork/tasks/task.h"

namespace formwork {

// Targets [B, T, k] of floating-point numbers, not a number at tokens that have none. Objective: the sum over
// k of (prediction - target)^2, the field "predictions" [B, T, k]. Metric: loss, its mean over targets.
class RegressionTask : public Task {
 public:
  Tensor objective(const Record& out, const Batch& batch, double scale) const override;
  void measure(const Record& out, const Batch& batch, Sums& sums) const override;
  Metrics metrics(const Sums& sums) const override;

 protected:
  // [B, T] squared errors in float or double, 0 where there is no target.
  static Tensor squared_errors(const Record& out, const Batch& batch);
};

}  // namespace formwork
