// The folder of a training run: its checkpoints, and what a resumed run takes from them.
#pragma once
#include <filesystem>
#include <optional>

#include "formwork/models/model.h"
#include "formwork/train/steps/step_rule.h"
#include "formwork/train/train_options.h"
#include "formwork/train/weight_average.h"

namespace formwork {

// A running training: what a checkpoint holds. `average` may be null.
struct Running {
  Model& model;
  Optimizer& optimizer;
  StepRule& rule;
  WeightAverage* average;
};

class RunFolder {
 public:
  // Throws when the folder has checkpoints and the options do not say what to do with them, or when they
  // were made with other settings.
  explicit RunFolder(const TrainOptions& options);

  int64_t start() const { return start_; }  // the step to go on from; 0: a new run
  void restore(Running& running) const;
  // Does nothing when there is a checkpoint of this step already.
  void save(int64_t step, const Running& running);
  std::string last_checkpoint() const;  // for messages

 private:
  const TrainOptions& options_;
  std::filesystem::path checkpoints_;
  std::filesystem::path newest_;  // empty: none
  int64_t start_ = 0, saved_ = -1;
};

}  // namespace formwork
