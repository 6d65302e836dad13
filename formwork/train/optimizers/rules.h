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

//   p *= 1 - rate * decay;  m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2
//   p -= rate / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + epsilon)
void adamw_update(const AdamWOptions& options, FlatGroup& group, Tensor& first, Tensor& second,
                  const Update& update);

}  // namespace formwork
