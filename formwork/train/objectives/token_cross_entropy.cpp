#include "formwork/train/objectives/token_cross_entropy.h"

namespace formwork {

Tensor token_cross_entropy(const Tensor& logits, const Tensor& targets, double scale) {
  const auto rows = logits.reshape({-1, logits.size(-1)});
  const auto wide = rows.scalar_type() == at::kDouble ? rows : rows.to(at::kFloat);
  return at::cross_entropy_loss(wide, targets.reshape({-1}), {}, at::Reduction::Sum) * scale;
}

}  // namespace formwork
