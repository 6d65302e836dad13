// How good a model is, and how near to another: both on the same evaluation samples.
#pragma once
#include "formwork/models/model.h"
#include "formwork/tasks/task.h"

namespace formwork {

// Row's fields over the first `samples` evaluation samples (0: all) in batches of `batch` rows:
//   loss                  nats a target
//   kl, kl error          KL(original || model) = sum_v p_v (log p_v - log q_v), nats a target
//   top-1, top-1 error    share of targets whose most probable class is the original's
//   samples               that were measured
// The last four average the targets of each sample, then the samples; the error is the standard error over
// samples, s / sqrt(n). Throws when the loss is not finite.
Json measure_quality(Model& original, Model& model, Task& task, int64_t samples, int64_t batch);

}  // namespace formwork
