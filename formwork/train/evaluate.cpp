#include "formwork/train/evaluate.h"

namespace formwork {

Metrics evaluate(Model& model, Task& task, const EvaluateOptions& options) {
  const at::NoGradGuard guard;
  task.prepare(model.inventory().spec.meta);
  task.check(model);
  const int64_t all = task.evaluation_samples();
  const int64_t samples = options.samples > 0 ? std::min(options.samples, all) : all;
  if (samples == 0) fail("evaluate: the task has no sample to evaluate on");
  Sums sums;
  for (int64_t done = 0; done < samples; done += options.batch) {
    auto batch = task.evaluation_batch(options.batch, done / options.batch);
    if (batch.rows() > samples - done) batch = batch.narrow(0, samples - done);
    const PrecisionGuard precision(options.precision, batch.targets.device().type());
    auto ctx = model.make_context();
    task.measure(model.forward(ctx, batch.inputs), batch, sums);
  }
  return task.metrics(sums);
}

}  // namespace formwork
