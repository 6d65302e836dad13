#include "formwork/train/objectives/token_cross_entropy.h"

#include "formwork/kernels/cpu/cross_entropy.h"

namespace formwork {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

CrossEntropy shape_of(const Tensor& logits) {
  CrossEntropy shape{};
  shape.rows = logits.size(0), shape.classes = logits.size(1), shape.stride = logits.size(1);
  return shape;
}

// Keeps the logits themselves (which their own gradient needs anyway) and one number a row, where the
// textbook composition keeps the log-probabilities too.
template <class T>
class FusedCrossEntropy : public torch::autograd::Function<FusedCrossEntropy<T>> {
 public:
  // logits [N, C] contiguous, targets [N] contiguous.
  static Tensor forward(AutogradContext* ctx, const Tensor& logits, const Tensor& targets, double scale) {
    const auto losses = at::empty({logits.size(0)}, logits.options());
    const auto logsumexp = at::empty_like(losses);
    cross_entropy_forward<T>(shape_of(logits), logits.template const_data_ptr<T>(),
                             targets.const_data_ptr<int64_t>(), losses.template mutable_data_ptr<T>(),
                             logsumexp.template mutable_data_ptr<T>());
    ctx->save_for_backward({logits, targets, logsumexp});
    ctx->saved_data["scale"] = scale;
    return losses.sum() * scale;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const double scale = ctx->saved_data["scale"].toDouble() * gradients[0].template item<double>();
    auto gradient = saved[0].detach().clone();
    cross_entropy_gradient<T>(shape_of(gradient), gradient.template mutable_data_ptr<T>(),
                              saved[1].const_data_ptr<int64_t>(), saved[2].template const_data_ptr<T>(),
                              static_cast<T>(scale));
    return {gradient, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor token_cross_entropy(const Tensor& logits, const Tensor& targets, double scale) {
  const auto wide = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
  const auto rows = wide.reshape({-1, wide.size(-1)}).contiguous();
  const auto flat = targets.reshape({-1}).contiguous();
  if (rows.scalar_type() == at::kDouble) return FusedCrossEntropy<double>::apply(rows, flat, scale);
  return FusedCrossEntropy<float>::apply(rows, flat, scale);
}

}  // namespace formwork
