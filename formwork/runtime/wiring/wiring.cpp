#include "formwork/runtime/wiring/wiring.h"

namespace formwork::runtime {
namespace {

// The steps of another program, one after the other.
class OtherWiring final : public Wiring {
 public:
  OtherWiring(Scope& scope, const std::string& why) : out_(scope.in) {
    for (auto& placed : scope.others()->below(scope.path(), why)) {
      out_ = scope.global_axis(placed.out.name, placed.out.asked());
      steps_.push_back(std::move(placed.step));
    }
  }
  std::vector<const Step*> steps() const override {
    std::vector<const Step*> list;
    for (const auto& step : steps_) list.push_back(step.get());
    return list;
  }
  Axis out() const override { return out_; }

 private:
  Axis out_;
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace

std::unique_ptr<Wiring> make_wiring(Scope& scope, const PartSpec& spec) {
  try {
    Scope own = scope;
    return Registry<Wiring>::make(own, spec);
  } catch (const NoRuntimeForm& error) {
    if (!scope.others()) throw;
    return std::make_unique<OtherWiring>(scope, error.what());
  }
}

}  // namespace formwork::runtime
