// Stochastic gradient descent with momentum (Polyak, 1964; Sutskever et al., 2013).
#include "formwork/kernels/cpu/optimizer.h"
#include "formwork/train/optimizers/rules.h"

namespace formwork {
namespace {

//   g += decay * p;  m = momentum m + g;  p -= rate * (nesterov ? g + momentum m : m)
class SgdOptimizer final : public Optimizer {
 public:
  struct Options {
    double momentum = 0.9, decay = 0;
    bool nesterov = false;
    void describe(Fields& f) {
      f.number("momentum", momentum, "share of the last step that is kept", 0, 1);
      f.number("decay", decay, "weight decay, added to the gradient", 0, 1e3);
      f.flag("nesterov", nesterov, "look ahead by the momentum");
    }
  };
  SgdOptimizer(const Trainee& trainee, const Options& options)
      : Optimizer(trainee, {{"momentum"}}), options_(options) {}

 protected:
  void update(FlatGroup& group, Moments& moments, const Update& update) override {
    auto rule = rule_for<Sgd>(group, update, options_.decay);
    rule.momentum = options_.momentum, rule.nesterov = options_.nesterov;
    step_with_moment(group, moments[0],
                     [&]<class T>(int64_t n, T* p, const T* g, T* m) { sgd_step<T>(rule, n, p, g, m); });
  }

 private:
  Options options_;
};

FORMWORK_PART(Optimizer, SgdOptimizer, "sgd", "gradient descent with momentum");

}  // namespace
}  // namespace formwork
