// Step rules say what one update of a run makes of a batch: which passes it is run through, which losses are
// differentiated, what their gradients become, and how they are clipped. The trainer does the rest, and knows
// no rule by name:
//
//   clear gradients -> rule.gradients(step, batch) -> rule.clip -> optimizer -> average of the weights
//
// A rule may have parts of its own (decoders, heads, critics): they are trained with the model and kept in
// its checkpoints, and the model never has them.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "formwork/core/factory.h"
#include "formwork/interop/safetensors.h"
#include "formwork/models/model.h"
#include "formwork/tasks/task.h"
#include "formwork/train/flat_parameters.h"

namespace formwork {

struct TrainOptions;

// What a rule is made for. The task is prepared; all three live as long as the rule.
struct TrainingRun {
  Model& model;
  const Task& task;
  const TrainOptions& options;
};

// The loss that a run reports, and whatever else a rule says of a step, by name, for the log of metrics.
struct StepLoss {
  double loss = 0;
  std::vector<std::pair<std::string, double>> terms;
};

// One update, as a rule sees it, and what rules share.
class TrainingStep {
 public:
  TrainingStep(const TrainingRun& run, FlatParameters& parameters, int64_t step)
      : run_(run), parameters_(parameters), step_(step) {}

  const TrainingRun& run() const { return run_; }
  FlatParameters& parameters() const { return parameters_; }
  int64_t step() const { return step_; }  // updates done before

  // The parts that the step's rows are run in (options.accumulate), in order.
  std::vector<Batch> parts(const Batch& batch) const;
  // A context in training mode for part `part`: its draws depend on (seed, step, part) alone. `board` as in
  // Model::make_context.
  Context context(int64_t part, TapBoard* board = nullptr) const;
  // The task's objective of a model's outputs for a part, and the auxiliary losses of the pass, which are
  // means over the part's tokens; `targets` of the whole batch.
  Tensor objective(Context& ctx, const Record& out, const Batch& part, int64_t targets) const;
  // The targets of a batch; throws when there is none.
  int64_t targets(const Batch& batch) const;
  // One pass and its backward pass: adds the gradient of the task's loss of the batch (the mean over all
  // targets, and for a cast what its objectives say), whatever the parts that it is run in -> the loss.
  double backward(const Batch& batch) const;

 private:
  double backward_part(const Batch& part, int64_t index, const BatchSize& whole) const;
  Tensor with_auxiliary(const Context& ctx, Tensor loss, const Batch& part, int64_t targets) const;

  const TrainingRun& run_;
  FlatParameters& parameters_;
  int64_t step_;
};

// The norm of a gradient before clipping, and what the optimizer multiplies the gradient by.
struct Clipped {
  double norm = 0, scale = 1;
};

class StepRule {
 public:
  static const char* kind() { return "step_rules"; }
  static const char* noun() { return "step rule"; }
  virtual ~StepRule() = default;

  // Leaves in the parameters, whose gradients are 0, the gradient of this update.
  virtual StepLoss gradients(const TrainingStep& step, const Batch& batch) = 0;
  // Clips to a norm of `most` (0: no clipping): all parameters together, unless the rule's losses are
  // independent of each other. It may scale gradients in place.
  virtual Clipped clip(FlatParameters& parameters, double most);

  // Parts of its own; null: none. Their parameters' names differ from the model's.
  virtual Inventory* parts() { return nullptr; }
  // What a checkpoint keeps of the rule, as views: the parameters of its parts. Loading continues bit for
  // bit; missing and unexpected names and wrong shapes are errors that name `where`.
  virtual TensorMap state();
  virtual void load_state(const TensorMap& state, const std::string& where);
};

template <>
class Registry<StepRule> : public Factory<StepRule, const TrainingRun&> {};

}  // namespace formwork
