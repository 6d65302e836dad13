// The plain step: the gradient of the mean loss over the batch, by one pass and its backward pass.
#include "formwork/train/steps/step_rule.h"

namespace formwork {
namespace {

class PlainStep final : public StepRule {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  PlainStep(const TrainingRun&, const Options&) {}

  StepLoss gradients(const TrainingStep& step, const Batch& batch) override {
    return {step.backward(batch), {}};
  }
};

FORMWORK_PART(StepRule, PlainStep, "plain", "the gradient of the mean loss over the batch");

}  // namespace
}  // namespace formwork
