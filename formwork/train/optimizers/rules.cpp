#include "formwork/train/optimizers/rules.h"

namespace formwork {

void adamw_update(const AdamWOptions& options, FlatGroup& group, Tensor& first, Tensor& second,
                  const Update& update) {
  if (update.gradient_scale != 1) group.gradient.mul_(update.gradient_scale);
  const auto step = at::scalar_tensor(update.step, at::kFloat);
  at::_fused_adamw_({group.value}, {group.gradient}, {first}, {second}, {}, {step}, update.rate * group.rate,
                    options.beta1, options.beta2, group.decay ? options.decay : 0, options.epsilon,
                    /*amsgrad=*/false,
                    /*maximize=*/false);
}

}  // namespace formwork
