#include "formwork/train/optimizers/rules.h"

#include "formwork/kernels/cpu/optimizer.h"

namespace formwork {

void adamw_update(const AdamWOptions& options, FlatGroup& group, Tensor& first, Tensor& second,
                  const Update& update) {
  AdamW rule{};
  rule.rate = update.rate * group.rate;
  rule.beta1 = options.beta1, rule.beta2 = options.beta2, rule.epsilon = options.epsilon;
  rule.decay = group.decay ? options.decay : 0;
  rule.step = update.step, rule.gradient_scale = update.gradient_scale;
  with_element_type(group, [&]<class T>(T) {
    adamw_step<T>(rule, group.value.numel(), group.value.mutable_data_ptr<T>(),
                  group.gradient.const_data_ptr<T>(), first.mutable_data_ptr<T>(),
                  second.mutable_data_ptr<T>());
  });
}

}  // namespace formwork
