#include "formwork/train/objectives/token_cross_entropy.h"

#include "formwork/core/reuse.h"
#include "formwork/kernels/cpu/cross_entropy.h"

namespace formwork {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

CrossEntropy shape_of(const Tensor& logits) {
  CrossEntropy shape{};
  shape.classes = shape.stride = logits.size(-1);
  shape.rows = logits.numel() / shape.classes;
  return shape;
}

// Keeps the logits themselves (which their own gradient needs anyway) and one number a row, where the
// textbook composition keeps the log-probabilities too.
template <class T>
class FusedCrossEntropy : public torch::autograd::Function<FusedCrossEntropy<T>> {
  using Wide = typename ComputeType<T>::Type;
  static constexpr auto kWide = sizeof(Wide) == 8 ? at::kDouble : at::kFloat;

 public:
  // logits [.., C] and targets [..], both contiguous.
  static Tensor forward(AutogradContext* ctx, const Tensor& logits, const Tensor& targets, double scale) {
    const auto losses = at::empty({targets.numel()}, logits.options().dtype(kWide));
    const auto logsumexp = at::empty_like(losses);
    cross_entropy_forward<T>(shape_of(logits), static_cast<const T*>(logits.const_data_ptr()),
                             targets.const_data_ptr<int64_t>(), losses.template mutable_data_ptr<Wide>(),
                             logsumexp.template mutable_data_ptr<Wide>());
    ctx->save_for_backward({logits, targets, logsumexp});
    ctx->saved_data["scale"] = scale;
    return losses.sum() * scale;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const double scale = ctx->saved_data["scale"].toDouble() * gradients[0].template item<double>();
    const Tensor& logits = saved[0];
    const auto gradient = may_overwrite_saved(logits) ? logits.detach() : at::empty_like(logits);
    cross_entropy_gradient<T>(shape_of(logits), static_cast<const T*>(logits.const_data_ptr()),
                              saved[1].const_data_ptr<int64_t>(), saved[2].template const_data_ptr<Wide>(),
                              static_cast<Wide>(scale), static_cast<T*>(gradient.mutable_data_ptr()));
    return {gradient, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor token_cross_entropy(const Tensor& logits, const Tensor& targets, double scale) {
  const auto dense = logits.contiguous(), flat = targets.contiguous();
  switch (logits.scalar_type()) {
    case at::kDouble:
      return FusedCrossEntropy<double>::apply(dense, flat, scale);
    case at::kBFloat16:
      return FusedCrossEntropy<bfloat16>::apply(dense, flat, scale);
    default:
      return FusedCrossEntropy<float>::apply(dense.to(at::kFloat), flat, scale);
  }
}

}  // namespace formwork
