#include "formwork/runtime/wiring/wiring.h"

namespace formwork::runtime {
namespace {

// The steps of another program.
class OtherWiring final : public StepList {
 public:
  OtherWiring(const Scope& scope, const std::string& why) : StepList(scope.in) {
    for (auto& placed : scope.others()->below(scope.path(), why)) {
      out_ = scope.global_axis(placed.out.name, placed.out.asked());
      steps_.push_back(std::move(placed.step));
    }
  }
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
