#include "formwork/train/objectives/reconstruction.h"

namespace formwork {
namespace {

// In float32 or wider, whatever precision the pass is in.
Tensor widened(const Tensor& x) { return x.to(at::promote_types(x.scalar_type(), at::kFloat)); }

}  // namespace

Tensor normalized_tokens(const Tensor& x) { return at::layer_norm(x, {x.size(-1)}); }

Tensor feature_distance(const Tensor& y, const Tensor& target, const Tensor& keep) {
  if (!keep.defined()) return at::mse_loss(widened(y), widened(target));
  const auto real = keep.to(widened(y).scalar_type());
  const auto errors = (widened(y) - widened(target)).square().mean(-1);
  return (errors * real).sum() / real.sum().clamp_min(1);
}

Tensor pixel_distance(const Tensor& logits, const Tensor& pixels) {
  return at::binary_cross_entropy_with_logits(widened(logits), widened(pixels));
}

}  // namespace formwork
