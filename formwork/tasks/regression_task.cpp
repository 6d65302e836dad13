#include "formwork/tasks/regression_task.h"

namespace formwork {

Tensor RegressionTask::squared_errors(const Record& out, const Batch& batch) {
  const auto found = out.find("predictions");
  if (found == out.end()) fail("this task needs a model that gives 'predictions'; use the head 'regression'");
  const auto& predictions = found->second;
  if (predictions.sizes() != batch.targets.sizes())
    fail("predictions: expected [{}] as the targets, found [{}]",
         fmt::join(batch.targets.sizes().vec(), ", "), fmt::join(predictions.sizes().vec(), ", "));
  const auto exact = predictions.scalar_type() == at::kDouble ? predictions : predictions.to(at::kFloat);
  const auto none = batch.targets.isnan();
  const auto errors = exact - batch.targets.masked_fill(none, 0).to(exact.scalar_type());
  return errors.masked_fill(none, 0).square().sum(-1);
}

Tensor RegressionTask::objective(const Record& out, const Batch& batch, double scale) const {
  return squared_errors(out, batch).sum() * scale;
}

void RegressionTask::measure(const Record& out, const Batch& batch, Sums& sums) const {
  sums["squares"] += squared_errors(out, batch).sum(at::kDouble).item<double>();
  sums["targets"] += static_cast<double>(batch.target_count());
  sums["samples"] += static_cast<double>(batch.rows());
}

Metrics RegressionTask::metrics(const Sums& sums) const {
  Metrics metrics;
  metrics.samples = static_cast<int64_t>(sums.at("samples"));
  metrics.loss = sums.at("squares") / sums.at("targets");
  metrics.values = {{"loss", metrics.loss}};
  return metrics;
}

}  // namespace formwork
