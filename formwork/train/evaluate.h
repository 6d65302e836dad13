// Measures a model on a task.
#pragma once
#include "formwork/models/model.h"
#include "formwork/tasks/task.h"
#include "formwork/train/precision.h"

namespace formwork {

struct EvaluateOptions {
  int64_t batch = 32, samples = 0;
  std::string precision = "float32";
  void describe(Fields& f) {
    f.integer("batch", batch, "rows of a batch; changes the speed, not the result", 1, 1 << 20);
    f.integer("samples", samples, "evaluate only this many samples, the first ones; 0: all");
    describe_precision(f, precision);
  }
};

// Every sample once, the last part-batch too, in evaluation mode. Throws when the model cannot do the task or
// gives losses that are not finite.
Metrics evaluate(Model& model, Task& task, const EvaluateOptions& options = {});

}  // namespace formwork
