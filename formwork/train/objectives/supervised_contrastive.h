// Supervised contrastive loss (Khosla et al., "Supervised Contrastive Learning", 2020).
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// The mean over rows i of -mean_{p in P(i)} log softmax_{j != i}(z_i . z_j / tau)[p], where P(i) are the
// other rows with i's label; a row without any counts 0. z [B, D] of unit length, labels [B] int64 -> a
// scalar.
Tensor supervised_contrastive(const Tensor& z, const Tensor& labels, double tau = 0.07);

// Whether some row of labels [B] has another with its label.
bool has_positives(const Tensor& labels);

}  // namespace formwork
