// The settings of a training run.
#pragma once
#include "formwork/train/optimizers/optimizer.h"
#include "formwork/train/precision.h"
#include "formwork/train/schedules/schedule.h"

namespace formwork {

struct TrainOptions {
  // What decides the result.
  int64_t steps = 1000, batch = 32, accumulate = 1, seed = 0;
  double rate = 1e-3, clip = 1, ema = 0;
  PartSpec step_rule = "plain", optimizer = "adamw", schedule = "cosine";
  std::string precision = "float32";
  bool checkpoint = false;
  Json train_from = Json::object();

  // What does not.
  int64_t evaluate_every = 0, evaluate_samples = 0, evaluate_batch = 0;
  int64_t save_every = 0, keep = 2, log_every = 10, stop_after = 0;
  std::string folder;
  bool resume = false, quiet = false;

  void describe_course(Fields& f) {
    f.integer("steps", steps, "updates", 1);
    f.integer("batch", batch, "rows of an update", 1, 1 << 20);
    f.integer("accumulate", accumulate, "parts that an update's rows are run in, to save memory", 1, 1 << 20);
    f.integer("seed", seed, "of the order of the data and of dropout");
    f.number("rate", rate, "highest learning rate", 0, 1e3);
    f.number("clip", clip, "greatest global norm of the gradient; 0: not clipped", 0, 1e9);
    f.number("ema", ema, "decay of an average of the weights, which the result then has; 0: none", 0,
             0.999999);
    f.part("step_rule", step_rule, "step_rules", "what an update makes of a batch");
    f.part("optimizer", optimizer, "optimizers", "how gradients change parameters");
    f.part("schedule", schedule, "schedules", "the rate's course");
    describe_precision(f, precision);
    f.flag("checkpoint", checkpoint, "recompute activations in the backward pass, to save memory");
    f.json("train_from", train_from,
           "train these axes from an entry on, and nothing else: {\"layers.*.experts\": 8}; {}: everything");
  }
  void describe(Fields& f) {
    describe_course(f);
    f.integer("evaluate_every", evaluate_every, "steps between evaluations; 0: only at the end");
    f.integer("evaluate_samples", evaluate_samples, "samples of an evaluation before the last; 0: all");
    f.integer("evaluate_batch", evaluate_batch, "rows of an evaluation batch; 0: as `batch`");
    f.text("folder", folder, "where checkpoints, metrics and the model are kept; empty: nowhere");
    f.integer("save_every", save_every, "steps between checkpoints; 0: a tenth of the run");
    f.integer("keep", keep, "checkpoints to keep", 1, 1000000);
    f.integer("log_every", log_every, "steps between lines of the log", 1);
    f.integer("stop_after", stop_after, "save and stop after this step, to be resumed; 0: run to the end");
    f.flag("resume", resume, "go on from the folder's newest checkpoint");
    f.flag("quiet", quiet, "show no progress");
  }

  // Throws where settings contradict each other.
  void check() const;
  // Every setting, with those of the step rule, the optimizer and the schedule.
  Json in_force() const;
  // Those that decide the result: a resumed run must have the same.
  Json course() const;
};

}  // namespace formwork
