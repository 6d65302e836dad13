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
  SgdOptimizer(Model& model, const Options& options) : Optimizer(model, {{"momentum"}}), options_(options) {}

 protected:
  void update(FlatGroup& group, Moments& moments, const Update& update) override {
    Sgd rule{};
    rule.rate = update.rate * group.rate;
    rule.momentum = options_.momentum, rule.nesterov = options_.nesterov;
    rule.decay = group.decay ? options_.decay : 0;
    rule.gradient_scale = update.gradient_scale;
    with_element_type(group, [&]<class T>(T) {
      sgd_step<T>(rule, group.value.numel(), group.value.mutable_data_ptr<T>(),
                  group.gradient.const_data_ptr<T>(), moments[0].mutable_data_ptr<T>());
    });
  }

 private:
  Options options_;
};

FORMWORK_PART(Optimizer, SgdOptimizer, "sgd", "gradient descent with momentum");

}  // namespace
}  // namespace formwork
