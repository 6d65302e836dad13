// Where a training run shows how it goes: the progress bar, and the folder's log of metrics.
#pragma once
#include <optional>

#include "formwork/report/event_log.h"
#include "formwork/report/progress.h"
#include "formwork/tasks/metrics.h"
#include "formwork/train/train_options.h"

namespace formwork {

struct StepFacts {
  int64_t step = 0;  // updates done
  double loss = 0, rate = 0, gradient_norm = 0, tokens_per_second = 0;
  Scalars terms;  // what the step rule says beside them
};

class RunLog {
 public:
  // A run that goes on from step `start`; the log's later lines are written anew.
  RunLog(const TrainOptions& options, int64_t start);
  void step(const StepFacts& facts);
  void evaluation(int64_t step, const Metrics& metrics);
  void finish();

 private:
  const TrainOptions& options_;
  std::optional<Progress> progress_;
  std::optional<EventLog> events_;
};

}  // namespace formwork
