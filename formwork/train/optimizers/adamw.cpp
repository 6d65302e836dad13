// AdamW (Loshchilov and Hutter, 2019), one fused pass over each group.
#include "formwork/train/optimizers/rules.h"

namespace formwork {
namespace {

class AdamWOptimizer final : public Optimizer {
 public:
  using Options = AdamWOptions;
  AdamWOptimizer(const Trainee& trainee, const Options& options)
      : Optimizer(trainee, {{"first", "second"}}), options_(options) {}

 protected:
  void update(FlatGroup& group, Moments& moments, const Update& update) override {
    adamw_update(options_, group, moments[0], moments[1], update);
  }

 private:
  Options options_;
};

FORMWORK_PART(Optimizer, AdamWOptimizer, "adamw", "Adam with decoupled weight decay");

}  // namespace
}  // namespace formwork
