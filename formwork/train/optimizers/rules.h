// The update rules that optimizers are made of, on flat groups.
#pragma once
#include "formwork/train/optimizers/optimizer.h"

namespace formwork {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, decay = 0.1;
  void describe(Fields& f) {
    f.number("beta1", beta1, "decay of the first moment", 0, 1);
    f.number("beta2", beta2, "decay of the second moment", 0, 1);
    f.number("epsilon", epsilon, "added to the root of the second moment", 0, 1);
    f.number("decay", decay, "weight decay, times the rate", 0, 1e3);
  }
};

// Calls `rule` with a value of the group's element type, float or double.
template <class Rule>
void with_element_type(const FlatGroup& group, Rule&& rule) {
  if (group.value.scalar_type() == at::kDouble)
    rule(double{});
  else
    rule(float{});
}

// A kernel's rule with what every one of them has.
template <class Rule>
Rule rule_for(const FlatGroup& group, const Update& update, double decay) {
  Rule rule{};
  rule.rate = update.rate * group.rate;
  rule.decay = group.decay ? decay : 0;
  rule.gradient_scale = update.gradient_scale;
  return rule;
}

// Calls `step(n, p, g, m)` on the group's values, gradients and one moment, of its element type.
template <class Step>
void step_with_moment(FlatGroup& group, Tensor& moment, Step&& step) {
  with_element_type(group, [&]<class T>(T) {
    step(group.value.numel(), group.value.mutable_data_ptr<T>(), group.gradient.const_data_ptr<T>(),
         moment.mutable_data_ptr<T>());
  });
}

//   p *= 1 - rate * decay;  m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2
//   p -= rate / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + epsilon)
void adamw_update(const AdamWOptions& options, FlatGroup& group, Tensor& first, Tensor& second,
                  const Update& update);

}  // namespace formwork
