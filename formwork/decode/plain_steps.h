// Steps of a model as LibTorch runs them, for the runtime: those with a part that has no runtime form, and
// those with a part attached to one of their taps.
#pragma once
#include <map>
#include <string>

#include "formwork/models/model.h"
#include "formwork/runtime/wiring/wiring.h"

namespace formwork {

// Each sequence has a state of its own, and passes of few tokens are taken token by token: what a sequence
// gives then depends neither on the others nor on how its tokens are cut, as in the runtime itself.
class PlainSteps final : public runtime::OtherSteps {
 public:
  // The model must outlive it and its steps. Fails where a part is attached outside the steps.
  explicit PlainSteps(const Model& model);

  std::string why_not(const std::string& path) const override;
  Placed step(const std::string& path, const std::string& why) const override;
  std::vector<Placed> below(const std::string& path, const std::string& why) const override;
  // Why each step is run here, in the order of the model.
  const std::vector<std::string>& reasons() const { return reasons_; }

 private:
  Placed place(const StepInfo& step, const std::string& why) const;

  const Model& model_;
  std::map<std::string, std::string> attached_;  // step -> tap
  mutable std::vector<std::string> reasons_;
};

}  // namespace formwork
