#include "formwork/train/objectives/supervised_contrastive.h"

#include <limits>

#include "formwork/core/error.h"

namespace formwork {
namespace {

// [B, B] whether two different rows have the same label.
Tensor positive_pairs(const Tensor& labels) {
  auto same = labels.unsqueeze(0).eq(labels.unsqueeze(1));
  same.fill_diagonal_(0);
  return same;
}

}  // namespace

Tensor supervised_contrastive(const Tensor& z, const Tensor& labels, double tau) {
  if (z.dim() != 2 || labels.dim() != 1 || labels.size(0) != z.size(0))
    fail("contrastive loss: expected embeddings [B, D] and labels [B], found [{}] and [{}]",
         fmt::join(z.sizes().vec(), ", "), fmt::join(labels.sizes().vec(), ", "));
  const auto wide = z.to(at::promote_types(z.scalar_type(), at::kFloat));
  const auto self = at::eye(z.size(0), z.options().dtype(at::kBool));
  const auto logits = wide.matmul(wide.t()) / tau;
  const auto others = logits.masked_fill(self, -std::numeric_limits<double>::infinity());
  const auto log_softmax = (logits - others.logsumexp(1, true)).masked_fill(self, 0);
  const auto positive = positive_pairs(labels).to(wide.scalar_type());
  const auto each = (positive * log_softmax).sum(1) / positive.sum(1).clamp_min(1);
  return -each.mean();
}

bool has_positives(const Tensor& labels) { return positive_pairs(labels).any().item<bool>(); }

}  // namespace formwork
