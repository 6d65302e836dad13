#include "formwork/train/optimizers/rules.h"

#include "formwork/kernels/cpu/optimizer.h"

namespace formwork {

void adamw_update(const AdamWOptions& options, FlatGroup& group, Tensor& first, Tensor& second,
                  const Update& update) {
  auto rule = rule_for<AdamW>(group, update, options.decay);
  rule.beta1 = options.beta1, rule.beta2 = options.beta2, rule.epsilon = options.epsilon;
  rule.step = update.step;
  step_with_moment(group, first, [&]<class T>(int64_t n, T* p, const T* g, T* m) {
    adamw_step<T>(rule, n, p, g, m, second.mutable_data_ptr<T>());
  });
}

}  // namespace formwork
