// Lion (Chen et al., 2023, "Symbolic Discovery of Optimization Algorithms").
#include "formwork/kernels/cpu/optimizer.h"
#include "formwork/train/optimizers/rules.h"

namespace formwork {
namespace {

//   p = (1 - rate * decay) p - rate * sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g
class LionOptimizer final : public Optimizer {
 public:
  struct Options {
    double beta1 = 0.9, beta2 = 0.99, decay = 0.3;
    void describe(Fields& f) {
      f.number("beta1", beta1, "share of the momentum in a step's direction", 0, 1);
      f.number("beta2", beta2, "decay of the momentum", 0, 1);
      f.number("decay", decay, "weight decay, times the rate", 0, 1e3);
    }
  };
  LionOptimizer(const Trainee& trainee, const Options& options)
      : Optimizer(trainee, {{"momentum"}}), options_(options) {}

 protected:
  void update(FlatGroup& group, Moments& moments, const Update& update) override {
    auto rule = rule_for<Lion>(group, update, options_.decay);
    rule.beta1 = options_.beta1, rule.beta2 = options_.beta2;
    step_with_moment(group, moments[0],
                     [&]<class T>(int64_t n, T* p, const T* g, T* m) { lion_step<T>(rule, n, p, g, m); });
  }

 private:
  Options options_;
};

FORMWORK_PART(Optimizer, LionOptimizer, "lion",
              "steps of one size in the sign of the momentum; rate 3 to 10 times below AdamW's");

}  // namespace
}  // namespace formwork
