// Trains a model on a task.
//
//   for each step: rows = task.training_batch(seed, step); the step rule's gradient of them -> clip ->
//   optimizer at rate * schedule(step) -> average of the weights
//
// The plain step rule takes the gradient of loss = objective / targets + auxiliary losses (train/steps).
//
// With a folder, checkpoints (FOLDER/checkpoints), a log of metrics (FOLDER/metrics.jsonl and TensorBoard
// events) and at the end the model are kept there. A run that was stopped, or killed at any instant, goes on
// with `resume` as if nothing had happened: on CPU bit for bit, because data and dropout depend on (seed,
// step) alone.
#pragma once
#include "formwork/train/evaluate.h"
#include "formwork/train/train_options.h"

namespace formwork {

struct TrainResult {
  int64_t step = 0;     // updates done, those before a resumption included
  int64_t samples = 0;  // rows seen
  int64_t tokens = 0;   // real input tokens seen by this process
  double loss = 0;      // of the last step's rows, before its update
  double seconds = 0;   // of this process, evaluation and saving left out
  Metrics evaluation;   // at the end; samples = 0 when the run stopped before it
  Json settings;        // in force

  double tokens_per_second() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
  Json to_json() const;
};

// Throws when a loss or a gradient is not finite: names step and rows; the model then has the weights before
// that step and the folder its last checkpoint. Afterwards the model's weights are those of the last step, or
// their average where options.ema asks for one.
TrainResult train(Model& model, Task& task, const TrainOptions& options);

}  // namespace formwork
