#include "formwork/train/train_options.h"

#include "formwork/train/steps/step_rule.h"

namespace formwork {
namespace {

void expand(Json& json, const TrainOptions& options) {
  json["step_rule"] = Registry<StepRule>::in_force(options.step_rule);
  json["optimizer"] = Registry<Optimizer>::in_force(options.optimizer);
  json["schedule"] = Registry<Schedule>::in_force(options.schedule);
}

}  // namespace

void TrainOptions::check() const {
  if (accumulate > batch) fail("train: {} rows cannot be run in {} parts", batch, accumulate);
  if (folder.empty() && resume) fail("train: nothing to resume from without a folder");
  if (folder.empty() && stop_after > 0)
    fail("train: a run that stops after step {} needs a folder to be resumed from", stop_after);
  if (folder.empty() && save_every > 0) fail("train: checkpoints need a folder");
  Registry<StepRule>::find(step_rule.type);
  Registry<Optimizer>::find(optimizer.type);
  Registry<Schedule>::find(schedule.type);
}

Json TrainOptions::in_force() const {
  auto json = options_json(*this);
  expand(json, *this);
  return json;
}

Json TrainOptions::course() const {
  FieldWriter writer;
  auto copy = *this;
  copy.describe_course(writer);
  expand(writer.result, *this);
  return writer.result;
}

}  // namespace formwork
